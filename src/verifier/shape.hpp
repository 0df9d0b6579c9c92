// What can be judged of a program without exploring it.
#pragma once

#include "verifier/env.hpp"

namespace ebpfvm::verifier {

/// Program type, unreachable insns, maps that the program type may use. Sets env.ctx.
[[nodiscard]] bool check_shape(Env& env);

/// Joined states prove no loop to end: only those with a limit of their own are allowed.
[[nodiscard]] bool check_loops(Env& env);

/// Does the signature of a global function say enough to verify it alone?
[[nodiscard]] bool check_signature(Env& env, std::uint32_t subprog);

/// Is there a chain of calls that needs more stack than allowed, or a recursion? `deepest` gets the
/// bytes of the deepest chain. After exploration, which measures the frames.
[[nodiscard]] bool check_stack_depth(Env& env, std::uint32_t& deepest);

} // namespace ebpfvm::verifier
