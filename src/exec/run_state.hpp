// All mutable state of one run; lives on the host's stack, nothing in it is allocated.
#pragma once

#include "exec/reach.hpp"
#include "support/bits.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace ebpfvm::exec {

inline constexpr unsigned kMaxFrames = 8; ///< of one program
inline constexpr unsigned kMaxTailCalls = 33;
/// A function that makes a tail call stays below the program it starts.
inline constexpr unsigned kMaxDepth = kMaxFrames + kMaxTailCalls;
inline constexpr std::uint32_t kMaxMayGoto = 8U << 20; ///< the kernel's BPF_MAX_LOOPS, per frame

/// Null: no fault. Faults are rare and large.
using FaultPtr = std::shared_ptr<const Fault>;

/// What a local call must restore. The tail call count is per run, not per frame.
struct Frame {
    const Code* code;
    const Slot* return_to;
    std::array<std::uint64_t, 4> r6_to_r9;
    std::uint32_t may_goto_left;
};

/// What the entry needs to know about a run.
struct RunInput {
    void* ctx = nullptr;      ///< host object
    std::uint64_t size = 0;   ///< of plain memory; else unused
    Packet* packet = nullptr; ///< if the program type has one
    std::uint64_t insn_budget = 0;
    std::uint32_t cpu = 0;
    const Environment* environment = nullptr;
    const std::function<void(const InsnView&)>* watch = nullptr; ///< run_watched()
};

class RunState : public CallContext {
  public:
    // Both are part of each run, however short.
    RunState(const Code& entry, const RunInput& input)
        : budget(input.insn_budget), code(&entry), packet(input.packet) {
        const CtxLayout& layout = *entry.ctx;
        ctx_ = input.ctx;
        // Helpers may move and change it only if the program may.
        packet_ = layout.packet_access == Access::ReadWrite ? input.packet : nullptr;
        environment_ = input.environment;
        user_ = {.cpu = input.cpu, .run = this};
        const bool is_plain = layout.plain != Access::None;
        ctx_address =
            reinterpret_cast<std::uintptr_t>(is_plain ? input.ctx : ctx_window_ + kMaxCtxSize);
        plain_size = is_plain ? input.size : 0;
        if (layout.plain == Access::ReadWrite) {
            plain_window_.data_meta = static_cast<std::byte*>(input.ctx);
            plain_window_.data_end = plain_window_.data_meta + input.size;
        }
        window = packet_ != nullptr ? packet_ : &plain_window_;
    }
    RunState(const RunState&) = delete;
    RunState& operator=(const RunState&) = delete;
    ~RunState() {
        if (grant_count_ + entered_count_ + kept_count_ != 0) [[unlikely]] {
            clean_up();
        }
    }

    /// Gives back what grant_ref() handed out and the program kept; true if there was something.
    bool release_refs() { return grant_count_ != 0 && release_all_refs(); }

    /// The insn budget left; checked at jumps and calls.
    std::uint64_t budget;
    unsigned depth = 0; ///< frames below the current one
    unsigned tail_calls = 0;
    const Code* code;          ///< of the current frame
    std::uint64_t ctx_address; ///< what the program sees as its context
    std::uint64_t plain_size;  ///< of plain context memory
    Packet* packet; ///< of this run, whatever the program may do with it; null if there is none
    /// Memory that the program may read and write, [data_meta, data_end): its packet or its plain
    /// context; empty if there is none. Moves with the packet.
    const Packet* window;

    /// Keeps a tail-called program alive until the run ends.
    const Code* keep(std::shared_ptr<const Code> target);

    [[nodiscard]] std::uint64_t frame_top(unsigned frame) const {
        return reinterpret_cast<std::uintptr_t>(stack_) + (kMaxDepth - frame) * kPitch - kGap;
    }
    /// A map of maps that the run has looked something up in: it alone keeps inner maps alive for
    /// it.
    struct Entered {
        maps::MapOfMaps* outer;
        std::uint32_t phase;
        std::uint64_t since; ///< MapOfMaps::now() after entering
    };
    [[nodiscard]] std::span<const Entered> entered() const {
        return {entered_.data(), entered_count_};
    }
    /// Before a lookup in a map of maps: keeps the inner map it finds alive until the run ends.
    /// False if the run uses more than 64 maps of maps.
    [[nodiscard]] bool enter(maps::MapOfMaps& outer);

    /// Zeroes the upper `bytes` of the frame: programs must not see what the host's stack held.
    void clear_frame(unsigned frame, std::uint64_t bytes);

    /// Memory proved accessible a moment ago: the value that a map lookup found. Emptied by every
    /// other call.
    void remember(const Region& region) { recent_ = region; }
    void forget() {
        recent_ = {};
        native.reach.forget(packet);
    }
    [[nodiscard]] const Region& recent() const { return recent_; }

    // What CallContext keeps to itself.
    using CallContext::abort_reason_;
    using CallContext::ctx_;
    using CallContext::data_;
    using CallContext::user_;
    [[nodiscard]] std::span<const Grant> grants() const { return {grants_.data(), grant_count_}; }

    std::array<Frame, kMaxDepth> frames; ///< [0, depth) are valid

    // Frames are apart, so that a pointer one past one frame is not inside the next.
    static constexpr std::uint64_t kGap = 64;
    static constexpr std::uint64_t kPitch = kStackSize + 2 * kGap;

    /// What machine code and the functions it calls pass to each other.
    struct Native {
        void* stack_pointer;                       ///< to leave all frames at once
        std::int64_t insns_left;                   ///< of the budget, where it counts
        std::uint64_t value;                       ///< loaded, or to be stored
        std::array<std::uint64_t, kMaxArgs + 1> r; ///< r0..r5 of a call
        std::uint32_t end; ///< slot where a program that is not verified ended
        ReachTable reach;
        FaultPtr fault;
    };
    Native native;

  private:
    void clean_up();
    bool release_all_refs();

    static constexpr unsigned kMaxEntered = 64;

    Packet plain_window_{};
    Region recent_{};
    std::array<Entered, kMaxEntered> entered_; // first entered_count_ are valid
    unsigned entered_count_ = 0;
    unsigned kept_count_ = 0;
    alignas(std::shared_ptr<const Code>)
        std::byte kept_[kMaxTailCalls][sizeof(std::shared_ptr<const Code>)];
    alignas(16) std::byte stack_[kMaxDepth * kPitch];
    std::byte
        ctx_window_[2 * kMaxCtxSize]; // addresses that stand for the ctx; never read or written
};

} // namespace ebpfvm::exec
