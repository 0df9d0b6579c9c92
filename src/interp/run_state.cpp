// Start and end of a run.
#include "interp/run_state.hpp"

#include <new>

namespace ebpfvm::interp {

RunState::RunState(const Code& entry, const RunInput& input)
    : budget(input.insn_budget), code(&entry) {
    ctx_ = input.ctx;
    packet = input.packet;
    // Helpers may move and change it only if the program may.
    packet_ = entry.ctx->packet_access == Access::ReadWrite ? input.packet : nullptr;
    environment_ = input.environment;
    user_ = {.cpu = input.cpu, .run = this};
    const bool is_plain = entry.ctx->plain != Access::None;
    ctx_address =
        reinterpret_cast<std::uintptr_t>(is_plain ? input.ctx : ctx_window_ + kMaxCtxSize);
    plain_size = is_plain ? input.size : 0;
    if (entry.ctx->plain == Access::ReadWrite) {
        plain_window_.data_meta = static_cast<std::byte*>(input.ctx);
        plain_window_.data_end = plain_window_.data_meta + input.size;
    }
    window = packet_ != nullptr ? packet_ : &plain_window_;
}

RunState::~RunState() {
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

bool RunState::release_refs() {
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

} // namespace ebpfvm::interp
