// Machine code of functions whose values have places.
#pragma once

#include "jit/code_map.hpp"
#include "jit/opt/allocate.hpp"
#include "jit/opt/ir.hpp"

#include <asmjit/x86.h>

#include <functional>
#include <span>

namespace ebpfvm::jit::opt {

struct Entries {
    Vec<asmjit::Label> subprogs{}; ///< by subprogram; invalid: inlined everywhere
    asmjit::Label run{};           ///< where runs and tail calls enter
    asmjit::Label leaf{};          ///< Code::native_leaf, or invalid
    bool is_complete = true;       ///< false: a jump that was guessed to be short is not
};

/// How far those reach whose distance is not yet known when they are emitted.
enum class Jumps : std::uint8_t { Guessed, Far };

/// `note(slot)` is called before the code of each slot, with the number of slots for what belongs
/// to none; it may be null, and so may `map` and, for a listing, `memory`.
[[nodiscard]] Entries emit(std::span<const Function> functions,
                           std::span<const Allocation> allocations, asmjit::CodeHolder& holder,
                           const Cpu& cpu, const CodeMemory* memory,
                           const std::function<void(std::size_t)>& note, CodeMap* map, Jumps jumps);

} // namespace ebpfvm::jit::opt
