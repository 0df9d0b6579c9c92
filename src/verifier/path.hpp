// The path that is being explored: which insns led here, and which remembered states lie on it.
// Demands of later insns (this must be known exactly, this is read) travel back along it.
#pragma once

#include "verifier/code.hpp"
#include "verifier/state.hpp"

#include <array>
#include <cstdint>
#include <memory_resource>
#include <vector>

namespace ebpfvm::verifier {

/// A set of registers and stack slots, by frame.
struct Places {
    std::array<std::uint16_t, kMaxFrames> regs{};
    std::array<std::uint64_t, kMaxFrames> slots{};

    [[nodiscard]] bool empty() const;
    [[nodiscard]] bool has_reg(unsigned frame, unsigned reg) const {
        return (regs[frame] >> reg & 1) != 0;
    }
    void add(const Places& other) {
        for (unsigned f = 0; f < kMaxFrames; ++f) {
            regs[f] |= other.regs[f];
            slots[f] |= other.slots[f];
        }
    }
    void add_reg(unsigned frame, unsigned reg) { regs[frame] |= std::uint16_t(1U << reg); }
    void drop_reg(unsigned frame, unsigned reg) { regs[frame] &= std::uint16_t(~(1U << reg)); }
    [[nodiscard]] bool has_slot(unsigned frame, unsigned slot) const {
        return (slots[frame] >> slot & 1) != 0;
    }
    void add_slot(unsigned frame, unsigned slot) { slots[frame] |= std::uint64_t{1} << slot; }
    void drop_slot(unsigned frame, unsigned slot) { slots[frame] &= ~(std::uint64_t{1} << slot); }
};

/// Stack slots by frame.
using SlotMasks = std::array<std::uint64_t, kMaxFrames>;

/// A number that moves in one direction on every turn of a loop seen so far.
struct Counter {
    std::uint32_t id = 0;
    std::int8_t direction = 0; ///< 0: no turn seen yet
};

/// Ids from here on name what changes in the turns of a loop; no renaming is allowed while it is
/// verified, else turns without progress would look like turns with it.
inline constexpr std::uint32_t kFirstPin = std::uint32_t{1} << 31;

/// A remembered state. What follows it has been explored completely once `is_complete`; until then
/// it lies on the current path.
struct Node {
    State state;
    std::uint32_t insn = 0;
    std::uint32_t trace_size = 0; ///< of the path when it was made
    bool is_complete = false;
    bool is_listed = false; ///< states are compared with it
    /// The head of a loop whose body is verified once, for all turns.
    bool is_inductive = false;
    Places precise{};        ///< values that later decisions relied on
    SlotMasks read{};        ///< slots that are read later
    SlotMasks written{};     ///< slots overwritten between the node before it on the path and it
    std::uint32_t hits = 0;
    std::uint32_t misses = 0;
    std::uint32_t turns = 0; ///< how often the path had been here before
    /// The first node of the path to which what follows goes back, if loops end there only because
    /// of how they get there (which states do not show).
    Node* back = nullptr;
    bool is_back = false; ///< of some node
    /// Inductive: ids given to what changes in a turn, [first_pin, end_pin).
    std::uint32_t first_pin = 0;
    std::uint32_t end_pin = 0;
    /// Inductive: those of them that may prove that the loop ends.
    std::vector<Counter> counters{};
};

/// One explored insn of the current path.
struct TraceEntry {
    std::uint32_t insn = 0;
    std::uint8_t depth = 0;      ///< frames when it was explored
    std::uint8_t slot_frame = 0; ///< HasSlot: whose stack
    std::uint8_t slot = 0;       ///< HasSlot: which slot was filled from or spilled to
    std::uint8_t flags = 0;
    std::uint32_t links = 0;     ///< HasLinks: index into the path's link sets

    static constexpr std::uint8_t kHasSlot = 1;
    static constexpr std::uint8_t kEntered = 2; ///< a call: the next entry is in the callee
    static constexpr std::uint8_t kHasLinks = 4; ///< a jump that refined several places at once
    static constexpr std::uint8_t kTaken = 8;
    static constexpr std::uint8_t kBranch = 16; ///< both outcomes were possible
    static constexpr std::uint8_t kAgain = 32; ///< a call that a callback of it returned to
};

/// Where a path can be taken up again.
struct PathMark {
    std::uint32_t trace_size = 0;
    std::uint32_t node_count = 0;
    std::uint32_t link_count = 0;
    SlotMasks written{};
};

class Path {
  public:
    Path(const Code& code, std::pmr::memory_resource& memory)
        : code_(code), trace_(&memory), nodes_(&memory) {
        trace_.reserve(2 * code.steps.size()); // small programs never need more
        nodes_.reserve(32);
    }

    void push(std::uint32_t insn, unsigned depth) {
        trace_.push_back({.insn = insn, .depth = std::uint8_t(depth)});
    }
    [[nodiscard]] TraceEntry& last() { return trace_.back(); }
    [[nodiscard]] const std::pmr::vector<TraceEntry>& trace() const { return trace_; }
    [[nodiscard]] const std::pmr::vector<Node*>& nodes() const { return nodes_; }
    /// Nodes that left the path and are not listed any more: nobody needs them.
    [[nodiscard]] std::vector<Node*>& retired() { return retired_; }

    [[nodiscard]] PathMark mark() const;
    /// Goes back; nodes that leave the path are complete.
    void rewind(const PathMark& mark);
    /// The current state is remembered in `node`, which the path goes through.
    void enter(Node& node);

    /// The last insn filled from, or spilled to, a slot.
    void note_slot(unsigned frame, unsigned slot);
    /// The last insn, a jump, refined all of `places` by what it learned of one.
    void note_links(const Places& places);

    void read_slot(unsigned frame, unsigned slot) {
        SlotMasks mask{};
        mask[frame] = std::uint64_t{1} << slot;
        read_slots(mask);
    }
    void read_slots(const SlotMasks& mask);
    void write_slot(unsigned frame, unsigned slot) { written_[frame] |= std::uint64_t{1} << slot; }
    /// A new frame: nothing that was on its stack before is read through it.
    void write_frame(unsigned frame) { written_[frame] = ~std::uint64_t{0}; }

    /// Whatever follows relies on the exact value of these places of the current state, behind the
    /// last insn...
    void demand(Places places) { demand_from(std::move(places), trace_.size()); }
    /// ...or before it: what the last insn itself relies on.
    void demand_before_last(Places places) { demand_from(std::move(places), trace_.size() - 1); }

  private:
    void demand_from(Places places, std::size_t at);
    // Turns what must be known after an insn into what must be known before it.
    void step_back(const TraceEntry& entry, Places& places) const;

    const Code& code_;
    std::pmr::vector<TraceEntry> trace_;
    std::pmr::vector<Node*> nodes_;
    std::vector<Node*> retired_;
    std::vector<Places> links_;
    SlotMasks written_{};
};

} // namespace ebpfvm::verifier
