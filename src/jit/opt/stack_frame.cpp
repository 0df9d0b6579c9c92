#include "jit/opt/stack_frame.hpp"

#include "jit/opt/target.hpp"

namespace ebpfvm::jit::opt {

StackFrame::StackFrame(const Function& fn, const Allocation& places) {
    saved_ = places.used_regs & kSavedByCallee;
    if (fn.anchor != Anchor::None) {
        saved_ &= ~(1U << kAnchorReg);
    }
    room_ = (places.uses_frame ? fn.frame_bytes : 0) + 8 * places.slots;
    top_ = std::int32_t(room_);
    const std::uint32_t pushed = 8 + 8 * saved_count();
    if (places.has_calls || room_ != 0) {
        room_ += (16 - (pushed + room_) % 16) % 16;
    }
}

void StackFrame::enter(StackWriter& stack) const {
    for (unsigned reg = 0; reg < kMachineRegs; ++reg) {
        if ((saved_ >> reg & 1) != 0) {
            stack.push(x86::gpq(reg));
        }
    }
    if (room_ != 0) {
        stack.grow(room_);
    }
}

void StackFrame::leave(StackWriter& stack) const {
    if (room_ != 0) {
        stack.shrink(room_);
    }
    for (unsigned reg = kMachineRegs; reg-- > 0;) {
        if ((saved_ >> reg & 1) != 0) {
            stack.pop(x86::gpq(reg));
        }
    }
}

} // namespace ebpfvm::jit::opt
