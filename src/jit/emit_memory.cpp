// Loads, stores and atomic operations. In checked mode the current frame and the packet are checked
// inline; everything else goes through a C++ function.
#include "jit/emitter.hpp"
#include "jit/thunks.hpp"

#include <bit>
#include <cstddef>

namespace ebpfvm::jit {

using isa::AluOp;
using isa::Width;

namespace {

unsigned bytes(Width width) {
    return width == Width::W64 ? 8 : 4;
}

} // namespace

x86::Mem Emitter::plain_address(unsigned base, std::int32_t off, unsigned size) {
    if (base < kRegCount) {
        return x86::ptr(kRegs[base], off, size);
    }
    return host_field(base, off, size);
}

// The host's object, or its packet: where there is one, the object begins with it.
x86::Mem Emitter::host_field(unsigned base, std::int32_t off, unsigned size) {
    uses_ctx_ = true;
    if (is_leaf_) {
        return x86::ptr(kState, off, size);
    }
    as_.mov(kScratch0, state_field(base == exec::kHostCtxReg ? offsets::kCtx : offsets::kPacket));
    return x86::ptr(kScratch0, off, size);
}

void Emitter::check_window(unsigned base, std::int32_t off, unsigned size, const Label& rare) {
    const Label ok = as_.newLabel();
    as_.lea(kScratch0, x86::ptr(kRegs[base], off));
    as_.mov(kScratch2, kFp);
    as_.sub(kScratch2, kScratch0);
    as_.sub(kScratch2, size); // what is left of the frame above the access
    as_.cmp(kScratch2, exec::kStackSize - size);
    as_.jbe(ok);
    as_.mov(kScratch2, state_field(offsets::kWindow));
    as_.cmp(kScratch0, x86::ptr(kScratch2, offsetof(Packet, data_meta), 8));
    as_.jb(rare);
    as_.mov(kScratch2, x86::ptr(kScratch2, offsetof(Packet, data_end), 8));
    as_.sub(kScratch2, kScratch0);
    as_.jb(rare);
    as_.cmp(kScratch2, size);
    as_.jb(rare);
    as_.bind(ok);
}

void Emitter::load(unsigned size, bool sign_extends, const Slot& slot) {
    x86::Mem at;
    Label back;
    if (checks_) {
        const Label rare = as_.newLabel();
        back = as_.newLabel();
        check_window(slot.src, slot.off, size, rare);
        rare_.push_back(
            {rare, back, &slot, Rare::Kind::Load, address_of(load_elsewhere), insns_behind_});
        at = x86::ptr(kScratch0, 0, size);
    } else {
        at = plain_address(slot.src, slot.off, size);
    }
    const x86::Gp dst = kRegs[slot.dst];
    if (sign_extends) {
        if (size == 4) {
            as_.movsxd(dst, at);
        } else {
            as_.movsx(dst, at);
        }
    } else if (size < 4) {
        as_.movzx(dst.r32(), at);
    } else {
        as_.mov(low(dst, size), at);
    }
    if (checks_) {
        as_.bind(back);
    }
}

void Emitter::store(unsigned size, const Slot& slot, bool is_imm) {
    if (!checks_) {
        return store_value(size, plain_address(slot.dst, slot.off, size), slot, is_imm);
    }
    const Label rare = as_.newLabel();
    const Label back = as_.newLabel();
    check_window(slot.dst, slot.off, size, rare);
    rare_.push_back({rare, back, &slot, Rare::Kind::Store, address_of(store_elsewhere),
                     insns_behind_, is_imm ? x86::Gp() : kRegs[slot.src]});
    store_value(size, x86::ptr(kScratch0, 0, size), slot, is_imm);
    as_.bind(back);
}

void Emitter::store_value(unsigned size, const x86::Mem& at, const Slot& slot, bool is_imm) {
    if (!is_imm) {
        as_.mov(at, low(kRegs[slot.src], size));
    } else if (size < 8) {
        const std::uint64_t mask = (std::uint64_t{1} << (8 * size)) - 1;
        as_.mov(at, asmjit::imm(std::uint64_t(slot.imm) & mask));
    } else if (slot.imm == std::int32_t(slot.imm)) {
        as_.mov(at, asmjit::imm(slot.imm));
    } else {
        as_.mov(kScratch1, slot.imm);
        as_.mov(at, kScratch1);
    }
}

void Emitter::store_widened(const Slot& slot) {
    as_.mov(kScratch1, slot.imm);
    as_.and_(kScratch1, kRegs[slot.src]);
    as_.mov(host_field(exec::kHostCtxReg, slot.off, slot.dst), low(kScratch1, slot.dst));
}

void Emitter::packet_len(const Slot& slot) {
    const x86::Gp dst = kRegs[slot.dst];
    as_.mov(dst, host_field(exec::kPacketReg, offsetof(Packet, data_end), 8));
    as_.sub(dst, host_field(exec::kPacketReg, offsetof(Packet, data), 8));
    if (slot.off != 0) {
        as_.shr(dst, slot.off);
    }
    if (slot.imm != -1) {
        as_.mov(kScratch0, slot.imm);
        as_.and_(dst, kScratch0);
    }
}

void Emitter::scale(const x86::Gp& reg, std::uint32_t factor) {
    if (std::has_single_bit(factor)) {
        as_.shl(reg, std::countr_zero(factor));
    } else {
        as_.imul(reg, reg, factor);
    }
}

void Emitter::array_lookup(const Slot& slot) {
    const auto& array = *reinterpret_cast<const exec::ArrayLookup*>(slot.imm);
    const Label none = as_.newLabel();
    const Label done = as_.newLabel();
    as_.mov(x86::eax, x86::dword_ptr(kRegs[2]));
    as_.cmp(x86::eax, array.count);
    as_.jae(none);
    scale(x86::rax, array.stride);
    as_.mov(kScratch0, array.begin);
    as_.add(x86::rax, kScratch0);
    if (array.cpu_stride != 0) {
        as_.mov(kScratch0.r32(), state_field(offsets::kCpu, 4));
        scale(kScratch0, array.cpu_stride);
        as_.add(x86::rax, kScratch0);
    }
    as_.jmp(done);
    as_.bind(none);
    as_.xor_(x86::eax, x86::eax);
    as_.bind(done);
}

// The memory that an atomic operation works on; in checked mode it has been checked.
x86::Mem Emitter::atomic_address(unsigned base, unsigned size, const Slot& slot) {
    if (!checks_) {
        return x86::ptr(kRegs[base], slot.off, size);
    }
    const Label rare = as_.newLabel();
    const Label back = as_.newLabel();
    as_.lea(kScratch0, x86::ptr(kRegs[base], slot.off));
    as_.test(kScratch0, size - 1);
    as_.jnz(rare);
    check_window(base, slot.off, size, rare);
    as_.bind(back);
    rare_.push_back(
        {rare, back, &slot, Rare::Kind::Atomic, address_of(check_atomic), insns_behind_});
    return x86::ptr(kScratch0, 0, size);
}

void Emitter::atomic(AluOp op, Width width, const Slot& slot) {
    const x86::Mem at = atomic_address(slot.dst, bytes(width), slot);
    const x86::Gp src = reg(slot.src, width);
    as_.lock();
    switch (op) {
    case AluOp::Add:
        as_.add(at, src);
        return;
    case AluOp::Or:
        as_.or_(at, src);
        return;
    case AluOp::And:
        as_.and_(at, src);
        return;
    default: // there is no other
        as_.xor_(at, src);
        return;
    }
}

// src = old value; memory = old value op src.
void Emitter::fetch(AluOp op, Width width, const Slot& slot) {
    x86::Mem at = atomic_address(slot.dst, bytes(width), slot);
    const x86::Gp src = reg(slot.src, width);
    if (op == AluOp::Add) {
        as_.lock();
        as_.xadd(at, src);
        return;
    }
    // cmpxchg wants the old value in rax, which is r0: perhaps the address, perhaps src.
    const Label again = as_.newLabel();
    if (!checks_) {
        as_.lea(kScratch0, at);
        at = x86::ptr(kScratch0, 0, bytes(width));
    }
    const bool is_rax = kRegs[slot.src] == x86::rax;
    as_.mov(kScratch1, x86::rax); // r0, or src itself
    const x86::Gp operand = is_rax ? low(kScratch1, bytes(width)) : src;
    const x86::Gp old = low(x86::rax, bytes(width));
    const x86::Gp result = low(kScratch2, bytes(width));
    as_.mov(old, at);
    as_.bind(again);
    as_.mov(result, old);
    if (op == AluOp::Or) {
        as_.or_(result, operand);
    } else if (op == AluOp::And) {
        as_.and_(result, operand);
    } else {
        as_.xor_(result, operand);
    }
    as_.lock();
    as_.cmpxchg(at, result, old);
    as_.jne(again);
    as_.mov(old, old); // 32 bits: zero extends
    if (!is_rax) {
        as_.mov(src, old);
        as_.mov(x86::rax, kScratch1);
    }
}

void Emitter::exchange(Width width, const Slot& slot) {
    const x86::Mem at = atomic_address(slot.dst, bytes(width), slot);
    as_.xchg(at, reg(slot.src, width)); // locks by itself
}

// r0 = old value; memory = src if the old value was r0.
void Emitter::compare_exchange(Width width, const Slot& slot) {
    const x86::Mem at = atomic_address(slot.dst, bytes(width), slot);
    const x86::Gp old = low(x86::rax, bytes(width));
    as_.lock();
    as_.cmpxchg(at, reg(slot.src, width), old);
    if (width == Width::W32) {
        as_.mov(old, old); // if they were equal, nothing was written to it
    }
}

// x86 loads acquire and stores release by themselves.
void Emitter::ordered_load(unsigned size, const Slot& slot) {
    const x86::Mem at = atomic_address(slot.src, size, slot);
    if (size < 4) {
        as_.movzx(kRegs[slot.dst].r32(), at);
    } else {
        as_.mov(low(kRegs[slot.dst], size), at);
    }
}

void Emitter::ordered_store(unsigned size, const Slot& slot) {
    as_.mov(atomic_address(slot.dst, size, slot), low(kRegs[slot.src], size));
}

void Emitter::load_packet(const Slot& slot, bool is_indirect) {
    if (is_indirect) {
        as_.mov(kScratch1.r32(), kRegs[slot.src].r32());
        as_.add(kScratch1.r32(), std::int32_t(slot.imm));
    } else {
        as_.mov(kScratch1.r32(), std::int32_t(slot.imm));
    }
    as_.mov(x86::rdi, kState);
    as_.mov(x86::esi, kScratch1.r32());
    as_.mov(x86::rdx, address_of(&slot));
    as_.mov(x86::rcx, kRegs[6]);
    call_address(address_of(jit::load_packet));
    const Label ok = as_.newLabel();
    as_.cmp(x86::al, std::uint8_t(PacketLoad::Ok));
    as_.je(ok);
    if (checks_) {
        const Label outside = as_.newLabel();
        as_.test(x86::al, x86::al);
        as_.jnz(outside);
        as_.add(state_field(offsets::kInsnsLeft), insns_behind_);
        as_.jmp(leave_);
        as_.bind(outside);
        as_.mov(kScratch0, address_of(&slot));
        as_.mov(state_field(offsets::kEnd), kScratch0);
        as_.add(state_field(offsets::kInsnsLeft), insns_behind_ - 1);
    }
    as_.xor_(x86::eax, x86::eax);
    as_.jmp(exit_);
    as_.bind(ok);
    as_.mov(x86::rax, state_field(offsets::kValue));
    if (checks_) {
        clear_call_regs();
    }
}

} // namespace ebpfvm::jit
