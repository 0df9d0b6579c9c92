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
        block_->pool->give_back(block_);
    }
    block_ = nullptr;
}

void Stack::reserve(std::size_t size, FramePool& pool) {
    static_assert(std::is_trivially_copyable_v<StackSlot>);
    size = std::max(size, this->size());
    if (block_ != nullptr && block_->owners == 1 && size <= block_->capacity) {
        std::uninitialized_fill(slots() + block_->size, slots() + size, StackSlot{});
        block_->size = std::uint32_t(size);
        return;
    }
    Block* block = pool.take_block((size + kStep - 1) / kStep * kStep);
    block->size = std::uint32_t(size);
    auto* copy = reinterpret_cast<StackSlot*>(block + 1);
    const std::size_t old = this->size();
    if (old > 0) {
        std::uninitialized_copy(slots(), slots() + old, copy);
    }
    std::uninitialized_fill(copy + old, copy + size, StackSlot{});
    clear();
    block_ = block;
}

Stack::Block* FramePool::take_block(std::size_t capacity) {
    const std::size_t needed = sizeof(Stack::Block) + capacity * sizeof(StackSlot);
    charge(needed);
    Stack::Block*& free = free_blocks_[capacity / Stack::kStep];
    void* const memory = free != nullptr ? free : memory_.allocate(needed);
    if (free != nullptr) {
        free = free->next_free;
    }
    return new (memory) Stack::Block{.owners = 1,
                                     .size = 0,
                                     .capacity = std::uint32_t(capacity),
                                     .pool = this,
                                     .next_free = nullptr};
}

void FramePool::give_back(Stack::Block* block) {
    bytes_ -= sizeof(Stack::Block) + block->capacity * sizeof(StackSlot);
    block->next_free = std::exchange(free_blocks_[block->capacity / Stack::kStep], block);
}

Frame* FramePool::keep(const Frame& content) {
    charge(sizeof(Frame));
    Frame* frame;
    if (free_.empty()) {
        frame = new (memory_.allocate(sizeof(Frame), alignof(Frame))) Frame(content);
    } else {
        frame = free_.back();
        free_.pop_back();
        *frame = content;
    }
    frame->owners = 1;
    frame->pool = this;
    return frame;
}

Frame* FramePool::make() {
    static const Frame kNew;
    return keep(kNew);
}

Frame* FramePool::clone(const Frame& from) {
    return keep(from);
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

State& State::operator=(State&& other) noexcept {
    if (this != &other) {
        clear();
        refs = std::move(other.refs);
        lock = other.lock;
        may_goto_depth = other.may_goto_depth;
        pool_ = other.pool_;
        depth_ = std::exchange(other.depth_, 0);
        frames_ = other.frames_;
    }
    return *this;
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
