#include "jit/opt/build.hpp"

#include "isa/op_kind.hpp"
#include "jit/abi.hpp"
#include "jit/opt/hash_lookup.hpp"
#include "jit/opt/helpers.hpp"
#include "jit/opt/regs.hpp"
#include "jit/opt/simplify.hpp"
#include "jit/thunks.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <map>
#include <ranges>
#include <utility>

namespace ebpfvm::jit::opt {

using isa::AluOp;
using isa::JmpOp;
using isa::Op;
using isa::Shape;

namespace {

using Regs = std::array<ValueId, kVarCount>;

// Subprograms of at most this many slots are inlined; larger ones if there is one call alone.
constexpr std::uint32_t kSmall = 40;
// A function grows by inlining up to this many slots, and bytes of stack.
constexpr std::uint32_t kMaxSlots = 4000;
constexpr std::uint32_t kMaxFrame = 4096;

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

// What is known of all subprograms before any is built.
struct ProgramShape {
    struct Subprog {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
        std::uint32_t calls = 0; // of it, in the whole program
        bool can_inline = true;
        SubprogShape shape{};
    };
    Vec<Subprog> subprogs{};
    bool is_supported = true;
    bool needs_state = false;

    explicit ProgramShape(const exec::Code& code) {
        for (std::size_t i = 0; i < code.subprogs.size(); ++i) {
            const std::uint32_t begin = code.subprogs[i];
            const auto end = std::uint32_t(i + 1 < code.subprogs.size() ? code.subprogs[i + 1]
                                                                        : code.slots.size());
            subprogs.push_back({.begin = begin, .end = end});
        }
        for (Subprog& subprog : subprogs) {
            subprog.shape = shape_of(code, subprog.begin, subprog.end);
            is_supported &= (subprog.shape.writes & bit(kFramePointer)) == 0;
            for (const std::uint32_t at : subprog.shape.unusual) {
                look_at(code, at, subprog);
            }
        }
        // C functions of the context have no size of it.
        needs_state |= (subprogs.front().shape.blocks.front().live & bit(2)) != 0;
    }

    [[nodiscard]] static std::size_t index_of(const exec::Code& code, std::uint32_t first) {
        return std::size_t(std::ranges::lower_bound(code.subprogs, first) - code.subprogs.begin());
    }

  private:
    void look_at(const exec::Code& code, std::uint32_t at, Subprog& subprog) {
        const exec::Slot& slot = code.slots[at];
        if (slot.op == exec::kOpTailCall) {
            needs_state = true;
            subprog.can_inline = false;
        } else if (slot.op == exec::kOpArrayLookup) {
            const auto& array = *reinterpret_cast<const exec::ArrayLookup*>(slot.imm);
            needs_state |= array.cpu_stride != 0;
        } else if (slot.op == exec::kOpHashLookup) {
            needs_state |= opt::needs_state(*reinterpret_cast<const exec::HashLookup*>(slot.imm));
        }
        if (!exec::is_insn(slot)) {
            return;
        }
        switch (exec::shape_of(slot)) {
        case Shape::CallHelper:
            needs_state |= needs_run(code, slot);
            return;
        case Shape::LdAbs:
        case Shape::LdInd:
            needs_state = true;
            return;
        case Shape::CallLocal: {
            const auto target = std::uint32_t(std::int64_t(at) + 1 + slot.off);
            ++subprogs[index_of(code, target)].calls;
            return;
        }
        case Shape::Callx:
        case Shape::CallxImm:
        case Shape::CallKfunc:
        case Shape::AddrSpaceCast:
            is_supported = false;
            return;
        default:
            return;
        }
    }
};

class Builder : Writer {
  public:
    Builder(const exec::Code& code, const ProgramShape& program, bool may_inline, Function& fn)
        : Writer(fn), code_(code), program_(program), may_inline_(may_inline) {}

