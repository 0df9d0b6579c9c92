// The interpreter: runs resolved programs, with or without run-time checks.
#pragma once

#include "exec/run_state.hpp"

namespace ebpfvm::interp {

using exec::Code;
using exec::RunInput;

/// Runs `code` to its end, without checks if it is verified. Allocates nothing unless it faults.
/// Re-entrant.
[[nodiscard]] RunResult run(const Code& code, const RunInput& input);

} // namespace ebpfvm::interp
