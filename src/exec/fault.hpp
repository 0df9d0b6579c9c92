// Faults with all that a user needs to find the place.
#pragma once

#include "exec/guard.hpp"

#include <string_view>

namespace ebpfvm::exec {

/// A fault at `slot` of the running program: "insn 12: <text>: <reason>", with the source line.
[[nodiscard]] FaultPtr make_fault(const RunState& state, const Slot* slot, FaultKind kind,
                                  std::string_view reason,
                                  MemoryClass memory_class = MemoryClass::None);

/// The program ended at `slot` with a reference that it should have given back.
[[nodiscard]] FaultPtr unreleased_fault(const RunState& state, const Slot* slot);

/// Why the load or store of `size` bytes at `address` is not allowed; call it only if it is not.
[[nodiscard]] FaultPtr memory_fault(RunState& state, const Slot* slot, std::uint64_t address,
                                    std::uint64_t size, Access access);

} // namespace ebpfvm::exec
