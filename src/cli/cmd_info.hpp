// `ebpfvm info`: what an object contains.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/error.hpp"

#include <string>

namespace ebpfvm::cli {

struct InfoCommand {
    std::string object;
    bool with_relocs = false;
    bool json = false;
};

/// Returns the exit code.
[[nodiscard]] Expected<int> info_command(const InfoCommand& command, const Style& style);

} // namespace ebpfvm::cli
