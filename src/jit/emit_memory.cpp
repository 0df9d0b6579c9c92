// Loads, stores and atomic operations. In checked mode each register knows the memory that it
// pointed into when it was last used; what goes elsewhere goes through a C++ function.
#include "jit/emitter.hpp"
#include "jit/fetch_loop.hpp"
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

// Is it in the current frame for sure? Programs cannot write r10.
bool Emitter::is_in_frame(unsigned base, std::int32_t off, unsigned size) const {
    return base == kFramePointer && off >= -std::int32_t(exec::kStackSize) &&
           off <= -std::int32_t(size);
}

// Jumps to `rare` if the address in kScratch2 is outside of what `base` reached.
void Emitter::check_reach(unsigned base, unsigned size, Access access, const Label& rare) {
    const unsigned at = reach_of(base);
    reaches_[at_] = std::uint8_t(at);
    const std::size_t reach = std::size_t(offsets::kReach) + at * sizeof(exec::Reach);
    const std::size_t starts =
        access == Access::Read ? offsetof(exec::Reach, loads) : offsetof(exec::Reach, stores);
    as_.sub(kScratch2, state_field(int(reach + offsetof(exec::Reach, begin))));
    as_.cmp(kScratch2, state_field(int(reach + starts) + 8 * std::countr_zero(size)));
    as_.jae(rare);
}

// Where a load or store goes. What is not known inline to be allowed, C++ does, and goes on at
// `back`.
x86::Mem Emitter::checked_address(unsigned base, const Slot& slot, unsigned size, Access access,
                                  const Label& back) {
    const x86::Mem at = x86::ptr(kRegs[base], slot.off, size);
    if (is_in_frame(base, slot.off, size)) {
        return at;
    }
    const Label rare = as_.newLabel();
    rare_.push_back({rare, back, std::uint32_t(at_), Stop::Faulted});
    if (base == kFramePointer) { // another frame, if anything
        as_.jmp(rare);
        return at;
    }
    if (slot.off == 0) {
        as_.mov(kScratch2, kRegs[base]);
    } else {
        as_.lea(kScratch2, at);
    }
    check_reach(base, size, access, rare);
    return at;
}

void Emitter::load(unsigned size, bool sign_extends, const Slot& slot) {
    const Label back = checks_ ? as_.newLabel() : Label();
    const x86::Mem at = checks_ ? checked_address(slot.src, slot, size, Access::Read, back)
                                : plain_address(slot.src, slot.off, size);
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
    const Label back = as_.newLabel();
    store_value(size, checked_address(slot.dst, slot, size, Access::Write, back), slot, is_imm);
    as_.bind(back);
}

void Emitter::store_value(unsigned size, const x86::Mem& at, const Slot& slot, bool is_imm) {
    if (!is_imm) {
        as_.mov(at, low(kRegs[slot.src], size));
    } else if (!shows(is_imm)) { // `at` may need kScratch0
        load_constant(kScratch2, size == 8 ? std::uint64_t(slot.imm) : std::uint32_t(slot.imm));
        as_.mov(at, low(kScratch2, size));
    } else if (size < 8) {
        const std::uint64_t mask = (std::uint64_t{1} << (8 * size)) - 1;
        as_.mov(at, asmjit::imm(std::uint64_t(slot.imm) & mask));
    } else if (slot.imm == std::int32_t(slot.imm)) {
        as_.mov(at, asmjit::imm(slot.imm));
    } else {
        as_.mov(kScratch2, slot.imm);
        as_.mov(at, kScratch2);
    }
}

void Emitter::store_widened(const Slot& slot) {
    as_.mov(kScratch2, slot.imm);
    as_.and_(kScratch2, kRegs[slot.src]);
    as_.mov(host_field(exec::kHostCtxReg, slot.off, slot.dst), low(kScratch2, slot.dst));
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
    const Label done = as_.newLabel();
    const x86::Gp index = kScratch2;
    as_.mov(index.r32(), x86::dword_ptr(kRegs[2]));
    as_.xor_(x86::eax, x86::eax);
    as_.cmp(index.r32(), array.count);
    as_.jae(done);
    scale(index, array.stride);
    as_.mov(x86::rax, array.begin);
    as_.add(x86::rax, index);
    if (array.cpu_stride != 0) {
        as_.mov(kScratch0.r32(), state_field(offsets::kCpu, 4));
        scale(kScratch0, array.cpu_stride);
        as_.add(x86::rax, kScratch0);
    }
    as_.bind(done);
}

