// map_lookup_elem, map_update_elem, map_delete_elem.
#include "helpers/helpers.hpp"

namespace ebpfvm::helpers {

std::uint64_t map_lookup_elem(CallContext& call, std::uint64_t map, std::uint64_t key,
                              std::uint64_t, std::uint64_t, std::uint64_t) {
    return reinterpret_cast<std::uint64_t>(
        as_pointer<Map>(map)->lookup_elem(as_pointer<const void>(key), call.map_user()));
}

std::uint64_t map_update_elem(CallContext& call, std::uint64_t map, std::uint64_t key,
                              std::uint64_t value, std::uint64_t flags, std::uint64_t) {
    return as_r0(as_pointer<Map>(map)->update_elem(
        as_pointer<const void>(key), as_pointer<const void>(value), flags, call.map_user()));
}

std::uint64_t map_delete_elem(CallContext& call, std::uint64_t map, std::uint64_t key,
                              std::uint64_t, std::uint64_t, std::uint64_t) {
    return as_r0(as_pointer<Map>(map)->delete_elem(as_pointer<const void>(key), call.map_user()));
}

} // namespace ebpfvm::helpers
