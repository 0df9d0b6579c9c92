// A function as a whole: its frame, its blocks, and which node is emitted where.
#include "jit/opt/function_emitter.hpp"

#include <utility>

namespace ebpfvm::jit::opt {

inline void FunctionEmitter::store_if_spilled(ValueId id) {
    if (places_.is_stored(id) && places_.made_in(id).is_reg()) {
        mover_.move(places_.made_in(id), {Place::Kind::Slot, places_.slot_of(id)});
    }
}

inline void FunctionEmitter::moves_at(Position at) {
    const std::size_t first = next_move_;
    while (next_move_ < places_.moves.size() && places_.moves[next_move_].at <= at) {
        ++next_move_;
    }
    if (next_move_ != first) {
        mover_.move_all(std::span(places_.moves).subspan(first, next_move_ - first));
    }
}

void FunctionEmitter::run() {
    if (note_) { // a listing shows where all blocks begin
        for (const BlockId block : fn_.layout) {
            blocks_[block].label = as_.newLabel();
        }
    }
    const std::size_t described = map_ != nullptr ? map_->functions().size() : 0;
    if (map_ != nullptr) {
        map_->begin(here(), function_name(fn_.code->program, fn_.code->subprogs[fn_.subprog]));
        map_->place(here(), fn_.code->insn_of(fn_.code->subprogs[fn_.subprog]));
    }
    prologue();
    for (std::size_t i = 0; i < fn_.layout.size(); ++i) {
        block_ = placed_ = fn_.layout[i];
        next_place_ = i + 1;
        if (!layout_.is_empty(block_)) {
            emit_block();
        }
    }
    if (map_ != nullptr && !cold_.empty()) {
        map_->begin_cold(here(), described);
    }
    for (const auto& emit_cold : cold_) {
        emit_cold();
    }
}

void FunctionEmitter::prologue() {
    frame_.enter(stack_);
    if (map_ != nullptr) {
        map_->begin_body(here());
    }
    Vec<Move> moves;
    for (const ValueId id : places_.params) {
        moves.push_back({0, {Place::Kind::Reg, param_reg(fn_, fn_[id])}, places_.made_in(id)});
    }
    mover_.move_all(std::move(moves));
    for (const ValueId id : places_.params) {
        store_if_spilled(id);
    }
}

void FunctionEmitter::emit_block() {
    if (layout_.is_aligned(block_)) {
        as_.align(asmjit::AlignMode::kCode, BlockLayout::kLoopAlignment);
    }
    EmittedBlock& block = blocks_[block_];
    block.offset = here();
    block.is_emitted = true;
    if (block.label.isValid()) {
        bind(block.label);
    }
    at_ = places_.block_begin[block_];
    next_move_ = places_.first_move(at_);
    mover_.move_all(places_.entries(block_));
    for (id_ = fn_.blocks[block_].first; id_ != 0; id_ = fn_[id_].next) {
        const Node& node = fn_[id_];
        if (node.kind == Kind::Phi) {
            store_if_spilled(id_);
            continue;
        }
        at_ += kStep;
        moves_at(at_);
        note_place(node);
        emit_node(node);
        if (places_.is_stored(id_) && !is_param(fn_, node)) {
            store_if_spilled(id_);
        }
    }
}

void FunctionEmitter::emit_node(const Node& node) {
    switch (node.kind) {
    case Kind::None:
    case Kind::Forward:
    case Kind::Phi:
    case Kind::Param:
        return;
    case Kind::Const:
    case Kind::Frame:
        return mover_.load(dst(), id_);
    case Kind::HostCtx:
        return host_ctx();
    case Kind::Add:
        return add(node);
    case Kind::Sub:
        begin_with(0, node.width);
        return operate(x86::Inst::kIdSub, node, 1);
    case Kind::Mul:
        return multiply(node);
    case Kind::And:
        return commutative(x86::Inst::kIdAnd, node);
    case Kind::Or:
        return commutative(x86::Inst::kIdOr, node);
    case Kind::Xor:
        return commutative(x86::Inst::kIdXor, node);
    case Kind::Shl:
    case Kind::Shr:
    case Kind::Sar:
    case Kind::Rotl:
        return shift(node);
    case Kind::MulHigh:
        return multiply_high();
    case Kind::Udiv:
    case Kind::Umod:
    case Kind::Sdiv:
    case Kind::Smod:
        return divide(node);
    case Kind::Neg:
        begin_with(0, node.width);
        as_.neg(sized(dst(), node.width));
        return;
    case Kind::Not:
        begin_with(0, node.width);
        as_.not_(sized(dst(), node.width));
        return;
    case Kind::Zext:
        return zero_extend(node);
    case Kind::Sext:
        return sign_extend(node);
    case Kind::Bswap:
        return swap_bytes(node);
    case Kind::Select:
        return select(node);
    case Kind::Load:
        return load(node);
    case Kind::Store:
        return store(node);
    case Kind::Atomic:
        return atomic(node);
    case Kind::Fetch:
        return fetch(node);
    case Kind::Exchange:
        return exchange(node);
    case Kind::CompareExchange:
        return compare_exchange(node);
    case Kind::StateField:
        as_.mov(low(dst(), node.size), state_field(int(node.imm), node.size));
        return;
    case Kind::CallHelper:
        return call_helper(node);
    case Kind::CallLocal:
        return call_local(node);
    case Kind::CallThunk:
        return call_thunk(node);
    case Kind::Find:
        return find(node);
    case Kind::Jump:
        mover_.move_all(places_.edges(block_));
        return jump_or_branch(layout_.destination_of(fn_.blocks[block_].succs.front()));
    case Kind::Branch:
        return branch(node);
    case Kind::Switch:
        return jump_by_table(node);
    case Kind::Return:
        return leave(node);
    case Kind::TailCall:
        return tail_call(node);
    }
}

void FunctionEmitter::begin_with(unsigned i, Width width) {
    if (is_imm(i)) {
        mover_.load_const(dst(), std::uint64_t(imm(i)));
    } else if (dst() != arg(i)) {
        as_.mov(sized(dst(), width), sized(arg(i), width));
    }
}

void FunctionEmitter::begin_in(const x86::Gp& reg, unsigned i, Width width) {
    const Place from = places_.place_of(fn_[id_].args[i], at_);
    if (!from.is_reg()) {
        mover_.move(from, {Place::Kind::Reg, reg.id()});
    } else if (width == Width::W32 || x86::gpq(from.number) != reg) {
        as_.mov(sized(reg, width), sized(x86::gpq(from.number), width));
    }
}

void FunctionEmitter::end_in(const x86::Gp& reg, Width width) {
    if (dst() != reg) {
        as_.mov(sized(dst(), width), sized(reg, width));
    }
}

} // namespace ebpfvm::jit::opt
