// Arithmetic, insn by insn. What shifts and divisions need of rax, rcx and rdx is put back.
#include "jit/emitter.hpp"

#include <utility>

namespace ebpfvm::jit {

using isa::AluOp;
using isa::Width;

x86::Gp Emitter::reg(unsigned number, Width width) const {
    return sized(kRegs[number], width);
}

void Emitter::load_imm(const x86::Gp& reg, std::uint64_t value) {
    if (value == 0) {
        as_.xor_(reg.r32(), reg.r32());
    } else if (value <= 0xffff'ffff) {
        as_.mov(reg.r32(), value);
    } else {
        as_.mov(reg.r64(), value); // sign extended if that is enough
    }
}

// A constant that the program chose. If it must not be seen, two others are: it is their xor.
void Emitter::load_constant(const x86::Gp& reg, std::uint64_t value) {
    if (!code_.blinds_constants) {
        return load_imm(reg, value);
    }
    const std::uint64_t key = keys_.next();
    const bool is_signed = value == std::uint64_t(std::int64_t(std::int32_t(value)));
    if (value > 0xffff'ffff && !is_signed) {
        as_.mov(reg.r64(), value ^ key);
        as_.mov(kScratch0, key);
        as_.xor_(reg.r64(), kScratch0);
        return;
    }
    as_.mov(reg.r32(), std::uint32_t(value ^ key));
    as_.xor_(reg.r32(), std::uint32_t(key));
    if (value > 0xffff'ffff) {
        as_.movsxd(reg.r64(), reg.r32());
    }
}

// Addresses that were put in for maps and functions are not the program's choice.
void Emitter::lddw(isa::Op op, const Slot& slot) {
    const auto value = std::uint64_t(slot.imm);
    if (op == isa::Op::LddwImm64) {
        load_constant(kRegs[slot.dst], value);
    } else {
        load_imm(kRegs[slot.dst], value);
    }
}

// The register that holds the right operand: kScratch0 for a constant.
x86::Gp Emitter::source(Width width, const Slot& slot, bool is_imm) {
    if (!is_imm) {
        return reg(slot.src, width);
    }
    load_constant(kScratch0,
                  width == Width::W64 ? std::uint64_t(slot.imm) : std::uint32_t(slot.imm));
    return sized(kScratch0, width);
}

void Emitter::alu(AluOp op, Width width, const Slot& slot, bool is_imm) {
    switch (op) {
    case AluOp::Add:
        return alu_insn(x86::Inst::kIdAdd, width, slot, is_imm);
    case AluOp::Sub:
        return alu_insn(x86::Inst::kIdSub, width, slot, is_imm);
    case AluOp::Or:
        return alu_insn(x86::Inst::kIdOr, width, slot, is_imm);
    case AluOp::And:
        return alu_insn(x86::Inst::kIdAnd, width, slot, is_imm);
    case AluOp::Xor:
        return alu_insn(x86::Inst::kIdXor, width, slot, is_imm);
    case AluOp::Mul:
        return multiply(width, slot, is_imm);
    case AluOp::Mov:
        return move(width, slot, is_imm);
    case AluOp::Lsh:
    case AluOp::Rsh:
    case AluOp::Arsh:
        return shift(op, width, slot, is_imm);
    case AluOp::Div:
    case AluOp::Sdiv:
    case AluOp::Mod:
    case AluOp::Smod:
        return divide(op, width, slot, is_imm);
    }
    std::unreachable();
}

// What x86 has an insn for.
void Emitter::alu_insn(asmjit::InstId id, Width width, const Slot& slot, bool is_imm) {
    const x86::Gp dst = reg(slot.dst, width);
    if (shows(is_imm)) {
        as_.emit(id, dst, asmjit::imm(std::int32_t(slot.imm)));
    } else {
        as_.emit(id, dst, source(width, slot, is_imm));
    }
}

void Emitter::multiply(Width width, const Slot& slot, bool is_imm) {
    const x86::Gp dst = reg(slot.dst, width);
    if (shows(is_imm)) {
        as_.imul(dst, dst, std::int32_t(slot.imm));
    } else {
        as_.imul(dst, source(width, slot, is_imm));
    }
}

void Emitter::move(Width width, const Slot& slot, bool is_imm) {
    if (is_imm) {
        load_constant(kRegs[slot.dst],
                      width == Width::W64 ? std::uint64_t(slot.imm) : std::uint32_t(slot.imm));
    } else if (width == Width::W32 || slot.dst != slot.src) {
        as_.mov(reg(slot.dst, width), reg(slot.src, width));
    }
}

void Emitter::shift(AluOp op, Width width, const Slot& slot, bool is_imm) {
    const x86::Gp dst = reg(slot.dst, width);
    const unsigned mask = width == Width::W64 ? 63 : 31;
    if (shows(is_imm)) {
        const unsigned count = unsigned(slot.imm) & mask;
        if (op == AluOp::Lsh) {
            as_.shl(dst, count);
        } else if (op == AluOp::Rsh) {
            as_.shr(dst, count);
        } else {
            as_.sar(dst, count);
        }
        if (count == 0 && width == Width::W32) {
            as_.mov(dst, dst); // a shift by 0 leaves the high half alone
        }
        return;
    }
    if (cpu_.has_bmi2) {
        const x86::Gp src = source(width, slot, is_imm);
        if (op == AluOp::Lsh) {
            as_.shlx(dst, dst, src);
        } else if (op == AluOp::Rsh) {
            as_.shrx(dst, dst, src);
        } else {
            as_.sarx(dst, dst, src);
        }
        return;
    }
    // The count must be in cl, which is a BPF register.
    as_.mov(kScratch0, x86::rcx);
    as_.mov(kScratch2, kRegs[slot.dst]);
    if (is_imm) {
        load_constant(x86::rcx, std::uint64_t(slot.imm) & mask);
    } else {
        as_.mov(x86::rcx, kRegs[slot.src]);
    }
    const x86::Gp value = sized(kScratch2, width);
    if (op == AluOp::Lsh) {
        as_.shl(value, x86::cl);
    } else if (op == AluOp::Rsh) {
        as_.shr(value, x86::cl);
    } else {
        as_.sar(value, x86::cl);
    }
    as_.mov(x86::rcx, kScratch0);
    as_.mov(dst, value); // 32 bits: zero extends, even if the count was 0
}

// In a register that division leaves alone.
x86::Gp Emitter::divisor_of(Width width, const Slot& slot, bool is_imm) {
    if (!is_imm && kRegs[slot.src] != x86::rax && kRegs[slot.src] != x86::rdx) {
        return reg(slot.src, width);
    }
    const x86::Gp divisor = sized(kScratch0, width);
    if (shows(is_imm)) {
        as_.mov(divisor, std::int32_t(slot.imm)); // sign extends
    } else if (is_imm) {
        (void)source(width, slot, is_imm);
    } else {
        as_.mov(divisor, reg(slot.src, width));
    }
    return divisor;
}

void Emitter::divide(AluOp op, Width width, const Slot& slot, bool is_imm) {
    const bool is_signed = op == AluOp::Sdiv || op == AluOp::Smod;
    const bool wants_quotient = op == AluOp::Div || op == AluOp::Sdiv;
    const x86::Gp dst = reg(slot.dst, width);
    const x86::Gp divisor = divisor_of(width, slot, is_imm);
    const Label by_zero = as_.newLabel();
    const Label by_minus_one = as_.newLabel();
    const Label done = as_.newLabel();
    const auto imm = std::int32_t(slot.imm);
    const bool is_known = shows(is_imm) && imm != 0 && imm != -1;
    if (!is_known) {
        as_.test(divisor, divisor);
        as_.jz(by_zero);
    }
    if (is_signed && !is_known) {
        as_.cmp(divisor, -1);
        as_.je(by_minus_one);
    }
    // rax and rdx are BPF registers, perhaps dst itself.
    const bool is_rax = kRegs[slot.dst] == x86::rax;
    const bool is_rdx = kRegs[slot.dst] == x86::rdx;
    if (!is_rax) {
        store_count();
        as_.mov(kScratch1, x86::rax);
    }
    if (!is_rdx) {
        as_.mov(kScratch2, x86::rdx);
    }
    if (!is_rax) {
        as_.mov(sized(x86::rax, width), dst);
    }
    if (is_signed) {
        if (width == Width::W64) {
            as_.cqo();
        } else {
            as_.cdq();
        }
        as_.idiv(divisor);
    } else {
        as_.xor_(x86::edx, x86::edx);
        as_.div(divisor);
    }
    const x86::Gp result = sized(wants_quotient ? x86::rax : x86::rdx, width);
    if (kRegs[slot.dst] != result.r64()) {
        as_.mov(dst, result);
    }
    if (!is_rax) {
        as_.mov(x86::rax, kScratch1);
        load_count();
    }
    if (!is_rdx) {
        as_.mov(x86::rdx, kScratch2);
    }
    if (is_known) {
        return;
    }
    const bool is_nop = !is_signed && !wants_quotient && width == Width::W64; // x % 0 == x
    if (!is_nop) {
        as_.jmp(done);
    }
    if (is_signed) {
        as_.bind(by_minus_one);
        if (wants_quotient) {
            as_.neg(dst);
        } else {
            as_.xor_(dst.r32(), dst.r32());
        }
        as_.jmp(done);
    }
    as_.bind(by_zero);
    if (wants_quotient) {
        as_.xor_(dst.r32(), dst.r32());
    } else if (width == Width::W32) {
        as_.mov(dst, dst);
    }
    as_.bind(done);
}

void Emitter::negate(Width width, const Slot& slot) {
    as_.neg(reg(slot.dst, width));
}

void Emitter::sign_extend(unsigned bits, Width width, const Slot& slot) {
    const x86::Gp dst = reg(slot.dst, width);
    const x86::Gp src = kRegs[slot.src];
    if (bits == 8) {
        as_.movsx(dst, src.r8());
    } else if (bits == 16) {
        as_.movsx(dst, src.r16());
    } else {
        as_.movsxd(dst, src.r32());
    }
}

void Emitter::swap(unsigned bits, bool swaps, const Slot& slot) {
    const x86::Gp dst = kRegs[slot.dst];
    if (bits == 16) {
        if (swaps) {
            as_.ror(dst.r16(), 8);
        }
        as_.movzx(dst.r32(), dst.r16());
    } else if (bits == 32) {
        if (swaps) {
            as_.bswap(dst.r32());
        } else {
            as_.mov(dst.r32(), dst.r32());
        }
    } else if (swaps) {
        as_.bswap(dst);
    }
}

} // namespace ebpfvm::jit
