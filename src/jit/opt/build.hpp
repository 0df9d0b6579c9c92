// From slots to SSA.
#pragma once

#include "jit/jit.hpp"
#include "jit/opt/ir.hpp"

#include <optional>

namespace ebpfvm::jit::opt {

/// All functions of a program: the first is the entry, the others are those that calls still go to
/// after inlining. Nothing if the program does what this tier does not compile (callx, writes of
/// r10).
[[nodiscard]] std::optional<Vec<Function>> build(const exec::Code& code, const OptOptions& options);

} // namespace ebpfvm::jit::opt
