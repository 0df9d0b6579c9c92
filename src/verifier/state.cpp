// Sharing and reuse of frames.
#include "verifier/state.hpp"

#include <algorithm>
#include <memory>
#include <type_traits>

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

void Stack::clear() {
    if (block_ != nullptr && --block_->owners == 0) {
        *block_->bytes -= sizeof(Block) + block_->capacity * sizeof(StackSlot);
        ::operator delete(block_);
    }
    block_ = nullptr;
}

void Stack::reserve(std::size_t size, std::uint64_t& bytes) {
    static_assert(std::is_trivially_copyable_v<StackSlot>);
    size = std::max(size, this->size());
    if (block_ != nullptr && block_->owners == 1 && size <= block_->capacity) {
        std::uninitialized_fill(slots() + block_->size, slots() + size, StackSlot{});
        block_->size = std::uint32_t(size);
        return;
    }
    const std::size_t capacity = (size + 3) & ~std::size_t{3};
    const std::size_t needed = sizeof(Block) + capacity * sizeof(StackSlot);
    auto* block = new (::operator new(needed))
        Block{.owners = 1, .size = std::uint32_t(size), .capacity = std::uint32_t(capacity), .bytes = &bytes};
    auto* copy = reinterpret_cast<StackSlot*>(block + 1);
    const std::size_t old = this->size();
    if (old > 0) {
        std::uninitialized_copy(slots(), slots() + old, copy);
    }
    std::uninitialized_fill(copy + old, copy + size, StackSlot{});
    bytes += needed;
    clear();
    block_ = block;
}

FramePool::~FramePool() {
    for (Frame* frame : free_) {
        delete frame;
    }
}

void FramePool::charge(Frame& frame) {
    frame.owners = 1;
    frame.bytes = &bytes_;
    bytes_ += sizeof(Frame);
    peak_ = std::max(peak_, bytes_);
}

Frame* FramePool::make() {
    Frame* frame;
    if (free_.empty()) {
        frame = new Frame;
    } else {
        frame = free_.back();
        free_.pop_back();
        frame->regs.fill(Reg{});
    }
    frame->callsite = 0;
    frame->subprog = 0;
    frame->kind = FrameKind::Entry;
    frame->return_min = frame->return_max = 0;
    frame->callbacks = 0;
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
        bytes_ -= sizeof(Frame);
        frame->stack.clear();
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
