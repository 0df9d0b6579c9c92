// What single insns do to registers and memory.
#include "jit/opt/builder.hpp"

#include <cstddef>
#include <type_traits>
#include <utility>

namespace ebpfvm::jit::opt {

using isa::AluOp;
using isa::JmpOp;
using isa::Op;
using isa::Shape;

namespace {

Kind kind_of(AluOp op) {
    switch (op) {
    case AluOp::Add:
        return Kind::Add;
    case AluOp::Sub:
        return Kind::Sub;
    case AluOp::Mul:
        return Kind::Mul;
    case AluOp::Div:
        return Kind::Udiv;
    case AluOp::Sdiv:
        return Kind::Sdiv;
    case AluOp::Or:
        return Kind::Or;
    case AluOp::And:
        return Kind::And;
    case AluOp::Lsh:
        return Kind::Shl;
    case AluOp::Rsh:
        return Kind::Shr;
    case AluOp::Mod:
        return Kind::Umod;
    case AluOp::Smod:
        return Kind::Smod;
    case AluOp::Xor:
        return Kind::Xor;
    case AluOp::Arsh:
        return Kind::Sar;
    case AluOp::Mov: // not a binary operation
        break;
    }
    std::unreachable();
}

Cond cond_of(JmpOp op) {
    switch (op) {
    case JmpOp::Jeq:
        return Cond::Eq;
    case JmpOp::Jne:
        return Cond::Ne;
    case JmpOp::Jgt:
        return Cond::Ugt;
    case JmpOp::Jge:
        return Cond::Uge;
    case JmpOp::Jlt:
        return Cond::Ult;
    case JmpOp::Jle:
        return Cond::Ule;
    case JmpOp::Jsgt:
        return Cond::Sgt;
    case JmpOp::Jsge:
        return Cond::Sge;
    case JmpOp::Jslt:
        return Cond::Slt;
    case JmpOp::Jsle:
        return Cond::Sle;
    case JmpOp::Jset:
        return Cond::Set;
    }
    std::unreachable();
}

} // namespace

bool Builder::insn(Instance& in, const SlotBlock& block, const exec::Slot& slot) {
    const auto op = Op(slot.op);
    switch (op) {
        // clang-format off
#define EBPFVM_ALU(name, ...)                                                                      \
    case Op::name##32Imm: alu(AluOp::name, Width::W32, slot, constant(slot.imm)); return false;    \
    case Op::name##32Reg: alu(AluOp::name, Width::W32, slot, regs_[slot.src]); return false;       \
    case Op::name##64Imm: alu(AluOp::name, Width::W64, slot, constant(slot.imm)); return false;    \
    case Op::name##64Reg: alu(AluOp::name, Width::W64, slot, regs_[slot.src]); return false;
#define EBPFVM_NEG(name, ...)                                                                      \
    case Op::name##32: regs_[slot.dst] = emit(Kind::Neg, Width::W32, regs_[slot.dst]); return false; \
    case Op::name##64: regs_[slot.dst] = emit(Kind::Neg, Width::W64, regs_[slot.dst]); return false;
#define EBPFVM_MOVSX(name, cls, bits, text)                                                        \
    case Op::name:                                                                                 \
        regs_[slot.dst] = emit(Kind::Sext, (cls) == 7 ? Width::W64 : Width::W32, regs_[slot.src],  \
                               0, (bits) / 8);                                                     \
        return false;
#define EBPFVM_SWAP(name, code, bits, text)                                                        \
    case Op::name:                                                                                 \
        regs_[slot.dst] = emit((code) != 0xd4 ? Kind::Bswap : Kind::Zext, Width::W64,              \
                               regs_[slot.dst], 0, (bits) / 8);                                    \
        return false;
#define EBPFVM_JMP(name, ...)                                                                      \
    case Op::name##32Imm: return jump(in, block, JmpOp::name, Width::W32, slot, constant(slot.imm)); \
    case Op::name##32Reg: return jump(in, block, JmpOp::name, Width::W32, slot, regs_[slot.src]);  \
    case Op::name##64Imm: return jump(in, block, JmpOp::name, Width::W64, slot, constant(slot.imm)); \
    case Op::name##64Reg: return jump(in, block, JmpOp::name, Width::W64, slot, regs_[slot.src]);
#define EBPFVM_LOAD(name, code, T, text)                                                           \
    case Op::name:                                                                                 \
        regs_[slot.dst] = load(sizeof(T), std::is_signed_v<T>, slot.src, slot.off);                \
        return false;
#define EBPFVM_STORE(name, size, T, text)                                                          \
    case Op::name##Imm: store(sizeof(T), slot.dst, slot.off, constant(slot.imm)); return false;    \
    case Op::name##Reg: store(sizeof(T), slot.dst, slot.off, regs_[slot.src]); return false;
#define EBPFVM_LDDW(name, ...)                                                                     \
    case Op::name: regs_[slot.dst] = constant(slot.imm); return false;
#define EBPFVM_LDPKT(name, code, shape, T, text)                                                   \
    case Op::name: load_packet(in, slot, Shape::shape == Shape::LdInd); return false;
#define EBPFVM_LOAD_ACQUIRE(name, code, T, text)                                                   \
    case Op::name:                                                                                 \
        regs_[slot.dst] = load(sizeof(T), false, slot.src, slot.off, true);                        \
        return false;
#define EBPFVM_STORE_RELEASE(name, code, T, text)                                                  \
    case Op::name: store(sizeof(T), slot.dst, slot.off, regs_[slot.src], true); return false;
#include "ebpfvm/tables/insn.def"
    case Op::AtomicAdd32: atomic(AluOp::Add, 4, slot); return false;
    case Op::AtomicAdd64: atomic(AluOp::Add, 8, slot); return false;
    case Op::AtomicOr32: atomic(AluOp::Or, 4, slot); return false;
    case Op::AtomicOr64: atomic(AluOp::Or, 8, slot); return false;
    case Op::AtomicAnd32: atomic(AluOp::And, 4, slot); return false;
    case Op::AtomicAnd64: atomic(AluOp::And, 8, slot); return false;
    case Op::AtomicXor32: atomic(AluOp::Xor, 4, slot); return false;
    case Op::AtomicXor64: atomic(AluOp::Xor, 8, slot); return false;
    case Op::FetchAdd32: fetch(Kind::Fetch, AluOp::Add, 4, slot); return false;
    case Op::FetchAdd64: fetch(Kind::Fetch, AluOp::Add, 8, slot); return false;
    case Op::FetchOr32: fetch(Kind::Fetch, AluOp::Or, 4, slot); return false;
    case Op::FetchOr64: fetch(Kind::Fetch, AluOp::Or, 8, slot); return false;
    case Op::FetchAnd32: fetch(Kind::Fetch, AluOp::And, 4, slot); return false;
    case Op::FetchAnd64: fetch(Kind::Fetch, AluOp::And, 8, slot); return false;
    case Op::FetchXor32: fetch(Kind::Fetch, AluOp::Xor, 4, slot); return false;
    case Op::FetchXor64: fetch(Kind::Fetch, AluOp::Xor, 8, slot); return false;
    case Op::Xchg32: fetch(Kind::Exchange, AluOp::Mov, 4, slot); return false;
    case Op::Xchg64: fetch(Kind::Exchange, AluOp::Mov, 8, slot); return false;
    case Op::Cmpxchg32: compare_exchange(4, slot); return false;
    case Op::Cmpxchg64: compare_exchange(8, slot); return false;
        // clang-format on
    case Op::Ja:
    case Op::Jal:
        jump_to(in.first[block.succs.front()]);
        return true;
    case Op::MayGoto:
        return may_goto(in, block);
    case Op::CallHelper:
        call_helper(slot);
        return false;
    case Op::CallLocal:
        call_local(slot);
        return false;
    case Op::Exit:
        leave(in);
        return true;
    case Op::Callx: // ProgramShape refuses them
    case Op::CallxImm:
    case Op::CallKfunc:
    case Op::AddrSpaceCast:
        break;
    }
    std::unreachable();
}

// Slots that are no insns: what is made of some when a program is loaded. None ends a block.
void Builder::rewritten(const exec::Slot& slot) {
    switch (slot.op) {
    case exec::kOpTailCall:
        return tail_call();
    case exec::kOpPacketLen:
        return packet_len(slot);
    case exec::kOpStoreWidened:
        return store(slot.dst, exec::kHostCtxReg, slot.off,
                     emit(Kind::And, Width::W64, regs_[slot.src], constant(slot.imm)));
    case exec::kOpArrayLookup:
        return array_lookup(slot);
    case exec::kOpHashLookup:
        return hash_lookup(slot);
    default:
        std::unreachable();
    }
}

void Builder::alu(AluOp op, Width width, const exec::Slot& slot, ValueId operand) {
    ValueId& dst = regs_[slot.dst];
    if (op != AluOp::Mov) {
        dst = emit(kind_of(op), width, dst, operand);
    } else if (width == Width::W64) {
        dst = operand;
    } else {
        dst = emit(Kind::Zext, Width::W64, operand, 0, 4);
    }
}

bool Builder::jump(const Instance& in, const SlotBlock& block, JmpOp op, Width width,
                   const exec::Slot& slot, ValueId operand) {
    branch(cond_of(op), width, regs_[slot.dst], operand, in.first[block.succs.front()],
           in.first[block.succs.back()]);
    return true;
}

bool Builder::may_goto(const Instance& in, const SlotBlock& block) {
    ValueId& left = regs_[kCounter]; // 64 bits: once below 0 it stays there
    left = emit(Kind::Add, Width::W64, left, constant(-1));
    branch(Cond::Slt, Width::W64, left, constant(0), in.first[block.succs.front()],
           in.first[block.succs.back()]);
    return true;
}

ValueId Builder::load(unsigned size, bool is_signed, unsigned reg, std::int64_t off,
                      bool is_ordered) {
    Node node;
    node.kind = Kind::Load;
    node.size = std::uint8_t(size);
    node.is_signed = is_signed;
    node.is_ordered = is_ordered;
    node.args = {base(reg), 0, 0, 0};
    node.imm = off;
    return append(node);
}

void Builder::store(unsigned size, unsigned reg, std::int64_t off, ValueId value, bool is_ordered) {
    Node node;
    node.kind = Kind::Store;
    node.size = std::uint8_t(size);
    node.is_ordered = is_ordered;
    node.args = {base(reg), 0, value, 0};
    node.imm = off;
    append(node);
}

void Builder::atomic(AluOp op, unsigned size, const exec::Slot& slot) {
    Node node;
    node.kind = Kind::Atomic;
    node.alu = op;
    node.size = std::uint8_t(size);
    node.args = {base(slot.dst), 0, regs_[slot.src], 0};
    node.imm = slot.off;
    append(node);
}

void Builder::fetch(Kind kind, AluOp op, unsigned size, const exec::Slot& slot) {
    Node node;
    node.kind = kind;
    node.alu = op;
    node.size = std::uint8_t(size);
    node.args = {base(slot.dst), 0, regs_[slot.src], 0};
    node.imm = slot.off;
    regs_[slot.src] = append(node);
}

void Builder::compare_exchange(unsigned size, const exec::Slot& slot) {
    Node node;
    node.kind = Kind::CompareExchange;
    node.size = std::uint8_t(size);
    node.args = {base(slot.dst), 0, regs_[slot.src], regs_[0]};
    node.imm = slot.off;
    regs_[0] = append(node);
}

void Builder::packet_len(const exec::Slot& slot) {
    const ValueId end = load(8, false, exec::kPacketReg, std::int64_t(offsetof(Packet, data_end)));
    const ValueId data = load(8, false, exec::kPacketReg, std::int64_t(offsetof(Packet, data)));
    ValueId length = emit(Kind::Sub, Width::W64, end, data);
    length = emit(Kind::Shr, Width::W64, length, constant(slot.off));
    regs_[slot.dst] = emit(Kind::And, Width::W64, length, constant(slot.imm));
}

} // namespace ebpfvm::jit::opt
