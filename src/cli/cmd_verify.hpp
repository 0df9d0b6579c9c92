// `ebpfvm verify`: judges every program of some objects.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/verifier.hpp"

#include <string>
#include <vector>

namespace ebpfvm::cli {

enum class LogForm : std::uint8_t { None, Kernel };

struct VerifyCommand {
    std::vector<std::string> objects{};
    std::string program{}; ///< only this one; empty: all
    std::string type{};    ///< of programs whose section says nothing
    VerifierOptions options{};
    unsigned repeat = 1;       ///< the fastest run counts
    std::uint64_t observe = 0; ///< insns to run and compare with the facts
    bool json = false;
    bool has_table = true;
    LogForm log = LogForm::None;
    std::string compare{}; ///< file with results of an earlier --json run; empty: none
};

/// Returns the exit code: kExitOk if all programs are accepted, kExitFailed if not, kExitError if
/// an object cannot be judged (the others are). Errors: those of the file to compare with.
[[nodiscard]] Expected<int> verify_command(const VerifyCommand& command, const Style& style);

} // namespace ebpfvm::cli
