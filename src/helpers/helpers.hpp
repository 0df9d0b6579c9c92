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

/// HelperTable::defaults() for runs in this environment: what asks nothing of it needs no run.
[[nodiscard]] HelperTable table_for(const Environment& environment);

/// ktime_get_ns by the system's clock, and get_prandom_u32 where no run has a seed of its own.
std::uint64_t system_ktime_get_ns(CallContext&, std::uint64_t, std::uint64_t, std::uint64_t,
                                  std::uint64_t, std::uint64_t);
std::uint64_t thread_prandom_u32(CallContext&, std::uint64_t, std::uint64_t, std::uint64_t,
                                 std::uint64_t, std::uint64_t);

/// r0 of a helper that returns 0, a length or a negative errno.
[[nodiscard]] inline std::uint64_t as_r0(std::int64_t result) {
    return static_cast<std::uint64_t>(result);
}

template <class T>
[[nodiscard]] T* as_pointer(std::uint64_t reg) {
    return reinterpret_cast<T*>(reg);
}

} // namespace ebpfvm::helpers
