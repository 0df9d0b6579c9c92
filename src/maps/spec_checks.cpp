#include "maps/spec_checks.hpp"

#include <algorithm>
#include <thread>

namespace ebpfvm::maps {

Expected<void> check_flags(const MapSpec& spec, std::uint32_t allowed) {
    constexpr std::uint32_t kBoth = map_flags::kRdonlyProg | map_flags::kWronlyProg;
    if ((spec.flags & ~allowed) != 0) {
        return fail_map(Errc::InvalidArgument, spec, "flags {:#x} are not for type {}",
                        spec.flags & ~allowed, name_of(spec.type));
    }
    if ((spec.flags & kBoth) == kBoth) {
        return fail_map(Errc::InvalidArgument, spec,
                        "rdonly_prog and wronly_prog exclude each other");
    }
    return {};
}

Expected<void> check_not_empty(const MapSpec& spec) {
    if (spec.key_size == 0 || spec.value_size == 0 || spec.max_entries == 0) {
        return fail_map(Errc::InvalidArgument, spec,
                        "key_size={} value_size={} max_entries={}, none may be 0", spec.key_size,
                        spec.value_size, spec.max_entries);
    }
    return {};
}

Expected<void> check_index_key(const MapSpec& spec) {
    if (spec.key_size != sizeof(std::uint32_t)) {
        return fail_map(Errc::InvalidArgument, spec, "key_size={}, type {} needs 4", spec.key_size,
                        name_of(spec.type));
    }
    return {};
}

Expected<void> check_handle_value(const MapSpec& spec) {
    if (spec.value_size != sizeof(std::uint32_t)) {
        return fail_map(Errc::InvalidArgument, spec, "value_size={}, type {} needs 4",
                        spec.value_size, name_of(spec.type));
    }
    return {};
}

std::uint32_t cpu_count(const MapOptions& options) {
    return options.cpus != 0 ? options.cpus : std::max(1U, std::thread::hardware_concurrency());
}

} // namespace ebpfvm::maps