    /// Subprograms that the function calls are noted in `called`.
    void run(Vec<std::uint32_t>& called) {
        called_ = &called;
        const auto& subprog = program_.subprogs[fn_.subprog];
        const std::size_t slots = subprog.end - subprog.begin;
        fn_.nodes.reserve(2 * slots + 32);
        fn_.blocks.reserve(subprog.shape.blocks.size() * 3 / 2 + 4);
        fn_.pool.reserve(slots);
        placed_ = &fn_.layout;
        at_ = fn_.add_block();
        fn_.layout.push_back(at_);
        slots_ = subprog.end - subprog.begin;
        Regs regs;
        zero_ = fn_.constant(0);
        regs.fill(zero_);
        const unsigned params = fn_.subprog == 0 ? 2 : kMaxArgs;
        slot_ = subprog.begin;
        for (unsigned i = 1; i <= params; ++i) {
            Node param;
            param.kind = Kind::Param;
            param.imm = i;
            regs[i] = append(param);
        }
        Node ctx;
        ctx.kind = Kind::HostCtx;
        host_ctx_ = append(ctx);
        (void)instance(fn_.subprog, regs);
        fn_.layout.insert(fn_.layout.end(), cold_.begin(), cold_.end());
        if (has_replaced_) {
            fn_.resolve_all();
        }
    }

  private:
    struct Chunk { // of Instance::blocks
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    // One subprogram at one place: the function itself, or inlined into it.
    struct Instance {
        const ProgramShape::Subprog* subprog = nullptr;
        std::uint32_t index = 0;
        bool is_inlined = false;
        Vec<BlockId> first{}; // by SlotBlock
        Vec<BlockId> last{};  // kNoBlock: not filled yet
        Vec<Regs> ends{};     // registers at the end, by SlotBlock
        Vec<BlockId> blocks{};
        Vec<Chunk> chunks{}; // the layout of each SlotBlock
        Vec<std::pair<BlockId, ValueId>> returns{};
    };
    struct Incomplete {
        std::uint32_t place;
        unsigned reg;
        ValueId phi;
    };

    // Where control goes on behind it, with r0; registers of the caller are the caller's business.
    ValueId instance(std::uint32_t index, const Regs& regs) {
        Instance in;
        in.subprog = &program_.subprogs[index];
        in.index = index;
        in.is_inlined = !open_.empty();
        open_.push_back(index);
        const SubprogShape& shape = in.subprog->shape;
        const std::size_t count = shape.blocks.size();
        in.first.assign(count, kNoBlock);
        in.last.assign(count, kNoBlock);
        in.ends.resize(count);
        in.chunks.resize(count);
        fn_.frame_bytes += code_.stacks[index];
        const std::int64_t frame_top = -std::int64_t(fn_.frame_bytes - code_.stacks[index]);

        Regs initial = regs;
        Node frame;
        frame.kind = Kind::Frame;
        frame.imm = frame_top;
        initial[kFramePointer] = append(frame);
        initial[kCounter] = shape.has_counter ? constant(exec::kMaxMayGoto) : constant(0);
        if (code_.clears_stack) {
            clear(frame_top, code_.stacks[index]);
        }
        const BlockId before = at_;
        const bool goes_on = shape.blocks.front().preds.empty(); // where its caller is
        for (const std::uint32_t place : shape.order) {
            in.first[place] = place == 0 && goes_on ? before : fn_.add_block();
        }
        Vec<BlockId>& outer = *placed_;
        placed_ = &in.blocks;
        if (!goes_on) {
            jump_to(in.first[0]);
        }

        Vec<Incomplete> incomplete;
        for (const std::uint32_t place : shape.order) {
            in.chunks[place].begin = in.blocks.size();
            if (in.first[place] != before) {
                start_block(in.first[place]);
            }
            regs_ = entry_regs(in, place, place == 0 ? &initial : nullptr, incomplete);
            fill(in, place);
            in.chunks[place].end = in.blocks.size();
        }
        for (const Incomplete& phi : incomplete) {
            complete(in, phi, before, initial);
        }
        for (const Incomplete& phi : std::views::reverse(incomplete)) { // inner loops first
            has_replaced_ |= remove_if_single(phi.phi);
        }
        placed_ = &outer;
        for (const Chunk& chunk : in.chunks) {
            outer.insert(outer.end(), in.blocks.begin() + std::ptrdiff_t(chunk.begin),
                         in.blocks.begin() + std::ptrdiff_t(chunk.end));
        }
        open_.pop_back();
        return in.is_inlined ? join_returns(in) : 0;
    }

    // Nobody sees what was there.
    void clear(std::int64_t top, std::uint32_t bytes) {
        for (std::uint32_t done = 8; done <= bytes; done += 8) {
            Node store;
            store.kind = Kind::Store;
            store.size = 8;
            Node frame;
            frame.kind = Kind::Frame;
            frame.imm = top;
            const ValueId base = append(frame);
            store.args = {base, 0, fn_.constant(0), 0};
            store.imm = -std::int64_t(done);
            append(store);
        }
    }

