// The conditions of Branches and Selects, as far as they are known.
#pragma once

#include "jit/opt/ir.hpp"

#include <cstdint>
#include <optional>

namespace ebpfvm::jit::opt {

/// What the condition says of two constants.
[[nodiscard]] bool holds(Cond cond, Width width, std::uint64_t a, std::uint64_t b);

/// What the condition of a Branch or Select is known to be.
[[nodiscard]] std::optional<bool> verdict(const Function& fn, const Node& at);

/// Makes a Branch one that always, or never, is taken.
void set_outcome(Function& fn, ValueId branch, bool is_taken);

} // namespace ebpfvm::jit::opt
