// Decoded instructions as text in the kernel/LLVM dialect.
#pragma once

#include "isa/decode.hpp"

#include <string>

namespace ebpfvm::isa {

/// One instruction, e.g. "if w1 s> -7 goto +3". Jumps are relative, as in the encoding.
[[nodiscard]] std::string to_text(const Decoded& insn);

} // namespace ebpfvm::isa
