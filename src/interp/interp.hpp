// The interpreter: runs compiled programs, with or without run-time checks.
#pragma once

#include "interp/run_state.hpp"

namespace ebpfvm::interp {

enum class Mode : std::uint8_t {
    Checked,   ///< for any program: each access and call is checked, the budget holds
    Watched,   ///< the same, and RunInput::watch sees each insn
    Unchecked, ///< only for programs that a verifier has passed, their context accesses rewritten
};

/// Runs `code` to its end. Allocates nothing unless it faults. Re-entrant.
[[nodiscard]] RunResult run_checked(const Code& code, const RunInput& input);
[[nodiscard]] RunResult run_watched(const Code& code, const RunInput& input);
[[nodiscard]] RunResult run_unchecked(const Code& code, const RunInput& input);

} // namespace ebpfvm::interp
