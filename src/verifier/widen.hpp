// From two turns of a loop to a state that may cover all of them.
#pragma once

#include "verifier/env.hpp"

#include <optional>

namespace ebpfvm::verifier {

/// Constants that numbers are compared with, as limits that loop counters may reach; ascending.
[[nodiscard]] std::vector<std::uint64_t> thresholds_of(const Code& code);

/// What of two states of one insn is extrapolated.
enum class Widening : std::uint8_t {
    Everything, ///< each number that changed, up to the next threshold
    Undemanded, ///< only numbers that nothing has relied on so far, to any number
};

/// A state that covers `now` and, in the direction of the change since `before`, more. What changed
/// gets pinned ids, one for all places that hold the same number. None if the states differ in more
/// than values.
[[nodiscard]] std::optional<State> widen(Env& env, const Node& before, const State& now,
                                         std::span<const std::uint64_t> thresholds, Widening how);

} // namespace ebpfvm::verifier
