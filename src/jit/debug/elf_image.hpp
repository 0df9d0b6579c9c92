// An ELF file in memory that describes machine code elsewhere.
#pragma once

#include "jit/debug/compiled.hpp"

#include <cstddef>
#include <vector>

namespace ebpfvm::jit {

/// Symbols of all functions, how to unwind them, and source lines where they are known. Addresses
/// are final; the code itself is not in it.
[[nodiscard]] std::vector<std::byte> elf_image_of(const Compiled& compiled);

} // namespace ebpfvm::jit
