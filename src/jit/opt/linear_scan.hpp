// Registers for intervals.
#pragma once

#include "jit/opt/lifetimes.hpp"

namespace ebpfvm::jit::opt {

/// Gives each interval a register, splitting it where it can keep none. What has none is spilled:
/// it is remade, or gets a slot in `allocation`, which also learns of the registers in use.
void scan(const Function& fn, Lifetimes& lifetimes, Allocation& allocation);

} // namespace ebpfvm::jit::opt
