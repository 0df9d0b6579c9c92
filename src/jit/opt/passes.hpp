// What is done to a function between build() and allocate(). Each pass is a file.
#pragma once

#include "jit/jit.hpp"
#include "jit/opt/ir.hpp"

#include <string>

namespace ebpfvm::jit::opt {

/// Simplifies all values and branches, unites those that are equal, and removes blocks that cannot
/// be reached and values that nobody uses. Ends with find_loops().
void clean(Function& fn);

/// Stack whose address stays within the function becomes values.
void promote_stack(Function& fn);

/// What machine code wants: no critical edges, addresses of base, index and displacement,
/// constants in registers where no immediate will do.
void lower(Function& fn);

/// The IR as text, for people.
[[nodiscard]] std::string to_text(const Function& fn);

} // namespace ebpfvm::jit::opt
