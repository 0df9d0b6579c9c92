// What is done to a function between build() and allocate(). Each pass is a file, or a few.
#pragma once

#include "jit/jit.hpp"
#include "jit/opt/ir.hpp"

namespace ebpfvm::jit::opt {

/// Simplifies all values and branches, unites those that are equal, and removes blocks that cannot
/// be reached and values that nobody uses. Ends with find_loops().
void clean(Function& fn);

/// The part of it that changes of the graph ask for: branches, phis, blocks.
void tidy(Function& fn);

/// Stack whose address stays within the function becomes values.
void promote_stack(Function& fn);

/// Where the outcome of a branch is known on one way to it, that way leads past it. True if there
/// is such a way: tidy() has to follow.
[[nodiscard]] bool thread_jumps(Function& fn);

/// Branches around nothing but a choice of values become Selects. True if there are any: clean()
/// has to follow, here and below.
[[nodiscard]] bool select_values(Function& fn);

/// Trees of branches on one value become a Switch.
[[nodiscard]] bool find_switches(Function& fn);

/// Loads of bytes that are put together, and stores of a value's bytes, become one of the whole.
[[nodiscard]] bool merge_bytes(Function& fn);

/// Small loops do several turns in one, if it is known how many there are. True if one of them
/// does all of them, so that clean() has to follow.
[[nodiscard]] bool unroll(Function& fn);

/// In loops, what is late goes last into sums and the like. Needs no clean().
void reassociate(Function& fn);

/// What machine code wants: no critical edges, addresses of base, index and displacement,
/// constants in registers where no immediate will do.
void lower(Function& fn);

/// The IR for people, a line each; by the slot it comes from.
[[nodiscard]] std::vector<SlotCode> to_text(const Function& fn);

} // namespace ebpfvm::jit::opt
