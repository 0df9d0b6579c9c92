// Exit codes of the commands; docs/cli.md lists them.
#pragma once

namespace ebpfvm::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1; ///< tests failed
inline constexpr int kExitError = 2;  ///< wrong usage, bad input
inline constexpr int kExitFault = 3;  ///< the program was stopped

} // namespace ebpfvm::cli
