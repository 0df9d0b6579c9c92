// What a helper can ask of the run that called it.
#include "ebpfvm/run.hpp"
#include "helpers/host_sources.hpp"
#include "support/entropy.hpp"

#include <algorithm>

namespace ebpfvm {
namespace {

// Where a run's numbers begin. The system is asked once per thread: it takes as long as a small
// program.
std::uint64_t seed_of_run() {
    thread_local std::uint64_t next = random_seed();
    next += 0xd134'2543'de82'ef95; // odd: goes through all values
    return next != 0 ? next : 1;
}

} // namespace

bool CallContext::grant(std::span<std::byte> memory, Access access) {
    return grant_ref(memory, access, nullptr);
}

bool CallContext::grant_ref(std::span<std::byte> memory, Access access,
                            void (*release)(std::byte* memory)) {
    if (grant_count_ == kMaxGrants) {
        return false;
    }
    grants_[grant_count_++] = {memory.data(), memory.size(), access, release};
    return true;
}

bool CallContext::revoke(const void* memory) {
    const auto end = grants_.begin() + std::ptrdiff_t(grant_count_);
    const auto found = std::find_if(grants_.begin(), end,
                                    [memory](const Grant& grant) { return grant.begin == memory; });
    if (found == end) {
        return false;
    }
    *found = *(end - 1);
    --grant_count_;
    return true;
}

std::uint64_t CallContext::now_ns() const {
    if (environment_ != nullptr && environment_->clock) {
        return environment_->clock();
    }
    return helpers::monotonic_ns();
}

// A run that never asks never seeds.
std::uint32_t CallContext::random_u32() {
    if (random_state_ == 0) {
        const std::uint64_t fixed = environment_ != nullptr ? environment_->random_seed : 0;
        random_state_ = fixed != 0 ? fixed : seed_of_run();
    }
    return helpers::next_random(random_state_);
}

void CallContext::trace(std::string_view text) const {
    if (environment_ != nullptr && environment_->trace) {
        environment_->trace(text);
    }
}

} // namespace ebpfvm
