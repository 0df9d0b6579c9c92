// Helpers that are short enough to be written out where they are called.
#pragma once

#include "jit/opt/writer.hpp"

#include <optional>
#include <span>

namespace ebpfvm::jit::opt {

/// What `fn` returns for these arguments, if it is one of the built-in helpers that need no call:
/// get_smp_processor_id, and csum_diff of a few words, whose number is known.
[[nodiscard]] std::optional<ValueId> write_helper(Writer& to, const exec::Builtins& builtins,
                                                  HelperFn fn, std::span<const ValueId> args);

} // namespace ebpfvm::jit::opt
