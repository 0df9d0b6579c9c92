// The kernel's and LLVM's dialect of assembly text: `r0 += r1`, `if w1 s> -7 goto +3`.
#pragma once

#include "isa/asm_operands.hpp"

namespace ebpfvm::isa {

/// Reads one instruction, whatever to_text() prints and what LLVM prints instead. The caller must
/// check the rest of the line. `call` takes both dialects' operands.
[[nodiscard]] Expected<Statement> kernel_statement(Cursor& in);

} // namespace ebpfvm::isa
