// The rare and the long, in C++: the same functions that the interpreter uses.
#include "jit/thunks.hpp"

#include "exec/calls.hpp"
#include "exec/memory.hpp"
#include "jit/native_code.hpp"

#include <algorithm>

namespace ebpfvm::jit {

using exec::RunState;
using exec::Slot;
using isa::Op;

namespace {

constexpr exec::Mode kChecked{.checks = true, .watches = false};
constexpr exec::Mode kUnchecked{.checks = false, .watches = false};

// The end of the current frame's stack, which native code has in r10.
std::uint64_t frame_top(const RunState& state) {
    return state.frame_top(state.depth);
}

Access access_of(Op op) {
    switch (isa::shape_of(op)) {
    case isa::Shape::Load:
    case isa::Shape::LoadAcquire:
        return Access::Read;
    case isa::Shape::StoreImm:
    case isa::Shape::StoreReg:
    case isa::Shape::StoreRelease:
        return Access::Write;
    default: // atomics: the others access no memory
        return Access::ReadWrite;
    }
}

bool fail_memory(RunState& state, std::uint64_t address, const Slot* slot) {
    const Op op = Op(slot->op);
    state.native.fault = memory_fault(state, slot, address, isa::access_bytes(op), access_of(op));
    return false;
}

bool fail(RunState& state, const Slot* slot, FaultKind kind, std::string_view reason,
          MemoryClass memory_class = MemoryClass::None) {
    state.native.fault = make_fault(state, slot, kind, reason, memory_class);
    return false;
}

template <exec::Mode kMode>
bool call(RunState& state, const Slot* slot) {
    return exec::call_helper<kMode>(state, *reinterpret_cast<const Helper*>(slot->imm),
                                    state.native.r.data(), slot, state.native.fault);
}

} // namespace

bool load_elsewhere(RunState& state, std::uint64_t address, const Slot* slot) {
    bool is_ok = false;
    switch (Op(slot->op)) {
#define EBPFVM_LOAD(name, code, T, text)                                                           \
    case Op::name:                                                                                 \
        is_ok = exec::load_elsewhere<T>(state, address, state.native.value);                       \
        break;
#include "ebpfvm/tables/insn.def"
    default: // no other insn comes here
        break;
    }
    return is_ok || fail_memory(state, address, slot);
}

bool store_elsewhere(RunState& state, std::uint64_t address, const Slot* slot) {
    bool is_ok = false;
    switch (Op(slot->op)) {
#define EBPFVM_STORE(name, code, T, text)                                                          \
    case Op::name##Imm:                                                                            \
    case Op::name##Reg:                                                                            \
        is_ok = exec::store_elsewhere<T>(state, address, state.native.value);                      \
        break;
#include "ebpfvm/tables/insn.def"
    default: // no other insn comes here
        break;
    }
    return is_ok || fail_memory(state, address, slot);
}

bool check_atomic(RunState& state, std::uint64_t address, const Slot* slot) {
    const Op op = Op(slot->op);
    const std::uint64_t size = isa::access_bytes(op);
    if (address % size != 0) {
        return fail(
            state, slot, FaultKind::Misaligned,
            fmt::format("atomic access to {:#x} is not aligned to {} bytes", address, size));
    }
    return is_frame_or_window(state, frame_top(state), address, size) ||
           (!is_ctx_field(state, address) &&
            check_memory(state, address, size, access_of(op)).ok) ||
           fail_memory(state, address, slot);
}

PacketLoad load_packet(RunState& state, std::int32_t offset, const Slot* slot, std::uint64_t r6) {
    if (!state.code->is_verified && (r6 != state.ctx_address || state.packet == nullptr)) {
        (void)fail(state, slot, FaultKind::BadCtxAccess, "r6 must hold the ctx of a packet",
                   MemoryClass::Ctx);
        return PacketLoad::Fault;
    }
    bool is_ok = false;
    switch (Op(slot->op)) {
#define EBPFVM_LDPKT(name, code, shape, T, text)                                                   \
    case Op::name:                                                                                 \
        is_ok = exec::load_packet<T>(state, offset, state.native.value);                           \
        break;
#include "ebpfvm/tables/insn.def"
    default: // no other insn comes here
        break;
    }
    return is_ok ? PacketLoad::Ok : PacketLoad::Outside;
}

bool call_helper_checked(RunState& state, const Slot* slot) {
    return call<kChecked>(state, slot);
}

bool call_helper(RunState& state, const Slot* slot) {
    return call<kUnchecked>(state, slot);
}

const void* resolve_callx(RunState& state, const Slot* slot, std::uint64_t target) {
    const exec::Callee callee = exec::resolve_callx(*state.code, target);
    if (callee.helper != nullptr) {
        const bool is_ok = exec::call_helper<kChecked>(state, *callee.helper, state.native.r.data(),
                                                       slot, state.native.fault);
        return is_ok ? reinterpret_cast<const void*>(1) : nullptr;
    }
    if (callee.subprog == nullptr) {
        (void)fail(state, slot, FaultKind::BadCallTarget,
                   fmt::format("{:#x} is no function", target));
        return nullptr;
    }
    const auto first = std::uint32_t(callee.subprog - state.code->slots.data());
    const auto at = std::ranges::lower_bound(state.code->subprogs, first);
    return native_of(*state.code).subprogs[std::size_t(at - state.code->subprogs.begin())];
}

const void* tail_call(RunState& state, const Slot* slot) {
    if (!state.code->is_verified) {
        state.native.fault = check_tail_call(state, slot, state.native.r.data());
        if (state.native.fault) {
            return nullptr;
        }
    }
    const exec::Code* target = tail_call_target(state, state.native.r.data());
    if (target == nullptr) {
        return reinterpret_cast<const void*>(1);
    }
    state.code = target;
    state.forget();
    return target->native;
}

void return_to(RunState& state, const exec::Code* code) {
    state.forget(); // what a tail-called program looked up is not its caller's
    state.code = code;
}

bool fail_abort(RunState& state, const Slot* slot) {
    const auto& helper = *reinterpret_cast<const Helper*>(slot->imm);
    return fail(state, slot, FaultKind::HelperAbort,
                fmt::format("{}: {}", helper.proto.name, state.abort_reason_));
}

bool fail_depth(RunState& state, const Slot* slot) {
    return fail(state, slot, FaultKind::CallDepth,
                fmt::format("call would open frame {}, at most {} are allowed", state.depth + 2,
                            exec::kMaxFrames + state.tail_calls));
}

bool fail_budget(RunState& state, const Slot* slot) {
    return fail(state, slot, FaultKind::BudgetExhausted,
                fmt::format("{} insns executed, the budget is {}",
                            std::int64_t(state.budget) - state.native.insns_left, state.budget));
}

} // namespace ebpfvm::jit
