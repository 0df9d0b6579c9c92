// Where machine code keeps things: BPF registers, the state of the run, scratch.
#pragma once

#include "exec/run_state.hpp"
#include "isa/op_kind.hpp"

#include <asmjit/x86.h>

#include <algorithm>
#include <cstddef>

namespace ebpfvm::jit {

namespace x86 = asmjit::x86;

/// r1..r5 are where C functions take their second to sixth argument: calling a helper moves
/// nothing. r6..r9 survive calls in both worlds.
inline constexpr x86::Gp kRegs[kRegCount] = {x86::rax, x86::rsi, x86::rdx, x86::rcx,
                                             x86::r8,  x86::r9,  x86::rbx, x86::r13,
                                             x86::r14, x86::r15, x86::rbp};
inline constexpr x86::Gp kFp = x86::rbp;
/// RunState of this run.
inline constexpr x86::Gp kState = x86::r12;
inline constexpr x86::Gp kFirstArg = x86::rdi;
/// Free between insns.
inline constexpr x86::Gp kScratch0 = x86::r11;
inline constexpr x86::Gp kScratch1 = x86::r10;
/// In checked mode: what is left of the budget. Memory has it wherever C++ runs.
inline constexpr x86::Gp kInsnsLeft = kScratch1;
inline constexpr x86::Gp kScratch2 = x86::rdi;

// RunState has no virtual functions and one base: gcc and clang lay it out as a struct.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
namespace offsets {
using exec::RunState;
inline constexpr int kCtx = offsetof(RunState, ctx_);
inline constexpr int kData = offsetof(RunState, data_);
inline constexpr int kUser = offsetof(RunState, user_);
inline constexpr int kCpu = offsetof(RunState, user_.cpu);
inline constexpr int kAbortReason = offsetof(RunState, abort_reason_);
inline constexpr int kCtxAddress = offsetof(RunState, ctx_address);
inline constexpr int kPlainSize = offsetof(RunState, plain_size);
inline constexpr int kPacket = offsetof(RunState, packet);
inline constexpr int kWindow = offsetof(RunState, window);
inline constexpr int kCode = offsetof(RunState, code);
inline constexpr int kDepth = offsetof(RunState, depth);
inline constexpr int kTailCalls = offsetof(RunState, tail_calls);
inline constexpr int kStackPointer = offsetof(RunState, native.stack_pointer);
inline constexpr int kInsnsLeft = offsetof(RunState, native.insns_left);
inline constexpr int kValue = offsetof(RunState, native.value);
inline constexpr int kEnd = offsetof(RunState, native.end);
inline constexpr int kCallRegs = offsetof(RunState, native.r);
inline constexpr int kReach = offsetof(RunState, native.reach.of_);
inline constexpr int kReachedFrames =
    offsetof(RunState, native.reach.lasting_[std::size_t(exec::Lasts::Frame)]);
} // namespace offsets
#pragma GCC diagnostic pop

/// The low 1, 2, 4 or 8 bytes of a register.
[[nodiscard]] inline x86::Gp low(const x86::Gp& reg, unsigned bytes) {
    switch (bytes) {
    case 1:
        return reg.r8();
    case 2:
        return reg.r16();
    case 4:
        return reg.r32();
    default:
        return reg.r64();
    }
}

/// The part of a register that operations of that width work on.
[[nodiscard]] inline x86::Gp sized(const x86::Gp& reg, isa::Width width) {
    return low(reg, width == isa::Width::W64 ? 8 : 4);
}

/// Does the call of a helper need the RunState?
[[nodiscard]] inline bool needs_run(const exec::Code& code, const exec::Slot& call) {
    return reinterpret_cast<const Helper*>(call.imm)->use != CallUse::None ||
           !code.maps_of_maps.empty();
}

/// Does any function that the program calls have data of its own?
[[nodiscard]] inline bool has_data(const exec::Code& code) {
    return std::ranges::any_of(code.helpers,
                               [](const Helper& helper) { return helper.data != nullptr; });
}

/// An address as an immediate.
template <class T>
[[nodiscard]] std::uint64_t address_of(T* at) {
    return std::uint64_t(reinterpret_cast<std::uintptr_t>(at));
}

/// A field of the RunState.
[[nodiscard]] inline x86::Mem state_field(int offset, unsigned size = 8) {
    return x86::ptr(kState, offset, size);
}

} // namespace ebpfvm::jit