// The memory that an atomic operation works on; in checked mode it has been checked.
x86::Mem Emitter::atomic_address(unsigned base, unsigned size, Access access, const Slot& slot) {
    const x86::Mem at = x86::ptr(kRegs[base], slot.off, size);
    const bool is_aligned = slot.off % std::int32_t(size) == 0; // if the base is
    if (!checks_ || (is_in_frame(base, slot.off, size) && is_aligned)) {
        return at;
    }
    const Label rare = as_.newLabel();
    const Label back = as_.newLabel();
    rare_.push_back({rare, back, std::uint32_t(at_), Stop::Faulted});
    if (base == kFramePointer) {
        as_.jmp(rare);
    } else {
        as_.lea(kScratch2, at);
        as_.test(kScratch2, size - 1);
        as_.jnz(rare);
        check_reach(base, size, access, rare);
    }
    as_.bind(back);
    return at;
}

void Emitter::atomic(AluOp op, Width width, const Slot& slot) {
    const x86::Mem at = atomic_address(slot.dst, bytes(width), Access::ReadWrite, slot);
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
    x86::Mem at = atomic_address(slot.dst, bytes(width), Access::ReadWrite, slot);
    const x86::Gp src = reg(slot.src, width);
    if (op == AluOp::Add) {
        as_.lock();
        as_.xadd(at, src);
        return;
    }
    // cmpxchg wants the old value in rax, which is r0: perhaps the address, perhaps src.
    as_.lea(kScratch0, at);
    at = x86::ptr(kScratch0, 0, bytes(width));
    const bool is_rax = kRegs[slot.src] == x86::rax;
    store_count();
    as_.mov(kScratch1, x86::rax); // r0, or src itself
    const x86::Gp operand = is_rax ? low(kScratch1, bytes(width)) : src;
    const x86::Gp old = low(x86::rax, bytes(width));
    emit_fetch_loop(as_, op, at, old, low(kScratch2, bytes(width)), operand);
    as_.mov(old, old); // 32 bits: zero extends
    if (!is_rax) {
        as_.mov(src, old);
        as_.mov(x86::rax, kScratch1);
    }
    load_count();
}

void Emitter::exchange(Width width, const Slot& slot) {
    const x86::Mem at = atomic_address(slot.dst, bytes(width), Access::ReadWrite, slot);
    as_.xchg(at, reg(slot.src, width)); // locks by itself
}

// r0 = old value; memory = src if the old value was r0.
void Emitter::compare_exchange(Width width, const Slot& slot) {
    const x86::Mem at = atomic_address(slot.dst, bytes(width), Access::ReadWrite, slot);
    const x86::Gp old = low(x86::rax, bytes(width));
    as_.lock();
    as_.cmpxchg(at, reg(slot.src, width), old);
    if (width == Width::W32) {
        as_.mov(old, old); // if they were equal, nothing was written to it
    }
}

// x86 loads acquire and stores release by themselves.
void Emitter::ordered_load(unsigned size, const Slot& slot) {
    const x86::Mem at = atomic_address(slot.src, size, Access::Read, slot);
    if (size < 4) {
        as_.movzx(kRegs[slot.dst].r32(), at);
    } else {
        as_.mov(low(kRegs[slot.dst], size), at);
    }
}

void Emitter::ordered_store(unsigned size, const Slot& slot) {
    as_.mov(atomic_address(slot.dst, size, Access::Write, slot), low(kRegs[slot.src], size));
}

void Emitter::load_packet(const Slot& slot, bool is_indirect) {
    store_count();
    if (is_indirect) {
        load_constant(kScratch1, std::uint32_t(slot.imm));
        as_.add(kScratch1.r32(), kRegs[slot.src].r32());
    } else {
        load_constant(kScratch1, std::uint32_t(slot.imm));
    }
    as_.mov(x86::rdi, kState);
    as_.mov(x86::esi, kScratch1.r32());
    as_.mov(x86::rdx, address_of(&slot));
    as_.mov(x86::rcx, kRegs[6]);
    call_address(address_of(jit::load_packet));
    load_count();
    const Label ok = as_.newLabel();
    as_.cmp(x86::al, std::uint8_t(PacketLoad::Ok));
    as_.je(ok);
    if (checks_) {
        as_.test(x86::al, x86::al);
        as_.jz(stop_for(Stop::Faulted));
        note_end();
        as_.add(kInsnsLeft, insns_behind_ - 1);
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
