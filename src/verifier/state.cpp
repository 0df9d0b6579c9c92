// Sharing and reuse of frames.
#include "verifier/state.hpp"

#include <algorithm>

namespace ebpfvm::verifier {

std::string_view name_of(RegType type) {
    switch (type) {
    case RegType::NotInit:
        return "uninitialised";
    case RegType::Scalar:
        return "scalar";
    case RegType::Ctx:
        return "ctx";
    case RegType::Stack:
        return "stack";
    case RegType::ConstMapPtr:
        return "map_ptr";
    case RegType::MapValue:
        return "map_value";
    case RegType::MapKey:
        return "map_key";
    case RegType::Packet:
        return "packet";
    case RegType::PacketMeta:
        return "packet_meta";
    case RegType::PacketEnd:
        return "packet_end";
    case RegType::FlowKeys:
        return "flow_keys";
    case RegType::Socket:
        return "socket";
    case RegType::SockCommon:
        return "sock_common";
    case RegType::TcpSock:
        return "tcp_sock";
    case RegType::XdpSock:
        return "xdp_sock";
    case RegType::TpBuffer:
        return "tp_buffer";
    case RegType::Mem:
        return "mem";
    case RegType::Func:
        return "func";
    }
    std::unreachable();
}

unsigned StackSlot::spill_size() const {
    unsigned size = 0;
    while (size < kSlotSize && bytes[size] == ByteKind::Spill) {
        ++size;
    }
    return size;
}

bool StackSlot::is_all(ByteKind kind) const {
    return std::ranges::all_of(bytes, [kind](ByteKind byte) { return byte == kind; });
}

void StackSlot::forget_spill() {
    for (ByteKind& byte : bytes) {
        if (byte == ByteKind::Spill) {
            byte = ByteKind::Misc;
        }
    }
    spilled = Reg{};
}

FramePool::~FramePool() {
    for (Frame* frame : free_) {
        delete frame;
    }
}

void FramePool::charge(Frame& frame) {
    frame.owners = 1;
    frame.charged = std::uint32_t(sizeof(Frame) + frame.stack.size() * sizeof(StackSlot));
    bytes_ += frame.charged;
    peak_ = std::max(peak_, bytes_);
}

Frame* FramePool::make() {
    Frame* frame;
    if (free_.empty()) {
        frame = new Frame;
    } else {
        frame = free_.back();
        free_.pop_back();
        frame->stack.clear();
        frame->regs.fill(Reg{});
    }
    frame->callsite = 0;
    frame->subprog = 0;
    frame->kind = FrameKind::Entry;
    frame->return_min = frame->return_max = 0;
    frame->callback_depth = 0;
    charge(*frame);
    return frame;
}

Frame* FramePool::clone(const Frame& from) {
    Frame* frame;
    if (free_.empty()) {
        frame = new Frame(from);
    } else {
        frame = free_.back();
        free_.pop_back();
        *frame = from;
    }
    charge(*frame);
    return frame;
}

void FramePool::release(Frame* frame) {
    if (--frame->owners == 0) {
        bytes_ -= frame->charged;
        free_.push_back(frame);
    }
}

State::State(const State& other)
    : refs(other.refs), lock(other.lock), may_goto_depth(other.may_goto_depth), pool_(other.pool_),
      depth_(other.depth_), frames_(other.frames_) {
    for (unsigned i = 0; i < depth_; ++i) {
        ++frames_[i]->owners;
    }
}

void State::swap(State& other) noexcept {
    std::swap(refs, other.refs);
    std::swap(lock, other.lock);
    std::swap(may_goto_depth, other.may_goto_depth);
    std::swap(pool_, other.pool_);
    std::swap(depth_, other.depth_);
    std::swap(frames_, other.frames_);
}

void State::clear() {
    while (depth_ > 0) {
        pop_frame();
    }
}

void State::unshare(Frame*& frame) {
    Frame* copy = pool_->clone(*frame);
    pool_->release(frame);
    frame = copy;
}

Frame& State::push_frame() {
    EBPFVM_ASSERT(depth_ < kMaxFrames);
    Frame* frame = pool_->make();
    frames_[depth_] = frame;
    Reg& fp = frame->regs[kFramePointer];
    fp = Reg::pointer(RegType::Stack);
    fp.frame = std::uint8_t(depth_);
    ++depth_;
    return *frame;
}

void State::pop_frame() {
    pool_->release(frames_[--depth_]);
}

} // namespace ebpfvm::verifier
