// Functions that machine code calls for what is rare or long. They return false, or nullptr, with
// RunState::native.fault set if the run must end.
#pragma once

#include "exec/run_state.hpp"

namespace ebpfvm::jit {

/// A load or store that is neither to the current frame nor to the packet; the value is
/// native.value.
bool load_elsewhere(exec::RunState& state, std::uint64_t address, const exec::Slot* slot);
bool store_elsewhere(exec::RunState& state, std::uint64_t address, const exec::Slot* slot);
/// May the atomic operation of this slot access `address`?
bool check_atomic(exec::RunState& state, std::uint64_t address, const exec::Slot* slot);

enum class PacketLoad : std::uint8_t { Fault, Outside, Ok };
/// LD_ABS and LD_IND; `r6` is what the program has there.
PacketLoad load_packet(exec::RunState& state, std::int32_t offset, const exec::Slot* slot,
                       std::uint64_t r6);

/// Calls the helper of the slot with native.r; the first checks its arguments.
bool call_helper_checked(exec::RunState& state, const exec::Slot* slot);
bool call_helper(exec::RunState& state, const exec::Slot* slot);

/// What a callx of `target` goes to: machine code, or 1 if it was a helper, which has been called.
const void* resolve_callx(exec::RunState& state, const exec::Slot* slot, std::uint64_t target);

/// Machine code of the program that a tail call goes to, or 1 if there is none. Arguments are
/// native.r.
const void* tail_call(exec::RunState& state, const exec::Slot* slot);

/// A call has returned from the program that ran in the callee's place to this one.
void return_to(exec::RunState& state, const exec::Code* code);

/// The function called has asked for the end of the run.
bool fail_abort(exec::RunState& state, const exec::Slot* slot);
bool fail_depth(exec::RunState& state, const exec::Slot* slot);
bool fail_budget(exec::RunState& state, const exec::Slot* slot);

} // namespace ebpfvm::jit