    ValueId join_returns(const Instance& in) {
        const BlockId behind = fn_.add_block();
        start_block(behind);
        Vec<ValueId> values;
        for (const auto& [block, value] : in.returns) {
            fn_.add_edge(block, behind);
            values.push_back(fn_.resolve(value));
        }
        if (values.empty()) { // it never returns
            return constant(0);
        }
        return phi_of(values);
    }

    Regs entry_regs(const Instance& in, std::uint32_t place, const Regs* initial,
                    Vec<Incomplete>& incomplete) {
        const SlotBlock& block = in.subprog->shape.blocks[place];
        slot_ = block.begin;
        if (initial == nullptr && block.preds.size() == 1) {
            return in.ends[block.preds.front()];
        }
        const bool is_complete = std::ranges::all_of(
            block.preds, [&](std::uint32_t pred) { return in.last[pred] != kNoBlock; });
        Regs regs;
        regs.fill(zero_);
        Vec<ValueId>& values = values_;
        for (unsigned reg = 0; reg < kVarCount; ++reg) {
            if ((block.live & bit(reg)) == 0 || reg == kFramePointer) {
                continue;
            }
            if (!is_complete) {
                if (const ValueId value = value_in_loop(in, block, reg, initial); value != 0) {
                    regs[reg] = value;
                    continue;
                }
                Node phi;
                phi.kind = Kind::Phi;
                phi.slot = slot_;
                regs[reg] = fn_.append(at_, phi);
                incomplete.push_back({place, reg, regs[reg]});
                continue;
            }
            values.clear();
            if (initial != nullptr) {
                values.push_back((*initial)[reg]);
            }
            for (const std::uint32_t pred : block.preds) {
                values.push_back(in.ends[pred][reg]);
            }
            regs[reg] = phi_of(values);
        }
        regs[kFramePointer] = initial != nullptr ? (*initial)[kFramePointer]
                                                 : in.ends[first_filled(in, block)][kFramePointer];
        return regs;
    }

    // Of a register that the loop, which begins here, does not change; 0 if it may change.
    static ValueId value_in_loop(const Instance& in, const SlotBlock& block, unsigned reg,
                                 const Regs* initial) {
        ValueId value = initial != nullptr ? (*initial)[reg] : 0;
        if ((block.changes & bit(reg)) != 0) {
            return 0;
        }
        for (const std::uint32_t pred : block.preds) {
            if (in.last[pred] != kNoBlock) {
                const ValueId other = in.ends[pred][reg];
                if (value != 0 && value != other) {
                    return 0;
                }
                value = other;
            }
        }
        return value;
    }

    static std::uint32_t first_filled(const Instance& in, const SlotBlock& block) {
        return *std::ranges::find_if(block.preds,
                                     [&](std::uint32_t pred) { return in.last[pred] != kNoBlock; });
    }

    // Edges may have been made in another order than `preds` of the SlotBlock.
    void complete(const Instance& in, const Incomplete& phi, BlockId before, const Regs& initial) {
        Vec<ValueId>& values = values_;
        values.clear();
        for (const BlockId pred : fn_.blocks[in.first[phi.place]].preds) {
            if (pred == before && phi.place == 0) {
                values.push_back(initial[phi.reg]);
                continue;
            }
            values.push_back(in.ends[places_[pred]][phi.reg]);
        }
        fn_.set_list(fn_[phi.phi], values);
    }

    // The loop leaves most registers as they were. True if this is one of them.
    bool remove_if_single(ValueId phi) {
        const ValueId single = fn_.single_value(phi);
        if (single != phi) {
            fn_.replace(phi, single);
        }
        return single != phi;
    }

    void fill(Instance& in, std::uint32_t place) {
        const SlotBlock& block = in.subprog->shape.blocks[place];
        bool has_end = false;
        for (std::uint32_t at = block.begin; at < block.end;
             at += exec::slots_of(code_.slots[at])) {
            slot_ = at;
            has_end = translate(in, block, code_.slots[at]);
        }
        if (!has_end) {
            if (block.succs.empty()) { // behind the last slot: no program gets there
                regs_[0] = fn_.constant(0);
                leave(in);
            } else {
                jump_to(in.first[block.succs.back()]);
            }
        }
        in.last[place] = at_;
        in.ends[place] = regs_;
        if (places_.size() <= at_) {
            places_.resize(fn_.blocks.size());
        }
        places_[at_] = place;
    }

