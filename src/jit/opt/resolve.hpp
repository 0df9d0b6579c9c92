// Places for values whose intervals have registers or slots.
#pragma once

#include "jit/opt/lifetimes.hpp"

namespace ebpfvm::jit::opt {

/// Sets places, and moves between them: where a value changes its place, on edges, and into phis.
void resolve(const Function& fn, const Lifetimes& lifetimes, Allocation& allocation);

} // namespace ebpfvm::jit::opt
