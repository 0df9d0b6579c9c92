// Calls of helpers and subprograms, and insns that are made of several nodes and blocks as calls
// are: lookups in maps, loads from the packet by LD_ABS and LD_IND, tail calls.
#include "jit/abi.hpp"
#include "jit/opt/builder.hpp"
#include "jit/opt/hash_lookup.hpp"
#include "jit/opt/helpers.hpp"
#include "jit/thunks.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {

void Builder::call_helper(const exec::Slot& slot) {
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

ValueId Builder::ctx_or_null(ValueId ctx) {
    Node select;
    select.kind = Kind::Select;
    select.cond = Cond::Eq;
    select.args = {ctx, fn_.constant(0), fn_.constant(0), host_ctx_};
    return append(select);
}

void Builder::call_local(const exec::Slot& slot) {
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

void Builder::tail_call() {
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

// r0 = index < count ? begin + index * stride : null. Two paths, so that the program's own test
// for null can be left out.
void Builder::array_lookup(const exec::Slot& slot) {
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
        offset = emit(Kind::Add, Width::W64, offset,
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

void Builder::hash_lookup(const exec::Slot& slot) {
    const auto& lookup = *reinterpret_cast<const exec::HashLookup*>(slot.imm);
    const ValueId value =
        has_short_key(lookup)
            ? write_hash_lookup(*this, lookup, regs_[2])
            : call(Kind::CallHelper, std::int64_t(address_of(lookup.helper)),
                   std::array{constant(std::int64_t(address_of(lookup.map))), regs_[2]});
    clobber();
    regs_[0] = value;
}

// r0 = the bytes, or the subprogram returns 0.
void Builder::load_packet(Instance& in, const exec::Slot& slot, bool is_indirect) {
    ValueId offset = constant(std::int32_t(slot.imm));
    if (is_indirect) {
        offset = emit(Kind::Add, Width::W32, regs_[slot.src], offset);
    }
    const std::array args{offset, constant(std::int64_t(address_of(&slot))), regs_[6]};
    const ValueId status = call(Kind::CallThunk, std::int64_t(address_of(jit::load_packet)), args);
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

ValueId Builder::call(Kind kind, std::int64_t imm, std::span<const ValueId> args) {
    Node node;
    node.kind = kind;
    node.imm = imm;
    fn_.set_list(node, args);
    return append(node);
}

void Builder::clobber() {
    for (unsigned reg = 1; reg <= kMaxArgs; ++reg) {
        regs_[reg] = zero_;
    }
}

} // namespace ebpfvm::jit::opt
