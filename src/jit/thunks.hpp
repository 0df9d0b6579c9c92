// Functions that machine code calls for what is rare or long. They return false, or nullptr, with
// RunState::native.fault set if the run must end.
#pragma once

#include "exec/run_state.hpp"

namespace ebpfvm::jit {

/// Before a program's first access: registers are likely to point to its packet or context.
void reach_input(exec::RunState& state);
/// A load or store that is outside of what its register reached before, done here; or the check
/// before an atomic operation. `r` is r0..r10.
bool access_memory(exec::RunState& state, std::uint32_t slot, std::uint64_t* r);
/// A function returned, and a register had reached into its frame.
void forget_frames(exec::RunState& state);

enum class PacketLoad : std::uint8_t { Fault, Outside, Ok };
/// LD_ABS and LD_IND; `r6` is what the program has there.
PacketLoad load_packet(exec::RunState& state, std::int32_t offset, const exec::Slot* slot,
                       std::uint64_t r6);

/// Calls the helper of the slot with native.r; the first checks its arguments.
bool call_helper_checked(exec::RunState& state, std::uint32_t slot);
bool call_helper(exec::RunState& state, const exec::Slot* slot);

/// What a callx of `target` goes to: machine code, or 1 if it was a helper, which has been called.
const void* resolve_callx(exec::RunState& state, const exec::Slot* slot, std::uint64_t target);

/// Machine code of the program that a tail call goes to, or 1 if there is none. Arguments are
/// native.r.
const void* tail_call(exec::RunState& state, const exec::Slot* slot);

/// A call has returned from the program that ran in the callee's place to this one.
void return_to(exec::RunState& state, const exec::Code* code);

/// Why a run ends before its program does.
enum class Stop : std::uint8_t {
    Faulted, ///< native.fault says it
    Abort,   ///< the function called has asked for it
    Depth,
    Budget,
};
/// Sets the fault and counts the insns of a run that ends at this slot.
void stop_run(exec::RunState& state, std::uint32_t slot, Stop why);

} // namespace ebpfvm::jit
