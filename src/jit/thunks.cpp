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

// Insns from a slot to the end of its block, which have been counted but not executed.
std::uint32_t insns_behind(const RunState& state, std::uint32_t at) {
    const std::vector<bool>& leads = native_of(*state.code).leads;
    std::uint32_t insns = 0;
    do {
        ++insns;
        at += slots_of(state.code->slots[at]);
    } while (!leads[at]);
    return insns;
}

bool stop(RunState& state, std::uint32_t at) {
    if (!state.code->is_verified) { // which does not count
        state.native.insns_left += insns_behind(state, at);
    }
    return false;
}

// The memory around an address that the guard knows is what the pointer reaches from now on.
bool reach(RunState& state, const Slot& slot, std::uint64_t address, std::uint64_t size,
           Access access) {
    if (is_ctx_field(state, address)) {
        return false;
    }
    const exec::Reachable there = reachable(state, address, size);
    if (!allows(there.region.access, access)) {
        return false;
    }
    const auto at = std::size_t(&slot - state.code->slots.data());
    state.native.reach.set(native_of(*state.code).reaches[at], there.region, there.lasts);
    return true;
}

template <class T>
bool load(RunState& state, const Slot& slot, std::uint64_t* r) {
    const std::uint64_t address = r[slot.src] + std::uint64_t(std::int64_t(slot.off));
    if (reach(state, slot, address, sizeof(T), Access::Read)) {
        r[slot.dst] = exec::load_as<T>(address);
        return true;
    }
    return exec::load_elsewhere<T>(state, address, r[slot.dst]) ||
           fail_memory(state, address, &slot);
}

template <class T>
bool store(RunState& state, const Slot& slot, const std::uint64_t* r, std::uint64_t value) {
    const std::uint64_t address = r[slot.dst] + std::uint64_t(std::int64_t(slot.off));
    if (reach(state, slot, address, sizeof(T), Access::Write)) {
        exec::store_as<T>(address, value);
        return true;
    }
    return exec::store_elsewhere<T>(state, address, value) || fail_memory(state, address, &slot);
}

bool check_atomic(RunState& state, const Slot& slot, const std::uint64_t* r) {
    const Op op = Op(slot.op);
    const unsigned base = isa::shape_of(op) == isa::Shape::LoadAcquire ? slot.src : slot.dst;
    const std::uint64_t address = r[base] + std::uint64_t(std::int64_t(slot.off));
    const std::uint64_t size = isa::access_bytes(op);
    if (address % size != 0) {
        return fail(
            state, &slot, FaultKind::Misaligned,
            fmt::format("atomic access to {:#x} is not aligned to {} bytes", address, size));
    }
    return reach(state, slot, address, size, access_of(op)) ||
           (!is_ctx_field(state, address) &&
            check_memory(state, address, size, access_of(op)).ok) ||
           fail_memory(state, address, &slot);
}

bool access(RunState& state, const Slot& slot, std::uint64_t* r) {
    switch (Op(slot.op)) {
#define EBPFVM_LOAD(name, code, T, text)                                                           \
    case Op::name:                                                                                 \
        return load<T>(state, slot, r);
#define EBPFVM_STORE(name, code, T, text)                                                          \
    case Op::name##Imm:                                                                            \
        return store<T>(state, slot, r, std::uint64_t(slot.imm));                                  \
    case Op::name##Reg:                                                                            \
        return store<T>(state, slot, r, r[slot.src]);
#include "ebpfvm/tables/insn.def"
    default: // no other insns come here
        return check_atomic(state, slot, r);
    }
}

} // namespace

void reach_input(RunState& state) {
    const exec::Reachable input = reachable_input(state);
    state.native.reach.fill(native_of(*state.code).reach_count, input.region, input.lasts);
}

bool access_memory(RunState& state, std::uint32_t slot, std::uint64_t* r) {
    return access(state, state.code->slots[slot], r) || stop(state, slot);
}

void forget_frames(RunState& state) {
    state.native.reach.forget_frames();
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

bool call_helper_checked(RunState& state, std::uint32_t at) {
    const Slot& slot = state.code->slots[at];
    if (!call<kChecked>(state, &slot)) {
        return stop(state, at);
    }
    const auto& helper = *reinterpret_cast<const Helper*>(slot.imm);
    if (helper.proto.ret == RetType::PtrToMapValueOrNull) { // the next access is likely to it
        (void)reach(state, slot, state.native.r[0], 1, Access::None);
    }
    return true;
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
    if (!target->is_verified) {
        reach_input(state);
    }
    return target->native;
}

void return_to(RunState& state, const exec::Code* code) {
    state.forget(); // what a tail-called program looked up is not its caller's
    state.code = code;
    if (!code->is_verified) {
        reach_input(state);
    }
}

void stop_run(RunState& state, std::uint32_t at, Stop why) {
    (void)stop(state, at);
    const Slot* slot = &state.code->slots[at];
    switch (why) {
    case Stop::Faulted:
        return;
    case Stop::Abort:
        (void)fail(state, slot, FaultKind::HelperAbort,
                   fmt::format("{}: {}", reinterpret_cast<const Helper*>(slot->imm)->proto.name,
                               state.abort_reason_));
        return;
    case Stop::Depth:
        (void)fail(state, slot, FaultKind::CallDepth,
                   fmt::format("call would open frame {}, at most {} are allowed", state.depth + 2,
                               exec::kMaxFrames + state.tail_calls));
        return;
    case Stop::Budget: {
        --state.native.insns_left; // the insn that used it up was executed
        const std::int64_t executed = std::int64_t(state.budget) - state.native.insns_left;
        (void)fail(state, slot, FaultKind::BudgetExhausted,
                   fmt::format("{} insns executed, the budget is {}", executed, state.budget));
        return;
    }
    }
    std::unreachable();
}

} // namespace ebpfvm::jit
