// Algebra on single values: what a node is, given what its arguments are.
#pragma once

#include "jit/opt/ir.hpp"

namespace ebpfvm::jit::opt {

/// Is there anything that simplify() could do?
[[nodiscard]] constexpr bool is_simplifiable(Kind kind) {
    return is_pure(kind) || kind == Kind::Load || kind == Kind::Store || kind == Kind::Branch;
}

/// Simplifies the node; new nodes go before it. The value to use instead: `id` itself, perhaps
/// changed, or another one. Branches are simplified in place. All arguments must be resolved.
/// Phis are left alone: see Function::single_value().
ValueId simplify(Function& fn, ValueId id);

/// A new node before `place`, of its slot, simplified; the value to use.
ValueId insert_simplified(Function& fn, ValueId place, Node node);
/// The same for an operation on one or two values.
ValueId insert_simplified(Function& fn, ValueId place, Kind kind, Width width, ValueId a,
                          ValueId b = 0, unsigned size = 0);
/// The same at the end of the block; the node has its slot.
ValueId append_simplified(Function& fn, BlockId block, const Node& node);

} // namespace ebpfvm::jit::opt
