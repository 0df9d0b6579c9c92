// Pairs of insns as one step against the same insns one by one, which the checked mode runs.
#include "ebpfvm/ebpfvm.hpp"
#include "exec/pairs.hpp"
#include "interp/interp.hpp"
#include "isa/decode.hpp"
#include "support/resolved.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <ostream>

namespace ebpfvm::test {
namespace {

using isa::Op;

struct Row {
    const char* name;
    exec::Pair pair;
    Op first;
    Op second;
};

std::ostream& operator<<(std::ostream& out, const Row& row) {
    return out << row.name;
}

constexpr std::array<Row, exec::kPairCount> kRows = {{
#define EBPFVM_PAIR(first, second, link)                                                           \
    {#first "_" #second "_" #link, exec::Pair::first##_##second##_##link, Op::first, Op::second},
#define EBPFVM_PAIR_STORE EBPFVM_PAIR
#define EBPFVM_PAIR_JUMP EBPFVM_PAIR
#include "exec/pairs.def"
}};

struct Outcome {
    std::uint64_t r0 = 0;
    std::uint64_t insns = 0;
    bool is_fault = false;
    std::array<std::uint64_t, 8> buffer{};

    bool operator==(const Outcome&) const = default;
};

class Pairs : public testing::TestWithParam<Row> {
  public:
    // r1: a buffer; r2: its size; r3: `value`; then the two; then r0 tells of all.
    static std::vector<Insn> program(isa::Decoded first, isa::Decoded second, std::int32_t value) {
        std::vector<Insn> insns = assemble("r3 = " + std::to_string(value)).value();
        isa::encode(first, insns);
        isa::encode(second, insns);
        const auto rest = assemble("r0 += 1\nr0 += r1\nr0 *= 31\nr0 += r2\nr0 *= 31\nr0 += r3\n"
                                   "exit");
        insns.insert(insns.end(), rest->begin(), rest->end());
        return insns;
    }

    std::shared_ptr<exec::Code> resolve(const std::vector<Insn>& insns) const {
        const Object object = Object::from_insns("pair", ProgType::Unspec, insns);
        auto code = resolved(object.programs().front(), helpers_);
        EXPECT_TRUE(code) << to_string(code.error());
        return *code;
    }

    // Memory that holds `word`, or its own address. It is the same each time: results tell of it.
    Outcome outcome(const exec::Code& code, std::optional<std::uint64_t> word) {
        buffer_ = {};
        buffer_[1] = word.value_or(reinterpret_cast<std::uintptr_t>(buffer_.data()));
        const RunResult result = interp::run(code, exec::RunInput{.ctx = buffer_.data(),
                                                                  .size = sizeof buffer_,
                                                                  .insn_budget = 100,
                                                                  .environment = &environment_});
        return {.r0 = result.r0,
                .insns = result.insns_executed,
                .is_fault = result.fault != nullptr,
                .buffer = buffer_};
    }

  private:
    HelperTable helpers_;
    Environment environment_;
    std::array<std::uint64_t, 8> buffer_{};
};

isa::Decoded insn(Op op, std::uint8_t dst, std::uint8_t src, std::int32_t imm) {
    const isa::OpInfo& row = isa::info(op);
    const bool is_memory = isa::access_bytes(op) != 0;
    const bool is_jump = isa::is_jump(row.shape);
    return {.op = op,
            .dst = dst,
            .src = row.src == isa::Field::Operand ? src : row.src_value,
            .off = is_memory ? std::int16_t{8}
                   : is_jump ? std::int16_t{1}
                             : row.off_value,
            .imm = row.imm == isa::Field::Operand ? imm : row.imm_value};
}

TEST_P(Pairs, AreWhatTheirInsnsAre) {
    const auto& [name, pair, first, second] = GetParam();
    unsigned as_one = 0;
    std::array<unsigned, 2> by_insns{}; // a jump leaves one out
    const auto compare = [&](const std::shared_ptr<exec::Code>& code,
                             std::optional<std::uint64_t> word) {
        code->is_verified = false;
        const Outcome expected = outcome(*code, word);
        if (expected.is_fault) {
            return; // what should be an address is none
        }
        as_one += code->slots[1].step == exec::step_of(pair);
        ++by_insns[expected.insns % 2];
        code->is_verified = true;
        ASSERT_EQ(outcome(*code, word), expected) << disassemble(code->program.insns).value();
    };
    for (unsigned regs = 0; regs < 81; ++regs) {
        const auto reg = [&](unsigned i) {
            return std::uint8_t(1 + regs / std::array{1U, 3U, 9U, 27U}[i] % 3);
        };
        for (const std::int32_t value : {0, 5, 16, -3}) {
            for (const std::int32_t imm : {0, 5, 21, 64}) {
                const auto code = resolve(program(insn(first, reg(0), reg(1), 5),
                                                  insn(second, reg(2), reg(3), imm), value));
                compare(code, std::nullopt);
                compare(code, 5);
                compare(code, 0x8899'aabb'ccdd'eeff);
            }
        }
    }
    EXPECT_GT(as_one, 0U);
    if (isa::is_jump(isa::shape_of(second))) {
        EXPECT_GT(by_insns[0], 0U);
        EXPECT_GT(by_insns[1], 0U);
    }
}

INSTANTIATE_TEST_SUITE_P(All, Pairs, testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

} // namespace
} // namespace ebpfvm::test
