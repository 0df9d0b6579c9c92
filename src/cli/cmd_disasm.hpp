// `ebpfvm disasm`: programs as text.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/error.hpp"

#include <string>

namespace ebpfvm::cli {

struct DisasmCommand {
    std::string file;
    std::string prog;         ///< empty: all
    bool with_source = false; ///< source lines before the insns made of them
    bool is_plain = false;    ///< nothing but what `ebpfvm asm` reads
};

/// Returns the exit code.
[[nodiscard]] Expected<int> disasm_command(const DisasmCommand& command, const Style& style);

} // namespace ebpfvm::cli
