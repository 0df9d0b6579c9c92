// Arithmetic, moves and the two-slot loads.
#pragma once

#include "verifier/env.hpp"

namespace ebpfvm::verifier {

/// Are the operands initialised, and is this arithmetic that pointers allow?
[[nodiscard]] bool check_alu(Env& env, const State& state, const Step& step);
/// dst = dst op src, after check_alu().
void transfer_alu(Env& env, State& state, const Step& step);

/// May dst hold what the lddw means?
[[nodiscard]] bool check_lddw(Env& env, const Step& step);
void transfer_lddw(State& state, const Step& step);

[[nodiscard]] bool check_init(Env& env, const State& state, unsigned reg);

} // namespace ebpfvm::verifier
