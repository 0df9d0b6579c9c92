// Access to context fields: programs see the uapi struct, the host keeps its own.
#pragma once

#include "exec/run_state.hpp"

#include <optional>

namespace ebpfvm::exec {

/// The value that a load of `size` bytes at `off` of the context gives, or nothing if there is no
/// such field or it may not be read so.
[[nodiscard]] std::optional<std::uint64_t> load_ctx(const RunState& state, std::uint64_t off,
                                                    std::uint64_t size);

/// Stores the low `size` bytes of `value`; false if that is not allowed.
[[nodiscard]] bool store_ctx(RunState& state, std::uint64_t off, std::uint64_t size,
                             std::uint64_t value);

} // namespace ebpfvm::exec
