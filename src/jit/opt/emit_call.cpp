// Calls of helpers, of the VM's own functions and of subprograms; returns and tail calls.
#include "jit/native_code.hpp"
#include "jit/opt/function_emitter.hpp"
#include "jit/thunks.hpp"

namespace ebpfvm::jit::opt {

void FunctionEmitter::call_helper(const Node& node) {
    const auto& helper = *reinterpret_cast<const Helper*>(node.imm);
    if (!fn_.code->maps_of_maps.empty()) {
        store_args(node);
        call_for_slot(address_of(jit::call_helper), slot_of(node));
        as_.test(x86::al, x86::al);
        as_.jz(shared_.leave_run());
        as_.mov(dst(), state_field(offsets::kCallRegs));
        return;
    }
    move_args(node);
    if (helper.use != CallUse::None) {
        pass_context(helper);
    }
    call_address(address_of(helper.fn));
    if (helper.use == CallUse::Any) {
        check_abort(slot_of(node));
    }
    end_in(x86::rax, Width::W64);
}

void FunctionEmitter::pass_context(const Helper& helper) {
    if (helper.data != nullptr) {
        as_.mov(x86::rax, address_of(helper.data.get()));
        as_.mov(state_field(offsets::kData), x86::rax);
    } else if (shared_.leaves_data) {
        as_.mov(state_field(offsets::kData), 0);
    }
    as_.mov(kFirstArg, kState);
}

void FunctionEmitter::check_abort(const exec::Slot& slot) {
    as_.cmp(state_field(offsets::kAbortReason), 0);
    const Label failed = as_.newLabel();
    jump_cold(x86::CondCode::kNotZero, failed);
    cold_.push_back([this, failed, &slot] {
        bind(failed);
        as_.mov(x86::rdi, kState);
        as_.mov(x86::esi, std::uint32_t(&slot - fn_.code->slots.data()));
        as_.mov(x86::edx, std::uint32_t(Stop::Abort));
        call_address(address_of(stop_run));
        as_.jmp(shared_.leave_run());
    });
}

void FunctionEmitter::call_thunk(const Node& node) {
    move_args(node);
    as_.mov(kFirstArg, kState);
    call_address(std::uint64_t(node.imm));
    end_in(x86::rax, Width::W64);
}

void FunctionEmitter::find(const Node& node) {
    move_args(node);
    as_.mov(x86::rdi, node.imm);
    as_.call(find_of(*reinterpret_cast<const exec::HashLookup*>(node.imm)));
    end_in(x86::rax, Width::W64);
}

// A listing has no memory, and shows no addresses in it.
std::uint64_t FunctionEmitter::find_of(const exec::HashLookup& lookup) const {
    return shared_.memory != nullptr ? address_of(shared_.memory->find(lookup.view)) : 0;
}

void FunctionEmitter::call_local(const Node& node) {
    move_args(node);
    as_.call(shared_.subprogs[std::size_t(node.imm)]);
    if (shared_.has_tail_calls) { // another program may have run in the callee's place
        const Label is_same = as_.newLabel();
        as_.mov(x86::rsi, address_of(fn_.code));
        as_.cmp(state_field(offsets::kCode), x86::rsi);
        as_.short_().je(is_same);
        as_.mov(state_field(offsets::kValue), x86::rax);
        as_.mov(x86::rdi, kState);
        call_address(address_of(return_to));
        as_.mov(x86::rax, state_field(offsets::kValue));
        as_.bind(is_same);
    }
    end_in(x86::rax, Width::W64);
}

void FunctionEmitter::tail_call(const Node& node) {
    store_args(node);
    call_for_slot(address_of(jit::tail_call), slot_of(node));
    as_.cmp(x86::rax, 1);
    jump_if(x86::CondCode::kEqual, fn_.blocks[block_].succs.front());
    const std::uint32_t depth = stack_.depth();
    frame_.leave(stack_);
    as_.mov(kFirstArg, state_field(offsets::kCtx));
    as_.mov(x86::gpq(kArgRegs[0]), state_field(offsets::kCtxAddress));
    as_.jmp(x86::rax);
    stack_.resume(depth);
}

void FunctionEmitter::leave(const Node& node) {
    const Place from = places_.place_of(node.args[0], at_);
    const Place rax{Place::Kind::Reg, kRax};
    if (from != rax) {
        mover_.move(from, rax);
    }
    if (frame_.is_empty()) {
        as_.ret();
    } else if (exit_.isValid()) {
        as_.jmp(exit_);
    } else {
        exit_ = as_.newLabel();
        as_.bind(exit_);
        const std::uint32_t depth = stack_.depth();
        frame_.leave(stack_);
        as_.ret();
        stack_.resume(depth);
    }
}

void FunctionEmitter::move_args(const Node& node) {
    Vec<Move> moves;
    const auto args = fn_.list(node);
    for (std::size_t i = 0; i < args.size(); ++i) {
        moves.push_back({at_, places_.place_of(args[i], at_), {Place::Kind::Reg, kArgRegs[i]}});
    }
    mover_.move_all(std::move(moves));
}

// Arguments to where C++ functions find them.
void FunctionEmitter::store_args(const Node& node) {
    const auto args = fn_.list(node);
    for (std::size_t i = 0; i < args.size(); ++i) {
        Place from = places_.place_of(args[i], at_);
        if (!from.is_reg()) {
            const Place scratch{Place::Kind::Reg, kScratch};
            mover_.move(from, scratch);
            from = scratch;
        }
        as_.mov(state_field(offsets::kCallRegs + int(8 * (i + 1))), x86::gpq(from.number));
    }
}

void FunctionEmitter::call_for_slot(std::uint64_t thunk, const exec::Slot& slot) {
    as_.mov(x86::rdi, kState);
    as_.mov(x86::rsi, address_of(&slot));
    call_address(thunk);
}

void FunctionEmitter::call_address(std::uint64_t function) {
    as_.mov(x86::rax, function);
    as_.call(x86::rax);
}

} // namespace ebpfvm::jit::opt
