// What the kernel demands of a map's definition (the map_alloc_check functions), in pieces.
#pragma once

#include "ebpfvm/map.hpp"
#include "support/try.hpp"

#include <cstdint>
#include <utility>

namespace ebpfvm::maps {

/// An error that begins with the map's name.
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail_map(Errc code, const MapSpec& spec,
                                              fmt::format_string<Args...> format, Args&&... args) {
    return fail(code, "map \"{}\": {}", spec.name,
                fmt::format(format, std::forward<Args>(args)...));
}

/// Rights of the host, and those of host and programs (BPF_F_ACCESS_MASK).
inline constexpr std::uint32_t kHostAccessFlags = map_flags::kRdonly | map_flags::kWronly;
inline constexpr std::uint32_t kAccessFlags =
    kHostAccessFlags | map_flags::kRdonlyProg | map_flags::kWronlyProg;

/// Only `allowed` flags, and not both kRdonlyProg and kWronlyProg.
[[nodiscard]] Expected<void> check_flags(const MapSpec& spec, std::uint32_t allowed);
/// Key, value and max_entries are not zero.
[[nodiscard]] Expected<void> check_not_empty(const MapSpec& spec);
/// The key is an index of 4 bytes.
[[nodiscard]] Expected<void> check_index_key(const MapSpec& spec);
/// The value is a handle of 4 bytes (for a program or map).
[[nodiscard]] Expected<void> check_handle_value(const MapSpec& spec);

/// Copies in a per-cpu map: options.cpus, or one per host CPU.
[[nodiscard]] std::uint32_t cpu_count(const MapOptions& options);

} // namespace ebpfvm::maps
