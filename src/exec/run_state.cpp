// Start and end of a run.
#include "exec/run_state.hpp"

#include <new>

namespace ebpfvm::exec {

void RunState::clean_up() {
    release_refs(); // a host function may have thrown
    for (unsigned i = 0; i < entered_count_; ++i) {
        entered_[i].outer->leave_run(entered_[i].phase);
    }
    for (unsigned i = 0; i < kept_count_; ++i) {
        std::launder(reinterpret_cast<std::shared_ptr<const Code>*>(kept_[i]))->~shared_ptr();
    }
}

const Code* RunState::keep(std::shared_ptr<const Code> target) {
    return std::construct_at(reinterpret_cast<std::shared_ptr<const Code>*>(kept_[kept_count_++]),
                             std::move(target))
        ->get();
}

bool RunState::enter(maps::MapOfMaps& outer) {
    for (unsigned i = 0; i < entered_count_; ++i) {
        if (entered_[i].outer == &outer) {
            return true;
        }
    }
    if (entered_count_ == kMaxEntered) {
        return false;
    }
    const std::uint32_t phase = outer.enter_run();
    entered_[entered_count_++] = {&outer, phase, outer.now()};
    return true;
}

void RunState::clear_frame(unsigned frame, std::uint64_t bytes) {
    std::memset(reinterpret_cast<void*>(frame_top(frame) - bytes), 0, bytes);
}

bool RunState::release_all_refs() {
    bool any = false;
    for (; grant_count_ > 0; --grant_count_) {
        const Grant& grant = grants_[grant_count_ - 1];
        if (grant.release != nullptr) {
            any = true;
            grant.release(grant.begin);
        }
    }
    return any;
}

} // namespace ebpfvm::exec
