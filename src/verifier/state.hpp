// Everything the verifier knows at one point of one path: frames, references, locks.
#pragma once

#include "ebpfvm/insn.hpp"
#include "support/assert.hpp"
#include "verifier/reg.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory_resource>
#include <utility>
#include <vector>

namespace ebpfvm::verifier {

inline constexpr unsigned kMaxFrames = 8;
inline constexpr unsigned kSlotSize = 8;
inline constexpr unsigned kMaxSlots = 64; ///< 512 bytes

enum class ByteKind : std::uint8_t {
    Invalid, ///< never written
    Spill,   ///< part of a register value
    Misc,    ///< some number
    Zero,
};

/// What the verifier knows about one aligned 8-byte piece of a stack.
///
/// bytes[i] is the byte at the i-th lowest address. Spill bytes are the low bytes of `spilled`; they
/// start at bytes[0] and reach as far as the store did. A pointer is only ever spilled whole.
struct StackSlot {
    std::array<ByteKind, kSlotSize> bytes{};
    Reg spilled{};

    [[nodiscard]] bool has_spill() const { return bytes[0] == ByteKind::Spill; }
    [[nodiscard]] unsigned spill_size() const;
    [[nodiscard]] bool is_all(ByteKind kind) const;
    bool operator==(const StackSlot&) const = default;
    /// The spill becomes plain bytes of unknown content.
    void forget_spill();
};

class FramePool;

/// The slots of one frame that were ever written; [0] is the one below r10. Copies share memory until
/// one of them is written to.
class Stack {
  public:
    Stack() = default;
    Stack(const Stack& other) : block_(other.block_) {
        if (block_ != nullptr) {
            ++block_->owners;
        }
    }
    Stack(Stack&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
    Stack& operator=(Stack other) noexcept {
        std::swap(block_, other.block_);
        return *this;
    }
    ~Stack() { clear(); }

    [[nodiscard]] std::size_t size() const { return block_ != nullptr ? block_->size : 0; }
    [[nodiscard]] const StackSlot& operator[](std::size_t index) const { return slots()[index]; }
    [[nodiscard]] bool shares(const Stack& other) const { return block_ == other.block_; }

    /// For writing; slots up to `index` are made, in memory of the pool, if there are none.
    [[nodiscard]] StackSlot& own(std::size_t index, FramePool& pool) {
        if (block_ == nullptr || block_->owners > 1 || index >= block_->size) {
            reserve(index + 1, pool);
        }
        return slots()[index];
    }
    void clear();

  private:
    friend class FramePool;
    struct Block {
        std::uint32_t owners;
        std::uint32_t size;
        std::uint32_t capacity; // a multiple of kStep
        FramePool* pool;
        Block* next_free;
    };
    static constexpr std::size_t kStep = 4;
    [[nodiscard]] StackSlot* slots() const { return reinterpret_cast<StackSlot*>(block_ + 1); }
    void reserve(std::size_t size, FramePool& pool);

    Block* block_ = nullptr;
};

/// How a frame was entered, and so where its exit goes.
enum class FrameKind : std::uint8_t {
    Entry,         ///< exit ends the program (or the global function that is verified alone)
    Call,          ///< exit goes behind the call
    Callback,      ///< called by a helper, any number of times; exit goes back to the call
    AsyncCallback, ///< called some time later; exit ends the path
};

/// One function's registers and stack. Shared between states until somebody writes to it.
struct Frame {
    std::uint32_t owners = 0;
    std::uint32_t callsite = 0; ///< slot of the call insn
    std::uint32_t subprog = 0;
    FrameKind kind = FrameKind::Entry;
    std::int32_t return_min = 0; ///< what a callback may return
    std::int32_t return_max = 0;
    std::uint32_t callbacks = 0; ///< entered so far from the call that this frame is making
    std::array<Reg, kRegCount> regs{};
    Stack stack{};
    FramePool* pool = nullptr; ///< where it comes from

    /// For writing: slot `index`, made if there is none.
    [[nodiscard]] StackSlot& own_slot(std::size_t index) { return stack.own(index, *pool); }
    /// The same for the slot that holds byte `off` (< 0) of the stack.
    [[nodiscard]] StackSlot& slot(std::int32_t off) { return own_slot(slot_index(off)); }
    [[nodiscard]] static std::size_t slot_index(std::int32_t off) { return std::size_t(-off - 1) / kSlotSize; }
};

/// Memory of frames and stacks, kept for reuse: states come and go by the million.
class FramePool {
  public:
    explicit FramePool(std::pmr::memory_resource& memory) : memory_(memory), free_(&memory) {}
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;

