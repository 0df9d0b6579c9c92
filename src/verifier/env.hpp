// What checks and transfers need besides the state: the program, the path, and where to complain.
#pragma once

#include "ebpfvm/prog_type.hpp"
#include "prog/verified_program.hpp"
#include "verifier/code.hpp"
#include "verifier/path.hpp"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>

namespace ebpfvm::verifier {

/// The message of a slug's row, in fmt syntax.
[[nodiscard]] consteval std::string_view message_of(Slug slug) {
    switch (slug) {
#define EBPFVM_REJECT(name, slug_text, kind, message, help)                                        \
    case Slug::name:                                                                               \
        return message;
#include "ebpfvm/tables/diagnostics.def"
    }
    return {};
}

/// Why the path that is being explored ends the verification.
struct Rejection {
    Slug slug{};
    std::uint32_t insn = 0;
    std::string message;
    std::uint32_t culprit = kNoReg; ///< register that the message is about

    static constexpr std::uint32_t kNoReg = ~std::uint32_t{0};
};

class Env {
    std::array<std::byte, 16384> first_memory_; // enough for most programs

  public:
    Env(const Code& program, const VerifierOptions& verifier_options)
        : code(program), options(verifier_options), path(program, memory),
          ways(program.steps.size(), prog::Ways{}, &memory),
          accessed(program.steps.size(), RegType::NotInit, &memory),
          call_map(program.steps.size(), kNoMap, &memory), callbacks(&memory),
          called(program.subprogs.size(), false, &memory),
          stack_depth(program.subprogs.size(), 0, &memory) {}
    Env(const Env&) = delete;
    Env& operator=(const Env&) = delete;

    /// Remembers why, and returns false so that checks can end with it.
    template <Slug slug, class... Args>
    [[gnu::cold, nodiscard]] bool reject(Args&&... args) {
        constexpr std::string_view kMessage = message_of(slug);
        rejection.slug = slug;
        rejection.insn = at;
        rejection.culprit = Rejection::kNoReg;
        constexpr std::size_t kNumber = kMessage.find("r{}");
        if constexpr (kNumber != std::string_view::npos && kNumber + 1 == kMessage.find("{}")) {
            rejection.culprit = first_of(args...);
        }
        rejection.message =
            fmt::format(fmt::format_string<Args...>(kMessage), std::forward<Args>(args)...);
        return false;
    }

    [[nodiscard]] std::uint32_t fresh_id() { return ++last_id_; }
    [[nodiscard]] std::uint32_t fresh_pin() { return next_pin_++; }
    [[nodiscard]] std::uint32_t next_pin() const { return next_pin_; }
    [[nodiscard]] const MapSpec& map(const Reg& reg) const { return *code.maps[reg.aux]; }

    /// The current insn relies on the value that this register of the current frame has before it.
    void demand(const State& state, unsigned reg) {
        if (state.reg(reg).is_scalar()) {
            Places places;
            places.add_reg(state.depth() - 1, reg);
            path.demand_before_last(places);
        }
    }

    const Code& code;
    const VerifierOptions& options;
    /// For what lives as long as this: freed at once, at the end.
    std::pmr::monotonic_buffer_resource memory{first_memory_.data(), first_memory_.size()};
    FramePool pool{memory};
    Path path;
    std::shared_ptr<const CtxLayout> ctx{}; ///< null: the type has no layout
    Rejection rejection{};
    std::optional<State> begin{}; ///< how the paths begin that are being explored
    /// By slot: is it reached, and which ways can conditional jumps go? Of all that was judged,
    /// what turned out to be void as well.
    std::pmr::vector<prog::Ways> ways{};
    std::pmr::vector<RegType>
        accessed{}; ///< by slot: what a load or store went through, NotInit before
    /// By slot: index of the map that a call gets, kNoMap before, kManyMaps if it is not always
    /// one.
    static constexpr std::uint32_t kNoMap = ~std::uint32_t{0};
    static constexpr std::uint32_t kManyMaps = ~std::uint32_t{1};
    std::pmr::vector<std::uint32_t> call_map{};
    std::pmr::vector<prog::Callback> callbacks{};  ///< each once
    std::pmr::vector<bool> called{};               ///< global functions, by subprogram
    std::pmr::vector<std::uint32_t> stack_depth{}; ///< bytes used so far, by subprogram
    std::uint32_t at = 0;                          ///< slot of the current insn

  private:
    template <class Number, class... Rest>
    static std::uint32_t first_of(const Number& number, const Rest&...) {
        return std::uint32_t(number);
    }

    std::uint32_t last_id_ = 0;
    std::uint32_t next_pin_ = kFirstPin;
};

/// "packet of 14 bytes", "map_value_or_null", "scalar 0..255": a value in words.
[[nodiscard]] std::string describe(const Reg& reg);
/// "0..65535", "-1", "unknown".
[[nodiscard]] std::string describe(const Scalar& value);

} // namespace ebpfvm::verifier
