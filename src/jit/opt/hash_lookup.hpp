// Lookups in hash maps, by what emit_finds() emits.
#pragma once

#include "jit/opt/writer.hpp"

namespace ebpfvm::jit::opt {

/// Does it take the key in registers?
[[nodiscard]] bool has_short_key(const exec::HashLookup& lookup);

/// Does it need the RunState: for the number of the CPU, or for a call?
[[nodiscard]] bool needs_state(const exec::HashLookup& lookup);

/// The value of the key at address `key`, or null, of a map for which has_short_key() holds.
[[nodiscard]] ValueId write_hash_lookup(Writer& to, const exec::HashLookup& lookup, ValueId key);

} // namespace ebpfvm::jit::opt
