// Atomic operations that x86-64 has no insn for.
#pragma once

#include "isa/op_kind.hpp"

#include <asmjit/x86.h>

namespace ebpfvm::jit {

/// `at` op= `operand`, for Or, And and Xor; its old value is in `old`, which must be (part of) rax.
/// Overwrites `result`.
inline void emit_fetch_loop(asmjit::x86::Assembler& as, isa::AluOp op, const asmjit::x86::Mem& at,
                            const asmjit::x86::Gp& old, const asmjit::x86::Gp& result,
                            const asmjit::x86::Gp& operand) {
    const asmjit::Label again = as.newLabel();
    as.mov(old, at);
    as.bind(again);
    as.mov(result, old);
    if (op == isa::AluOp::Or) {
        as.or_(result, operand);
    } else if (op == isa::AluOp::And) {
        as.and_(result, operand);
    } else {
        as.xor_(result, operand);
    }
    as.lock();
    as.cmpxchg(at, result, old);
    as.jne(again);
}

} // namespace ebpfvm::jit
