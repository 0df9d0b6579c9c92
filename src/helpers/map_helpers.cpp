// map_lookup_elem, map_update_elem, map_delete_elem.
#include "helpers/helpers.hpp"

#include <cerrno>

namespace ebpfvm::helpers {
namespace {

// A map with BPF_F_RDONLY_PROG (.rodata) cannot be changed by programs, not through helpers either.
// The kernel's verifier refuses such a program; here it learns at run time.
bool may_change(const Map& map) {
    return map.prog_access() == Access::ReadWrite || map.prog_access() == Access::Write;
}

} // namespace

std::uint64_t map_lookup_elem(CallContext& call, std::uint64_t map, std::uint64_t key,
                              std::uint64_t, std::uint64_t, std::uint64_t) {
    return reinterpret_cast<std::uint64_t>(
        as_pointer<Map>(map)->lookup_elem(as_pointer<const void>(key), call.map_user()));
}

std::uint64_t map_update_elem(CallContext& call, std::uint64_t map, std::uint64_t key,
                              std::uint64_t value, std::uint64_t flags, std::uint64_t) {
    if (!may_change(*as_pointer<Map>(map))) {
        return as_r0(-EPERM);
    }
    return as_r0(as_pointer<Map>(map)->update_elem(
        as_pointer<const void>(key), as_pointer<const void>(value), flags, call.map_user()));
}

std::uint64_t map_delete_elem(CallContext& call, std::uint64_t map, std::uint64_t key,
                              std::uint64_t, std::uint64_t, std::uint64_t) {
    if (!may_change(*as_pointer<Map>(map))) {
        return as_r0(-EPERM);
    }
    return as_r0(as_pointer<Map>(map)->delete_elem(as_pointer<const void>(key), call.map_user()));
}

} // namespace ebpfvm::helpers
