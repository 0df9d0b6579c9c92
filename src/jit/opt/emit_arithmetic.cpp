// Arithmetic: what makes a value of one or two others.
#include "jit/opt/function_emitter.hpp"

namespace ebpfvm::jit::opt {

void FunctionEmitter::operate(asmjit::InstId id, const Node& node, unsigned i) {
    const x86::Gp to = sized(dst(), node.width);
    if (is_imm(i)) {
        as_.emit(id, to, asmjit::imm(std::int32_t(imm(i))));
    } else {
        as_.emit(id, to, sized(arg(i), node.width));
    }
}

void FunctionEmitter::commutative(asmjit::InstId id, Node node) {
    if (is_imm(1)) {
        if (id == x86::Inst::kIdAnd && std::uint64_t(imm(1)) <= 0xffff'ffff) {
            node.width = Width::W32; // the upper half becomes zero
        }
        begin_with(0, node.width);
        return operate(id, node, 1);
    }
    if (!is_imm(0) && dst() == arg(1)) {
        return operate(id, node, 0);
    }
    begin_with(0, node.width);
    operate(id, node, 1);
}

void FunctionEmitter::add(const Node& node) {
    const x86::Gp to = sized(dst(), node.width);
    if (is_imm(1)) {
        if (dst() == arg(0) && imm(1) == 1) {
            as_.inc(to);
        } else if (dst() == arg(0) && std::int32_t(imm(1)) == -1) {
            as_.dec(to);
        } else if (dst() == arg(0)) {
            operate(x86::Inst::kIdAdd, node, 1);
        } else {
            as_.lea(to, x86::ptr(arg(0), std::int32_t(imm(1))));
        }
    } else if (dst() == arg(0)) {
        as_.add(to, sized(arg(1), node.width));
    } else if (dst() == arg(1)) {
        as_.add(to, sized(arg(0), node.width));
    } else {
        as_.lea(to, x86::ptr(arg(0), arg(1)));
    }
}

void FunctionEmitter::multiply(const Node& node) {
    const x86::Gp to = sized(dst(), node.width);
    if (is_imm(1)) {
        const std::int64_t factor = imm(1);
        if (factor == 3 || factor == 5 || factor == 9) {
            as_.lea(to, x86::ptr(arg(0), arg(0), factor == 3 ? 1 : factor == 5 ? 2 : 3));
        } else {
            as_.imul(to, sized(arg(0), node.width), std::int32_t(factor));
        }
    } else if (dst() == arg(1)) {
        as_.imul(to, sized(arg(0), node.width));
    } else {
        begin_with(0, node.width);
        as_.imul(to, sized(arg(1), node.width));
    }
}

void FunctionEmitter::multiply_high() {
    begin_in(x86::rax, 0, Width::W64);
    as_.mul(arg(1));
    end_in(x86::rdx, Width::W64);
}

void FunctionEmitter::shift(const Node& node) {
    const x86::Gp to = sized(dst(), node.width);
    if (is_imm(1)) {
        return shift_by(node, to, unsigned(imm(1)));
    }
    if (!shared_.cpu.has_bmi2) {
        as_.mov(x86::rcx, arg(1));
        begin_with(0);
        if (node.kind == Kind::Shl) {
            as_.shl(to, x86::cl);
        } else if (node.kind == Kind::Shr) {
            as_.shr(to, x86::cl);
        } else {
            as_.sar(to, x86::cl);
        }
        if (node.width == Width::W32) {
            as_.mov(to, to); // a shift by 0 leaves the high half alone
        }
        return;
    }
    x86::Gp from = dst();
    if (is_imm(0)) {
        begin_with(0);
    } else {
        from = arg(0);
    }
    from = sized(from, node.width);
    const x86::Gp count = sized(arg(1), node.width);
    if (node.kind == Kind::Shl) {
        as_.shlx(to, from, count);
    } else if (node.kind == Kind::Shr) {
        as_.shrx(to, from, count);
    } else {
        as_.sarx(to, from, count);
    }
}

void FunctionEmitter::shift_by(const Node& node, const x86::Gp& to, unsigned count) {
    if (node.kind == Kind::Rotl) {
        const unsigned width = node.width == Width::W64 ? 64 : 32;
        if (shared_.cpu.has_bmi2 && dst() != arg(0)) {
            as_.rorx(to, sized(arg(0), node.width), width - count);
            return;
        }
        begin_with(0, node.width);
        as_.rol(to, count);
        return;
    }
    if (node.kind == Kind::Shl && count == 1 && dst() != arg(0)) {
        as_.lea(to, x86::ptr(arg(0), arg(0)));
        return;
    }
    begin_with(0, node.width);
    if (node.kind == Kind::Shl) {
        as_.shl(to, count);
    } else if (node.kind == Kind::Shr) {
        as_.shr(to, count);
    } else {
        as_.sar(to, count);
    }
}

void FunctionEmitter::divide(const Node& node) {
    const bool is_signed = node.kind == Kind::Sdiv || node.kind == Kind::Smod;
    const bool wants_quotient = node.kind == Kind::Udiv || node.kind == Kind::Sdiv;
    const Width width = node.width;
    const x86::Gp divisor = arg(1);
    const Label done = as_.newLabel();
    begin_in(x86::rax, 0, width);
    divide_by_zero(width, divisor, wants_quotient, done);
    if (is_signed) {
        divide_by_minus_one(width, divisor, wants_quotient, done);
        if (width == Width::W64) {
            as_.cqo();
        } else {
            as_.cdq();
        }
        as_.idiv(sized(divisor, width));
    } else {
        if (width == Width::W64 && !shared_.cpu.divides_fast) {
            divide_small(divisor, done);
        }
        as_.xor_(x86::edx, x86::edx);
        as_.div(sized(divisor, width));
    }
    as_.bind(done);
    end_in(wants_quotient ? x86::rax : x86::rdx, Width::W64);
}

// x / 0 == 0, x % 0 == x.
void FunctionEmitter::divide_by_zero(Width width, const x86::Gp& divisor, bool wants_quotient,
                                     const Label& done) {
    const Label by_zero = as_.newLabel();
    as_.test(sized(divisor, width), sized(divisor, width));
    jump_cold(x86::CondCode::kZero, by_zero);
    cold_.push_back([=, this] {
        bind(by_zero);
        if (wants_quotient) {
            as_.xor_(x86::eax, x86::eax);
        } else {
            as_.mov(sized(x86::rdx, width), sized(x86::rax, width));
        }
        as_.jmp(done);
    });
}

// Which idiv does not do to the smallest number.
void FunctionEmitter::divide_by_minus_one(Width width, const x86::Gp& divisor, bool wants_quotient,
                                          const Label& done) {
    const Label by_minus_one = as_.newLabel();
    as_.cmp(sized(divisor, width), -1);
    jump_cold(x86::CondCode::kEqual, by_minus_one);
    cold_.push_back([=, this] {
        bind(by_minus_one);
        if (wants_quotient) {
            as_.neg(sized(x86::rax, width));
        } else {
            as_.xor_(x86::edx, x86::edx);
        }
        as_.jmp(done);
    });
}

// Two numbers of 32 bits are divided faster as such.
void FunctionEmitter::divide_small(const x86::Gp& divisor, const Label& done) {
    const Label small = as_.newLabel();
    as_.mov(x86::gpq(kScratch), x86::rax);
    as_.or_(x86::gpq(kScratch), divisor);
    as_.shr(x86::gpq(kScratch), 32);
    jump_cold(x86::CondCode::kZero, small);
    cold_.push_back([=, this] {
        bind(small);
        as_.xor_(x86::edx, x86::edx);
        as_.div(divisor.r32());
        as_.jmp(done);
    });
}

void FunctionEmitter::zero_extend(const Node& node) {
    if (node.size == 1) {
        as_.movzx(dst().r32(), arg(0).r8());
    } else if (node.size == 2) {
        as_.movzx(dst().r32(), arg(0).r16());
    } else {
        as_.mov(dst().r32(), arg(0).r32());
    }
}

void FunctionEmitter::sign_extend(const Node& node) {
    const x86::Gp to = sized(dst(), node.width);
    if (node.size == 1) {
        as_.movsx(to, arg(0).r8());
    } else if (node.size == 2) {
        as_.movsx(to, arg(0).r16());
    } else if (node.width == Width::W64) {
        as_.movsxd(to, arg(0).r32());
    } else {
        as_.mov(to, arg(0).r32());
    }
}

void FunctionEmitter::swap_bytes(const Node& node) {
    begin_with(0);
    if (node.size == 2) {
        as_.rol(dst().r16(), 8);
        as_.movzx(dst().r32(), dst().r16());
    } else if (node.size == 4) {
        as_.bswap(dst().r32());
    } else {
        as_.bswap(dst());
    }
}

} // namespace ebpfvm::jit::opt
