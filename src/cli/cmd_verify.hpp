// `ebpfvm verify`: judges every program of some objects.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/verifier.hpp"

#include <string>
#include <vector>

namespace ebpfvm::cli {

struct VerifyCommand {
    std::vector<std::string> objects;
    std::string program;         ///< only this one; empty: all
    std::string type;            ///< of programs whose section says nothing
    VerifierOptions options{};
    bool json = false;
    std::string compare;         ///< results of an earlier --json run
};

/// Returns the exit code: kExitOk if all programs are accepted.
[[nodiscard]] Expected<int> verify_command(const VerifyCommand& command, const Style& style);

} // namespace ebpfvm::cli
