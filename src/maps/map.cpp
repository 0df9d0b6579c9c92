// What all maps share: the host's conveniences over the abstract functions.
#include "ebpfvm/map.hpp"

#include "maps/spec_checks.hpp"
#include "maps/words.hpp"

#include <cerrno>
#include <cstring>

namespace ebpfvm {

using maps::fail_map;

namespace {

// What a negative errno of a map function means to a host that asked with sizes already checked.
std::unexpected<Error> fail_errno(const MapSpec& spec, int error) {
    switch (-error) {
    case ENOENT:
        return fail_map(Errc::NotFound, spec, "no such element");
    case EEXIST:
        return fail_map(Errc::InvalidArgument, spec, "the element exists already");
    case E2BIG:
        return fail_map(Errc::LimitExceeded, spec, "no room beyond max_entries={}",
                        spec.max_entries);
    case ENOTSUP:
        return fail_map(Errc::Unsupported, spec, "type {} has no values to read or write",
                        name_of(spec.type));
    default:
        return fail_map(Errc::InvalidArgument, spec, "refused: {}", std::strerror(-error));
    }
}

Expected<void> check_size(const MapSpec& spec, const char* what, std::size_t size,
                          std::size_t needed) {
    if (size != needed) {
        return fail_map(Errc::InvalidArgument, spec, "{} of {} bytes, it must have {}", what, size,
                        needed);
    }
    return {};
}

} // namespace

std::string_view name_of(MapType type) {
    switch (type) {
    case MapType::Unspec:
        return "unspec";
#define EBPFVM_MAP_TYPE(name, id, text, Class)                                                     \
    case MapType::name:                                                                            \
        return text;
#define EBPFVM_MAP_TYPE_ABSENT(name, id, text) EBPFVM_MAP_TYPE(name, id, text, )
#include "ebpfvm/tables/map_types.def"
    }
    return "unknown";
}

MemoryState Map::memory_state(const void*, std::size_t, const MapUser&) noexcept {
    return MemoryState::NotMine;
}

std::span<std::byte> Map::value_at(const void*, const MapUser&) noexcept {
    return {};
}

Access Map::prog_access() const noexcept {
    if ((spec_.flags & map_flags::kRdonlyProg) != 0) {
        return Access::Read;
    }
    return (spec_.flags & map_flags::kWronlyProg) != 0 ? Access::Write : Access::ReadWrite;
}

int Map::copy_elem(const void* key, void* value, const MapUser& user) noexcept {
    const void* found = lookup_elem(key, user);
    if (found == nullptr) {
        return -ENOENT;
    }
    maps::load_shared(value, static_cast<const std::byte*>(found), spec_.value_size);
    return 0;
}

Expected<std::vector<std::byte>> Map::read(std::span<const std::byte> key, std::uint32_t cpu) {
    TRY(check_size(spec_, "key", key.size(), spec_.key_size));
    if ((spec_.flags & map_flags::kWronly) != 0) {
        return fail_map(Errc::InvalidArgument, spec_, "the host may only write it (wronly)");
    }
    std::vector<std::byte> value(spec_.value_size);
    if (const int error = copy_elem(key.data(), value.data(), {.cpu = cpu}); error != 0) {
        return fail_errno(spec_, error);
    }
    return value;
}

Expected<void> Map::write(std::span<const std::byte> key, std::span<const std::byte> value,
                          std::uint64_t flags, std::uint32_t cpu) {
    TRY(check_size(spec_, "key", key.size(), spec_.key_size));
    TRY(check_size(spec_, "value", value.size(), spec_.value_size));
    if (is_frozen() || (spec_.flags & map_flags::kRdonly) != 0) {
        return fail_map(Errc::InvalidArgument, spec_, "the host may not write it ({})",
                        is_frozen() ? "frozen" : "rdonly");
    }
    const int error = update_elem(key.data(), value.data(), flags, {.cpu = cpu});
    if (error != 0) {
        return fail_errno(spec_, error);
    }
    return {};
}

void Map::for_each_key(const std::function<bool(std::span<const std::byte>)>& visit) {
    std::vector<std::byte> key(spec_.key_size);
    std::vector<std::byte> next(spec_.key_size);
    bool more = get_next_key(nullptr, key.data()) == 0;
    // A key that disappears sends get_next_key back to the first one. The bound ends the loop even
    // if others delete and insert all the time.
    for (std::uint32_t visited = 0; more && visited < spec_.max_entries; ++visited) {
        // First, because `visit` may delete the key.
        more = get_next_key(key.data(), next.data()) == 0;
        if (!visit(key)) {
            return;
        }
        key.swap(next);
    }
}

} // namespace ebpfvm
