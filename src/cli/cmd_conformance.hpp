// `ebpfvm conformance`: runs the test files of bpf_conformance.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/error.hpp"
#include "ebpfvm/vm.hpp"

#include <string>
#include <vector>

namespace ebpfvm::cli {

struct ConformanceCommand {
    std::vector<std::string> paths; ///< .data files, or directories that are searched for them
    Engine engine = Engine::Interp;
    bool json = false;
};

/// Returns the exit code.
[[nodiscard]] Expected<int> conformance_command(const ConformanceCommand& command,
                                                const Style& style);

} // namespace ebpfvm::cli
