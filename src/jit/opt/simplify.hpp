// Algebra on single values: what a node is, given what its arguments are.
#pragma once

#include "jit/opt/ir.hpp"

namespace ebpfvm::jit::opt {

/// Simplifies the node; new nodes go before it. The value to use instead: `id` itself, perhaps
/// changed, or another one. Branches are simplified in place. All arguments must be resolved.
ValueId simplify(Function& fn, ValueId id);

/// An upper bound of the number of significant bits, from those of the arguments.
[[nodiscard]] std::uint8_t bits_of(const Function& fn, const Node& node);

/// What the condition says of two constants.
[[nodiscard]] bool holds(Cond cond, Width width, std::uint64_t a, std::uint64_t b);

} // namespace ebpfvm::jit::opt
