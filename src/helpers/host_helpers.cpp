// ktime_get_ns, get_prandom_u32, get_smp_processor_id: facts of the host and of the run.
#include "helpers/helpers.hpp"
#include "helpers/host_sources.hpp"
#include "support/entropy.hpp"

namespace ebpfvm::helpers {

std::uint64_t ktime_get_ns(CallContext& call, std::uint64_t, std::uint64_t, std::uint64_t,
                           std::uint64_t, std::uint64_t) {
    return call.now_ns();
}

std::uint64_t get_prandom_u32(CallContext& call, std::uint64_t, std::uint64_t, std::uint64_t,
                              std::uint64_t, std::uint64_t) {
    return call.random_u32();
}

std::uint64_t system_ktime_get_ns(CallContext&, std::uint64_t, std::uint64_t, std::uint64_t,
                                  std::uint64_t, std::uint64_t) {
    return monotonic_ns();
}

std::uint64_t thread_prandom_u32(CallContext&, std::uint64_t, std::uint64_t, std::uint64_t,
                                 std::uint64_t, std::uint64_t) {
    thread_local std::uint64_t state = random_seed();
    return next_random(state);
}

std::uint64_t get_smp_processor_id(CallContext& call, std::uint64_t, std::uint64_t, std::uint64_t,
                                   std::uint64_t, std::uint64_t) {
    return call.cpu();
}

} // namespace ebpfvm::helpers
