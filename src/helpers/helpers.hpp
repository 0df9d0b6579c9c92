// The functions of the helpers in tables/helpers.def that run here. Each lives in the file of its
// topic.
#pragma once

#include "ebpfvm/helper.hpp"

#include <cstdint>

namespace ebpfvm::helpers {

#define EBPFVM_HELPER(id, name, ret, flags, ...)                                                   \
    std::uint64_t name(CallContext& call, std::uint64_t r1, std::uint64_t r2, std::uint64_t r3,    \
                       std::uint64_t r4, std::uint64_t r5);
#define EBPFVM_HELPER_OF_ENGINE(id, name, ret, flags, ...)
#include "ebpfvm/tables/helpers.def"

/// r0 of a helper that returns 0, a length or a negative errno.
[[nodiscard]] inline std::uint64_t as_r0(std::int64_t result) {
    return static_cast<std::uint64_t>(result);
}

template <class T>
[[nodiscard]] T* as_pointer(std::uint64_t reg) {
    return reinterpret_cast<T*>(reg);
}

} // namespace ebpfvm::helpers
