// Accesses to stack frames: spills, fills, and bytes.
#pragma once

#include "verifier/env.hpp"
#include "verifier/mem.hpp"

namespace ebpfvm::verifier {

/// May the stack that `reg` points to be accessed so by a load or store?
[[nodiscard]] bool check_stack(Env& env, const State& state, unsigned reg, const MemAccess& access);
/// The same for memory that is passed to a helper: any alignment, and writes may find anything.
[[nodiscard]] bool check_stack_region(Env& env, const State& state, unsigned reg,
                                      const MemAccess& access);

/// What a load gets; marks what it reads. `sign_extends` for narrow loads.
[[nodiscard]] Reg load_stack(Env& env, State& state, const Reg& pointer, const MemAccess& access,
                             bool sign_extends);
/// Stores a register of the current frame (or, if `src` is kNoReg, `value` alone).
void store_stack(Env& env, State& state, const Reg& pointer, const MemAccess& access, unsigned src,
                 const Reg& value);
/// Helpers read a region: all slots count as read.
void read_stack_region(Env& env, const State& state, const Reg& pointer, std::uint32_t size);
/// A helper (or an atomic operation) writes unknown bytes.
void clobber_stack(Env& env, State& state, const Reg& pointer, std::uint32_t size);

/// Something wrote through a pointer that nothing is known of: any stack may have changed.
void clobber_all(Env& env, State& state);

inline constexpr unsigned kNoReg = ~0U;

} // namespace ebpfvm::verifier