    void leave(Instance& in) {
        if (in.is_inlined) {
            in.returns.emplace_back(at_, regs_[0]);
            Node jump;
            jump.kind = Kind::Jump;
            append(jump);
        } else {
            Node node;
            node.kind = Kind::Return;
            node.args = {regs_[0], 0, 0, 0};
            append(node);
        }
    }

    // True if it ended the block.
    bool translate(Instance& in, const SlotBlock& block, const exec::Slot& slot) {
        switch (slot.op) {
        case exec::kOpTailCall:
            tail_call();
            return false;
        case exec::kOpPacketLen:
            packet_len(slot);
            return false;
        case exec::kOpStoreWidened:
            store(slot.dst, exec::kHostCtxReg, slot.off,
                  emit(Kind::And, Width::W64, regs_[slot.src], constant(slot.imm)));
            return false;
        case exec::kOpArrayLookup:
            array_lookup(slot);
            return false;
        case exec::kOpHashLookup:
            hash_lookup(slot);
            return false;
        default:
            return insn(in, block, slot);
        }
    }

    bool insn(Instance& in, const SlotBlock& block, const exec::Slot& slot) {
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

    void alu(AluOp op, Width width, const exec::Slot& slot, ValueId operand) {
        ValueId& dst = regs_[slot.dst];
        if (op != AluOp::Mov) {
            dst = emit(kind_of(op), width, dst, operand);
        } else if (width == Width::W64) {
            dst = operand;
        } else {
            dst = emit(Kind::Zext, Width::W64, operand, 0, 4);
        }
    }

    bool jump(const Instance& in, const SlotBlock& block, JmpOp op, Width width,
              const exec::Slot& slot, ValueId operand) {
        branch(cond_of(op), width, regs_[slot.dst], operand, in.first[block.succs.front()],
               in.first[block.succs.back()]);
        return true;
    }

    bool may_goto(const Instance& in, const SlotBlock& block) {
        ValueId& left = regs_[kCounter]; // 64 bits: once below 0 it stays there
        left = emit(Kind::Add, Width::W64, left, constant(-1));
        branch(Cond::Slt, Width::W64, left, constant(0), in.first[block.succs.front()],
               in.first[block.succs.back()]);
        return true;
    }

    // Hidden registers: the packet is the first member of the host's object.
    [[nodiscard]] ValueId base(unsigned reg) const {
        return reg < kRegCount ? regs_[reg] : host_ctx_;
    }

    ValueId load(unsigned size, bool is_signed, unsigned reg, std::int64_t off,
                 bool is_ordered = false) {
        Node node;
        node.kind = Kind::Load;
        node.size = std::uint8_t(size);
        node.is_signed = is_signed;
        node.is_ordered = is_ordered;
        node.args = {base(reg), 0, 0, 0};
        node.imm = off;
        return append(node);
    }
    void store(unsigned size, unsigned reg, std::int64_t off, ValueId value,
               bool is_ordered = false) {
        Node node;
        node.kind = Kind::Store;
        node.size = std::uint8_t(size);
        node.is_ordered = is_ordered;
        node.args = {base(reg), 0, value, 0};
        node.imm = off;
        append(node);
    }
    void packet_len(const exec::Slot& slot) {
        const ValueId end =
            load(8, false, exec::kPacketReg, std::int64_t(offsetof(Packet, data_end)));
        const ValueId data = load(8, false, exec::kPacketReg, std::int64_t(offsetof(Packet, data)));
        ValueId length = emit(Kind::Sub, Width::W64, end, data);
        length = emit(Kind::Shr, Width::W64, length, constant(slot.off));
        regs_[slot.dst] = emit(Kind::And, Width::W64, length, constant(slot.imm));
    }

    // r0 = index < count ? begin + index * stride : null. Two paths, so that the program's own test
    // for null can be left out.
    void array_lookup(const exec::Slot& slot) {
        const auto& array = *reinterpret_cast<const exec::ArrayLookup*>(slot.imm);
        const ValueId index = load(4, false, 2, 0);
        ValueId offset = emit(Kind::Mul, Width::W64, index, constant(std::int64_t(array.stride)));
        const BlockId found = fn_.add_block();
        const BlockId missing = fn_.add_block();
        const BlockId behind = fn_.add_block();
        branch(Cond::Ult, Width::W32, index, constant(std::int64_t(array.count)), found, missing);
        start_block(found);
        if (array.cpu_stride != 0) {
            const ValueId cpu = state_field(offsets::kCpu, 4);
            offset =
                emit(Kind::Add, Width::W64, offset,
                     emit(Kind::Mul, Width::W64, cpu, constant(std::int64_t(array.cpu_stride))));
        }
        const ValueId element =
            emit(Kind::Add, Width::W64, offset, constant(std::int64_t(array.begin)));
        jump_to(behind);
        start_block(missing);
        jump_to(behind);
        start_block(behind);
        clobber();
        regs_[0] = phi_of(std::array{element, fn_.constant(0)});
    }

    void hash_lookup(const exec::Slot& slot) {
        const auto& lookup = *reinterpret_cast<const exec::HashLookup*>(slot.imm);
        const ValueId value =
            has_short_key(lookup)
                ? write_hash_lookup(*this, lookup, regs_[2])
                : call(Kind::CallHelper, std::int64_t(address_of(lookup.helper)),
                       std::array{constant(std::int64_t(address_of(lookup.map))), regs_[2]});
        clobber();
        regs_[0] = value;
    }

    void clobber() {
        for (unsigned reg = 1; reg <= kMaxArgs; ++reg) {
            regs_[reg] = zero_;
        }
    }

    void atomic(AluOp op, unsigned size, const exec::Slot& slot) {
        Node node;
        node.kind = Kind::Atomic;
        node.alu = op;
        node.size = std::uint8_t(size);
        node.args = {base(slot.dst), 0, regs_[slot.src], 0};
        node.imm = slot.off;
        append(node);
    }
    void fetch(Kind kind, AluOp op, unsigned size, const exec::Slot& slot) {
        Node node;
        node.kind = kind;
        node.alu = op;
        node.size = std::uint8_t(size);
        node.args = {base(slot.dst), 0, regs_[slot.src], 0};
        node.imm = slot.off;
        regs_[slot.src] = append(node);
    }
    void compare_exchange(unsigned size, const exec::Slot& slot) {
        Node node;
        node.kind = Kind::CompareExchange;
        node.size = std::uint8_t(size);
        node.args = {base(slot.dst), 0, regs_[slot.src], regs_[0]};
        node.imm = slot.off;
        regs_[0] = append(node);
    }

    ValueId call(Kind kind, std::int64_t imm, std::span<const ValueId> args) {
        Node node;
        node.kind = kind;
        node.imm = imm;
        fn_.set_list(node, args);
        return append(node);
    }

    void call_helper(const exec::Slot& slot) {
        const auto& helper = *reinterpret_cast<const Helper*>(slot.imm);
        Vec<ValueId>& args = values_;
        args.clear();
        for (unsigned i = 0; i < kMaxArgs && helper.proto.args[i] != ArgType::None; ++i) {
            ValueId arg = regs_[i + 1];
            if ((slot.dst >> i & 1) != 0) { // helpers see the host's object
                arg = helper.proto.args[i] == ArgType::PtrToCtx ? host_ctx_ : ctx_or_null(arg);
            }
            args.push_back(arg);
        }
        const auto inlined = write_helper(*this, code_.builtins, helper.fn, args);
        const ValueId result = inlined ? *inlined : call(Kind::CallHelper, slot.imm, args);
        clobber();
        regs_[0] = result;
    }
    ValueId ctx_or_null(ValueId ctx) {
        Node select;
        select.kind = Kind::Select;
        select.cond = Cond::Eq;
        select.args = {ctx, fn_.constant(0), fn_.constant(0), host_ctx_};
        return append(select);
    }

    void call_local(const exec::Slot& slot) {
        const auto target = std::uint32_t(std::int64_t(slot_) + 1 + slot.off);
        const auto index = std::uint32_t(ProgramShape::index_of(code_, target));
        const std::array<ValueId, kMaxArgs> args{regs_[1], regs_[2], regs_[3], regs_[4], regs_[5]};
        ValueId result = 0;
        if (inlines(index)) {
            Regs inner;
            inner.fill(fn_.constant(0));
            std::ranges::copy(args, inner.begin() + 1);
            const Regs outer = regs_;
            const std::uint32_t slot_before = slot_;
            result = instance(index, inner);
            regs_ = outer;
            slot_ = slot_before;
        } else {
            if (std::ranges::find(*called_, index) == called_->end()) {
                called_->push_back(index);
            }
            const RegSet live = program_.subprogs[index].shape.blocks.front().live;
            Vec<ValueId> used;
            for (unsigned i = 0; i < kMaxArgs; ++i) {
                used.push_back((live & bit(i + 1)) != 0 ? args[i] : 0);
            }
            while (!used.empty() && used.back() == 0) {
                used.pop_back();
            }
            for (ValueId& arg : used) {
                arg = arg == 0 ? fn_.constant(0) : arg;
            }
            result = call(Kind::CallLocal, index, used);
        }
        clobber();
        regs_[0] = result;
    }

    bool inlines(std::uint32_t index) {
        const ProgramShape::Subprog& callee = program_.subprogs[index];
        const std::uint32_t size = callee.end - callee.begin;
        const bool is_worth_it = size <= kSmall || callee.calls == 1;
        if (!may_inline_ || !is_worth_it || !callee.can_inline ||
            std::ranges::find(open_, index) != open_.end() || slots_ + size > kMaxSlots ||
            fn_.frame_bytes + code_.stacks[index] > kMaxFrame) {
            return false;
        }
        slots_ += size;
        return true;
    }

    // r0 = the bytes, or the subprogram returns 0.
    void load_packet(Instance& in, const exec::Slot& slot, bool is_indirect) {
        ValueId offset = constant(std::int32_t(slot.imm));
        if (is_indirect) {
            offset = emit(Kind::Add, Width::W32, regs_[slot.src], offset);
        }
        const std::array args{offset, constant(std::int64_t(address_of(&slot))), regs_[6]};
        const ValueId status =
            call(Kind::CallThunk, std::int64_t(address_of(jit::load_packet)), args);
        const ValueId low = emit(Kind::Zext, Width::W64, status, 0, 1);
        const BlockId outside = fn_.add_block();
        const BlockId inside = fn_.add_block();
        branch(Cond::Eq, Width::W32, low, constant(std::int64_t(PacketLoad::Ok)), inside, outside);
        const Regs regs = regs_;
        start_block(outside);
        regs_[0] = fn_.constant(0);
        leave(in);
        regs_ = regs;
        start_block(inside);
        clobber();
        regs_[0] = state_field(offsets::kValue, 8);
    }

    void tail_call() {
        const BlockId behind = fn_.add_block();
        Node node;
        node.kind = Kind::TailCall;
        node.imm = std::int64_t(address_of(&code_.slots[slot_]));
        fn_.set_list(node, std::array{regs_[1], regs_[2], regs_[3]});
        append(node);
        fn_.add_edge(at_, behind);
        start_block(behind);
        clobber();
        regs_[0] = fn_.constant(1); // as the baseline tier has it; nothing is promised
    }

    const exec::Code& code_;
    const ProgramShape& program_;
    const bool may_inline_;
    bool has_replaced_ = false; // phis of loops
    Vec<std::uint32_t>* called_ = nullptr;
    Vec<std::uint32_t> open_{}; // subprograms around the current place
    Regs regs_{};
    Vec<ValueId> values_{};       // of the list that is being put together
    Vec<std::uint32_t> places_{}; // of SlotBlocks, by the block that ends them
    ValueId host_ctx_ = 0;
    ValueId zero_ = 0; // the constant
    std::uint32_t slots_ = 0;
};

} // namespace

std::optional<Vec<Function>> build(const exec::Code& code, const OptOptions& options) {
    const ProgramShape program(code);
    if (!program.is_supported) {
        return std::nullopt;
    }
    Vec<Function> functions;
    Vec<std::uint32_t> wanted{0};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        Function fn;
        fn.code = &code;
        fn.subprog = wanted[i];
        Vec<std::uint32_t> called;
        Builder(code, program, options.has(Pass::Inline), fn).run(called);
        for (const std::uint32_t index : called) {
            if (std::ranges::find(wanted, index) == wanted.end()) {
                wanted.push_back(index);
            }
        }
        functions.push_back(std::move(fn));
    }
    const Anchor anchor = program.needs_state    ? Anchor::State
                          : functions.size() > 1 ? Anchor::HostCtx
                                                 : Anchor::None;
    for (Function& fn : functions) {
        fn.anchor = anchor;
    }
    return functions;
}

} // namespace ebpfvm::jit::opt
