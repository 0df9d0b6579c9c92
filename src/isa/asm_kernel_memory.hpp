// The kernel dialect's loads, stores and atomics: everything with a `(u32 *)` in it.
#pragma once

#include "isa/asm_operands.hpp"

namespace ebpfvm::isa {

/// Takes the register named before, as at the end of `r1 = be16 r1`.
[[nodiscard]] Expected<void> expect_same(Cursor& in, const Reg& reg);

/// An error if the register was written `w`.
[[nodiscard]] Expected<void> require_64(const Reg& reg);

/// Behind `*`: `(u32 *)(r1 +4) = w2`, `... = 7`.
[[nodiscard]] Expected<Statement> kernel_store(Cursor& in);

/// Behind `lock`: `*(u64 *)(r1 +8) += r2`.
[[nodiscard]] Expected<Statement> kernel_atomic(Cursor& in);

/// Behind `store_release`: `((u8 *)(r1 +0), w2)`.
[[nodiscard]] Expected<Statement> kernel_store_release(Cursor& in);

/// Behind `r2 = load_acquire`: `((u8 *)(r1 +0))`.
[[nodiscard]] Expected<Statement> kernel_load_acquire(Cursor& in, const Reg& dst);

/// Behind `r0 = *`: `(u32 *)(r1 +76)`, `(u8 *)skb[20]`.
[[nodiscard]] Expected<Statement> kernel_load(Cursor& in, const Reg& dst);

/// Is `name` one that kernel_atomic_fetch() takes?
[[nodiscard]] bool is_atomic_fetch(std::string_view name);

/// Behind `r2 =`: `atomic_fetch_add((u64 *)(r1 +8), r2)`, `cmpxchg((u64 *)(r1 +8), r0, r2)`, or as
/// LLVM has it `xchg_64(r1 + 8, r2)`, `cmpxchg32_32(r1 + 8, w0, w2)`.
[[nodiscard]] Expected<Statement> kernel_atomic_fetch(Cursor& in, const Reg& result);

} // namespace ebpfvm::isa
