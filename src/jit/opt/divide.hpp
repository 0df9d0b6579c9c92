// Division by constants is multiplication.
#pragma once

#include "jit/opt/ir.hpp"

namespace ebpfvm::jit::opt {

__extension__ using Wide = unsigned __int128;

/// `id` is a Udiv or Umod by a constant; the value to use instead, `id` if there is nothing better.
/// New nodes go before it. Method: Granlund and Montgomery, "Division by invariant integers using
/// multiplication", PLDI 1994.
ValueId divide_by_constant(Function& fn, ValueId id);

} // namespace ebpfvm::jit::opt
