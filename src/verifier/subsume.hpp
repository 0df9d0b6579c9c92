// Does an explored state cover the current one?
#pragma once

#include "verifier/path.hpp"

namespace ebpfvm::verifier {

enum class Compare : std::uint8_t {
    Demanded, ///< numbers that no later decision relied on match anything
    All,      ///< what follows the explored state is not known yet: everything live must match
    Exact,    ///< nothing changed at all
};

/// True if whatever was (or will be) found of `node.state` holds for `state` at the same insn.
/// `relied` gets the places of `state` whose numbers that depends on, besides those demanded of the
/// node.
[[nodiscard]] bool covers(const Code& code, const Node& node, const State& state, Compare mode,
                          Places& relied);

/// Do the states (of one insn) have the same chain of calls?
[[nodiscard]] bool is_same_place(const State& a, const State& b);

/// Registers of frame `index` that may be read from the state's position on.
[[nodiscard]] std::uint16_t live_regs(const Code& code, const State& state, std::uint32_t insn,
                                      unsigned index);

} // namespace ebpfvm::verifier
