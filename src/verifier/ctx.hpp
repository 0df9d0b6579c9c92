// Accesses to contexts and to the structs that programs reach through them.
#pragma once

#include "verifier/mem.hpp"

namespace ebpfvm::verifier {

[[nodiscard]] bool check_ctx(Env& env, unsigned number, const Reg& reg, const MemAccess& access);
/// Sockets, flow keys, tracepoint buffers.
[[nodiscard]] bool check_object(Env& env, const Reg& reg, const MemAccess& access);
/// What a load from a context or such a struct gets.
[[nodiscard]] Reg load_object(Env& env, const Reg& reg, const MemAccess& access, bool sign_extends);

} // namespace ebpfvm::verifier
