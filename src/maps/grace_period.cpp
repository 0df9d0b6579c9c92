#include "maps/grace_period.hpp"

namespace ebpfvm::maps {
namespace {

constexpr std::uint64_t kPhaseBit = std::uint64_t{1} << 63U;
constexpr std::uint64_t kEnteredBit = std::uint64_t{1} << 62U;
constexpr unsigned kCountBits = 31;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;

std::uint32_t phase_of(std::uint64_t state) {
    return (state & kPhaseBit) != 0 ? 1 : 0;
}
std::uint64_t one_run(std::uint32_t phase) {
    return std::uint64_t{1} << (phase * kCountBits);
}
std::uint64_t runs_in(std::uint64_t state, std::uint32_t phase) {
    return state >> (phase * kCountBits) & kCountMask;
}

} // namespace

std::uint32_t GracePeriod::enter() noexcept {
    std::uint64_t seen = state_.load(std::memory_order_relaxed);
    while (!state_.compare_exchange_weak(seen, (seen + one_run(phase_of(seen))) | kEnteredBit,
                                         std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
    return phase_of(seen);
}

bool GracePeriod::leave(std::uint32_t phase) noexcept {
    const std::uint64_t before = state_.fetch_sub(one_run(phase), std::memory_order_acq_rel);
    return runs_in(before, phase) == 1 && phase_of(before) != phase;
}

std::vector<const Map*> GracePeriod::drained() {
    std::vector<const Map*> result;
    for (;;) {
        const std::uint64_t state = state_.load(std::memory_order_acquire);
        if ((state & kEnteredBit) == 0 || runs_in(state, 1 - phase_of(state)) != 0) {
            return result;
        }
        result.insert(result.end(), waiting_.begin(), waiting_.end());
        waiting_.clear();
        if (pending_.empty()) {
            return result;
        }
        // From here on runs enter the other phase, which is empty, and cannot find the maps that
        // are pending now.
        waiting_.swap(pending_);
        state_.fetch_xor(kPhaseBit, std::memory_order_acq_rel);
    }
}

} // namespace ebpfvm::maps
