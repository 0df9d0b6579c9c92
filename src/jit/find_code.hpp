// Lookups in hash maps for machine code, with arguments and results in registers that suit it.
#pragma once

#include "jit/code_map.hpp"

#include <asmjit/x86.h>

#include <array>
#include <cstdint>

namespace ebpfvm::maps {
struct HashView;
}

namespace ebpfvm::jit {

/// Keys of up to so many bytes; others are hashed and compared in a loop of C++.
inline constexpr std::uint32_t kMaxFindKey = 16;
/// What a find changes, as bits by x86's numbers: rax, rcx, rdx, rsi, rdi. (And r11, which is free
/// between insns.)
inline constexpr std::uint32_t kFindClobbers = 0xc7;

/// A function of (const exec::HashLookup*, key words 0 and 1, number of the CPU) that returns the
/// address of the value, or null. Arguments are those of a C++ function, of which a lookup has as
/// many as it needs.
inline constexpr std::size_t kFindKinds = 8;
[[nodiscard]] std::size_t find_kind(const maps::HashView& view);

/// Emits all of them. `map` may be null.
[[nodiscard]] std::array<asmjit::Label, kFindKinds> emit_finds(asmjit::x86::Assembler& as,
                                                               CodeMap* map);

} // namespace ebpfvm::jit