    Frame* make();
    Frame* clone(const Frame& frame);
    void release(Frame* frame);
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::uint64_t peak_bytes() const { return peak_; }

  private:
    friend class Stack;
    [[nodiscard]] Frame* keep(const Frame& content);
    [[nodiscard]] Stack::Block* take_block(std::size_t capacity);
    void give_back(Stack::Block* block);
    void charge(std::uint64_t bytes) {
        bytes_ += bytes;
        peak_ = std::max(peak_, bytes_);
    }

    std::pmr::memory_resource& memory_; // nothing is given back to it
    std::pmr::vector<Frame*> free_;
    std::array<Stack::Block*, kMaxSlots / Stack::kStep + 1> free_blocks_{}; ///< by capacity / kStep
    std::uint64_t bytes_ = 0;
    std::uint64_t peak_ = 0;
};

/// Something that the program must give back before it ends.
struct Reference {
    std::uint32_t id = 0;
    std::uint32_t insn = 0; ///< where it was acquired

    bool operator==(const Reference&) const = default;
};

/// The spin lock that is held, if any.
struct HeldLock {
    std::uint32_t map = ~std::uint32_t{0};
    std::uint32_t id = 0; ///< of the value that holds the lock

    [[nodiscard]] bool is_held() const { return map != ~std::uint32_t{0}; }
    bool operator==(const HeldLock&) const = default;
};

class State {
  public:
    State() = default;
    explicit State(FramePool& pool) : pool_(&pool) {}
    State(const State& other);
    State(State&& other) noexcept
        : refs(std::move(other.refs)), lock(other.lock), may_goto_depth(other.may_goto_depth),
          pool_(other.pool_), depth_(std::exchange(other.depth_, 0)), frames_(other.frames_) {}
    State& operator=(const State& other) { return *this = State(other); }
    State& operator=(State&& other) noexcept;
    ~State() { clear(); }
    /// No frames any more.
    void clear();

    [[nodiscard]] unsigned depth() const { return depth_; } ///< number of frames
    [[nodiscard]] const Frame& frame(unsigned index) const { return *frames_[index]; }
    [[nodiscard]] const Frame& top() const { return *frames_[depth_ - 1]; }
    /// Of a helper, which may call back again.
    [[nodiscard]] bool is_in_callback() const {
        for (unsigned i = 1; i < depth_; ++i) {
            if (frames_[i]->kind == FrameKind::Callback) {
                return true;
            }
        }
        return false;
    }
    [[nodiscard]] const Frame* frame_ptr(unsigned index) const { return frames_[index]; }

    /// For writing: makes the frame this state's own.
    [[nodiscard]] Frame& own(unsigned index) {
        Frame*& frame = frames_[index];
        if (frame->owners > 1) {
            unshare(frame);
        }
        return *frame;
    }
    [[nodiscard]] Frame& own_top() { return own(depth_ - 1); }

    Frame& push_frame();
    void pop_frame();

    [[nodiscard]] const Reg& reg(unsigned number) const { return top().regs[number]; }

    /// Calls f(Reg&) for each register and each spilled value of all frames that satisfy `wanted`.
    template <class Wanted, class F>
    void for_each_reg(const Wanted& wanted, const F& f);

    std::vector<Reference> refs{};
    HeldLock lock{};
    std::uint32_t may_goto_depth = 0;

  private:
    void unshare(Frame*& frame);

    FramePool* pool_ = nullptr;
    std::uint32_t depth_ = 0;
    std::array<Frame*, kMaxFrames> frames_{};
};

template <class Wanted, class F>
void State::for_each_reg(const Wanted& wanted, const F& f) {
    for (unsigned i = 0; i < depth_; ++i) {
        for (unsigned r = 0; r < kFramePointer; ++r) {
            if (wanted(frames_[i]->regs[r])) {
                f(own(i).regs[r]);
            }
        }
        for (std::size_t s = 0; s < frames_[i]->stack.size(); ++s) {
            const StackSlot& slot = frames_[i]->stack[s];
            if (slot.has_spill() && wanted(slot.spilled)) {
                f(own(i).own_slot(s).spilled);
            }
        }
    }
}

} // namespace ebpfvm::verifier
