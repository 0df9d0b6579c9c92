// Which constants each program type may return at each attach type, and whether an unknown number.
#include "kernel/ask_verifier.hpp"
#include "prog/return_range.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

namespace ebpfvm::test {
namespace {

class Returns {
  public:
    Returns(ProgType type, std::uint32_t attach) : type_(type), attach_(attach) {}

    [[nodiscard]] bool accepts(std::int64_t value) const {
        const auto low = std::int32_t(value & 0xffff'ffff);
        return ask({{.code = 0x18, .imm = low}, {.imm = std::int32_t(value >> 32)}});
    }
    [[nodiscard]] bool accepts_anything() const {
        return ask({call_helper(std::to_underlying(HelperId::ktime_get_ns))});
    }

  private:
    [[nodiscard]] bool ask(std::vector<Insn> insns) const {
        insns.push_back(exit_insn());
        return ask_verifier({.type = type_,
                             .attach_type = attach_,
                             .insns = std::move(insns),
                             .flags = required_flags(type_)})
            .accepted();
    }

    ProgType type_;
    std::uint32_t attach_;
};

TEST(ReturnRange, IsThatOfTheKernel) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
    for (const ProgType type : loadable_types()) {
        for (const std::uint32_t attach : attach_types_of(type)) {
            const Returns returns(type, attach);
            const auto range = prog::return_range(type, attach);
            const std::string where = fmt::format("{} attach type {}", name_of(type), attach);
            EXPECT_EQ(returns.accepts_anything(), !range.has_value()) << where;
            for (const std::int64_t value :
                 {kMin, std::int64_t{-4095}, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1},
                  std::int64_t{2}, std::int64_t{3}, std::int64_t{4}, std::int64_t{100},
                  std::int64_t{0x1'0000'0000}, ~kMin}) {
                const bool ours = !range || (value >= range->min && value <= range->max);
                EXPECT_EQ(returns.accepts(value), ours) << where << " value " << value;
            }
        }
    }
}

} // namespace
} // namespace ebpfvm::test
