// Conditional jumps: which edges are possible, and what each of them teaches.
#pragma once

#include "verifier/env.hpp"

namespace ebpfvm::verifier {

[[nodiscard]] bool check_jmp(Env& env, const State& state, const Step& step);

enum class Edges : std::uint8_t { Fall, Taken, Both };

/// Narrows `state` to the possible edge, or, if both are, `state` to the one that falls through and
/// `taken` (made here) to the other.
[[nodiscard]] Edges transfer_jmp(Env& env, State& state, State& taken, const Step& step);

/// Everything that shares `null_id` turns into a pointer that is not null, or into 0.
void resolve_null(State& state, std::uint32_t null_id, bool is_null);

} // namespace ebpfvm::verifier
