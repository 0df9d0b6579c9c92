// The interpreter: runs compiled programs, with or without run-time checks.
#pragma once

#include "interp/run_state.hpp"

namespace ebpfvm::interp {

/// Runs `code` to its end, without checks if it is verified. Allocates nothing unless it faults.
/// Re-entrant.
[[nodiscard]] RunResult run(const Code& code, const RunInput& input);

/// The same without checks in any case: for measuring what checks cost, with programs known to be
/// good. Tail calls and context fields are out of bounds for them.
[[nodiscard]] RunResult run_unchecked(const Code& code, const RunInput& input);

} // namespace ebpfvm::interp
