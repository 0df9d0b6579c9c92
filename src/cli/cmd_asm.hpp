// `ebpfvm asm`: text to bytecode.
#pragma once

#include "ebpfvm/error.hpp"

#include <string>

namespace ebpfvm::cli {

enum class AsmForm : std::uint8_t { Raw, Hex, Bpft };

struct AsmCommand {
    std::string file;
    std::string out;  ///< empty: stdout
    std::string type; ///< of the program in bpft; empty: unspecified
    AsmForm form = AsmForm::Raw;
};

/// Returns the exit code.
[[nodiscard]] Expected<int> asm_command(const AsmCommand& command);

} // namespace ebpfvm::cli
