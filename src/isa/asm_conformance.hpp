// bpf_conformance's dialect of assembly text: `add %r0, 1`, `jne %r1, 0xb, exit`.
#pragma once

#include "isa/asm_operands.hpp"

namespace ebpfvm::isa {

/// Does the line at `in` begin with a mnemonic of this dialect? `exit` and `call` do not count:
/// kernel_statement() reads those of both dialects.
[[nodiscard]] bool is_conformance_statement(const Cursor& in);

/// Reads one instruction of such a line, whose rest the caller must check.
[[nodiscard]] Expected<Statement> conformance_statement(Cursor& in);

} // namespace ebpfvm::isa
