// Jumps and calls.
#include "jit/emitter.hpp"
#include "jit/thunks.hpp"

#include <algorithm>

namespace ebpfvm::jit {

using isa::JmpOp;
using isa::Width;

namespace {

x86::CondCode condition_of(JmpOp op) {
    switch (op) {
    case JmpOp::Jeq:
        return x86::CondCode::kEqual;
    case JmpOp::Jset: // test
    case JmpOp::Jne:
        return x86::CondCode::kNotEqual;
    case JmpOp::Jgt:
        return x86::CondCode::kUnsignedGT;
    case JmpOp::Jge:
        return x86::CondCode::kUnsignedGE;
    case JmpOp::Jlt:
        return x86::CondCode::kUnsignedLT;
    case JmpOp::Jle:
        return x86::CondCode::kUnsignedLE;
    case JmpOp::Jsgt:
        return x86::CondCode::kSignedGT;
    case JmpOp::Jsge:
        return x86::CondCode::kSignedGE;
    case JmpOp::Jslt:
        return x86::CondCode::kSignedLT;
    case JmpOp::Jsle:
        return x86::CondCode::kSignedLE;
    }
    std::unreachable();
}

} // namespace

asmjit::Label Emitter::target_of(const Slot& slot) {
    const std::size_t target = at_ + 1 + std::size_t(std::int64_t(slot.off));
    return labels_[target];
}

void Emitter::jump(JmpOp op, Width width, const Slot& slot, bool is_imm) {
    const x86::Gp dst = reg(slot.dst, width);
    const auto imm = std::int32_t(slot.imm);
    if (op == JmpOp::Jset) {
        if (shows(is_imm)) {
            as_.test(dst, imm);
        } else {
            as_.test(dst, source(width, slot, is_imm));
        }
    } else if (!shows(is_imm)) {
        as_.cmp(dst, source(width, slot, is_imm));
    } else if (imm == 0) {
        as_.test(dst, dst);
    } else {
        as_.cmp(dst, imm);
    }
    const x86::CondCode condition = condition_of(op);
    if (!checks_ || !goes_back(slot)) {
        as_.j(condition, target_of(slot));
        return;
    }
    const Label skip = as_.newLabel();
    as_.j(x86::negateCond(condition), skip);
    jump_to(slot);
    as_.bind(skip);
}

// In checked mode what goes back pays for it.
void Emitter::jump_to(const Slot& slot) {
    if (slot.off == 0) {
        return;
    }
    if (!checks_ || !goes_back(slot)) {
        as_.jmp(target_of(slot));
        return;
    }
    as_.test(kInsnsLeft, kInsnsLeft);
    as_.jg(target_of(slot));
    stop_here(Stop::Budget);
}

void Emitter::may_goto(const Slot& slot) {
    const x86::Mem counter = x86::dword_ptr(x86::rsp);
    const Label stay = as_.newLabel();
    as_.cmp(counter, 0);
    as_.jne(stay);
    jump_to(slot);
    as_.bind(stay);
    as_.dec(counter);
}

void Emitter::call_address(std::uint64_t function) {
    as_.mov(kScratch0, function);
    as_.call(kScratch0);
}

// A C++ function that gets the state and the slot; what it returns is tested.
void Emitter::call_thunk(std::uint64_t thunk, const Slot& slot) {
    as_.mov(x86::rdi, kState);
    as_.mov(x86::rsi, address_of(&slot));
    call_address(thunk);
}

// Where the run ends.
asmjit::Label Emitter::stop_for(Stop why) {
    const Label label = as_.newLabel();
    rare_.push_back({label, Label(), std::uint32_t(at_), why});
    return label;
}

void Emitter::stop_here(Stop why) {
    as_.mov(kScratch0.r32(), std::uint32_t(at_));
    as_.mov(kScratch2.r32(), std::uint32_t(why));
    as_.jmp(shared_.stop);
}

// Where a program that is not verified ended, for the fault of a reference that it kept.
void Emitter::note_end() {
    if (checks_ && is_entry_) {
        as_.mov(state_field(offsets::kEnd, 4), std::uint32_t(at_));
    }
}

// Around what does not keep kInsnsLeft; only in checked mode.
void Emitter::store_count() {
    if (checks_) {
        as_.mov(state_field(offsets::kInsnsLeft), kInsnsLeft);
    }
}

void Emitter::load_count() {
    if (checks_) {
        as_.mov(kInsnsLeft, state_field(offsets::kInsnsLeft));
    }
}

// r0..r5, as far as asked, to where C++ functions find them.
void Emitter::save_call_regs(unsigned count) {
    for (unsigned i = 1; i <= count; ++i) {
        as_.mov(state_field(offsets::kCallRegs + int(8 * i)), kRegs[i]);
    }
}

void Emitter::clear_call_regs() {
    for (unsigned i = 1; i <= kMaxArgs; ++i) {
        as_.xor_(kRegs[i].r32(), kRegs[i].r32());
    }
}

void Emitter::call_helper(const Slot& slot) {
    const auto& helper = *reinterpret_cast<const Helper*>(slot.imm);
    if (checks_) {
        as_.mov(kScratch0.r32(), std::uint32_t(at_));
        as_.call(shared_.call);
        return;
    }
    if (!code_.maps_of_maps.empty()) {
        save_call_regs(kMaxArgs);
        call_thunk(address_of(jit::call_helper), slot);
        as_.test(x86::al, x86::al);
        as_.jz(stop_for(Stop::Faulted));
        as_.mov(kRegs[0], state_field(offsets::kCallRegs));
        return;
    }
    for (unsigned i = 0; i < kMaxArgs; ++i) {
        if ((slot.dst >> i & 1) == 0) {
            continue;
        }
        const Label is_null = as_.newLabel();
        if (helper.proto.args[i] == ArgType::PtrToCtxOrNull) {
            as_.test(kRegs[i + 1], kRegs[i + 1]);
            as_.jz(is_null);
        }
        as_.mov(kRegs[i + 1], state_field(offsets::kCtx));
        as_.bind(is_null);
    }
    if (helper.data != nullptr) {
        as_.mov(kScratch0, address_of(helper.data.get()));
        as_.mov(state_field(offsets::kData), kScratch0);
    } else if (leaves_data_) {
        as_.mov(state_field(offsets::kData), 0);
    }
    if (helper.use != CallUse::None) {
        as_.mov(kFirstArg, kState);
    }
    call_address(address_of(helper.fn));
    if (helper.use == CallUse::Any) {
        as_.cmp(state_field(offsets::kAbortReason), 0);
        as_.jne(stop_for(Stop::Abort));
    }
}

// Straight to the function for the kind of map and its keys.
void Emitter::hash_lookup(const Slot& slot) {
    const auto& hash = *reinterpret_cast<const exec::HashLookup*>(slot.imm);
    as_.mov(x86::rsi, kRegs[2]);
    as_.mov(x86::rdi, address_of(hash.map));
    as_.lea(x86::rdx, state_field(offsets::kUser));
    call_address(address_of(hash.view.lookup));
}

// Before a call of a subprogram.
void Emitter::enter_call() {
    if (!checks_) {
        return;
    }
    as_.mov(kScratch0.r32(), state_field(offsets::kTailCalls, 4));
    as_.add(kScratch0.r32(), exec::kMaxFrames - 1);
    as_.cmp(state_field(offsets::kDepth, 4), kScratch0.r32());
    as_.jae(stop_for(Stop::Depth));
    as_.inc(state_field(offsets::kDepth, 4));
    as_.test(kInsnsLeft, kInsnsLeft);
    as_.jle(stop_for(Stop::Budget));
}

void Emitter::leave_call() {
    if (has_tail_calls_) { // another program may have run in the callee's place
        const Label is_same = as_.newLabel();
        as_.mov(x86::rsi, address_of(&code_));
        as_.cmp(state_field(offsets::kCode), x86::rsi);
        as_.je(is_same);
        store_count();
        as_.mov(state_field(offsets::kValue), x86::rax);
        as_.mov(x86::rdi, kState);
        call_address(address_of(return_to));
        as_.mov(x86::rax, state_field(offsets::kValue));
        load_count();
        as_.bind(is_same);
    }
    if (checks_) {
        const Label none = as_.newLabel();
        as_.dec(state_field(offsets::kDepth, 4));
        as_.cmp(state_field(offsets::kReachedFrames, 4), 0);
        as_.je(none);
        as_.call(shared_.forget_frames);
        as_.bind(none);
        clear_call_regs();
    }
}

void Emitter::call_local(const Slot& slot) {
    const std::size_t target = at_ + 1 + std::size_t(std::int64_t(slot.off));
    const auto found = std::ranges::lower_bound(code_.subprogs, std::uint32_t(target));
    enter_call();
    as_.call(target == 0 ? inner_entry_ : entries_[std::size_t(found - code_.subprogs.begin())]);
    leave_call();
}

void Emitter::callx(const Slot& slot) {
    save_call_regs(kMaxArgs);
    as_.mov(x86::rdx, kRegs[slot.dst]);
    store_count();
    call_thunk(address_of(resolve_callx), slot);
    load_count();
    as_.test(x86::rax, x86::rax);
    as_.jz(stop_for(Stop::Faulted));
    const Label was_helper = as_.newLabel();
    const Label done = as_.newLabel();
    as_.cmp(x86::rax, 1);
    as_.je(was_helper);
    for (unsigned i = 1; i <= kMaxArgs; ++i) {
        as_.mov(kRegs[i], state_field(offsets::kCallRegs + int(8 * i)));
    }
    enter_call();
    as_.call(x86::rax);
    leave_call();
    as_.jmp(done);
    as_.bind(was_helper);
    as_.mov(kRegs[0], state_field(offsets::kCallRegs));
    clear_call_regs();
    as_.bind(done);
}

void Emitter::tail_call(const Slot& slot) {
    save_call_regs(3);
    store_count();
    call_thunk(address_of(jit::tail_call), slot);
    load_count();
    const Label none = as_.newLabel();
    if (checks_) {
        as_.test(x86::rax, x86::rax);
        as_.jz(stop_for(Stop::Faulted));
    }
    as_.cmp(x86::rax, 1);
    as_.je(none);
    const std::uint32_t depth = stack_.depth();
    epilogue();
    as_.mov(kFirstArg, state_field(offsets::kCtx));
    as_.mov(kRegs[1], state_field(offsets::kCtxAddress));
    as_.jmp(x86::rax);
    stack_.resume(depth);
    as_.bind(none);
    if (checks_) {
        as_.xor_(x86::eax, x86::eax);
        clear_call_regs();
    }
}

} // namespace ebpfvm::jit
