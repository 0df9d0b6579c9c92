// Lookups in hash maps, without a call.
#pragma once

#include "jit/opt/writer.hpp"

namespace ebpfvm::jit::opt {

/// Is it for keys short enough to be compared without a loop?
[[nodiscard]] bool is_inlined(const exec::HashLookup& lookup);

/// Does it need the RunState: for the number of the CPU, or for a call?
[[nodiscard]] bool needs_state(const exec::HashLookup& lookup);

/// The value of the key at address `key`, or null, of a map for which is_inlined() holds.
[[nodiscard]] ValueId write_hash_lookup(Writer& to, const exec::HashLookup& lookup, ValueId key);

} // namespace ebpfvm::jit::opt
