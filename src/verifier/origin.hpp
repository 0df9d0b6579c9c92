// Where a value came from: back along the path to the insn that made it.
#pragma once

#include "verifier/replay.hpp"

#include <optional>
#include <vector>

namespace ebpfvm::verifier {

/// A register or a stack slot.
struct Place {
    unsigned frame = 0;
    unsigned index = 0;
    bool is_slot = false;
};

/// What is in a place; null: nothing that is known as a value.
[[nodiscard]] const Reg* value_at(const State& state, const Place& place);

enum class OriginKind : std::uint8_t {
    Unknown,     ///< too long ago
    Entry,       ///< it is there when the program, or the global function, begins
    NeverSet,    ///< a register that nothing was written to
    Result,      ///< r0 of a call
    Lost,        ///< a call overwrote the register
    Invalidated, ///< a call made a number of a pointer
    Loaded,
    StackBytes, ///< loaded from stack that holds no whole value
    PacketLoad, ///< BPF_LD_[ABS|IND]
    Constant,
    Address,  ///< of a map or function
    Computed, ///< arithmetic that forgets what it began with
};

struct Origin {
    OriginKind kind = OriginKind::Unknown;
    std::size_t step = 0; ///< of the path; only if the kind is made by an insn
    Place place{};        ///< where the value was right behind that step
    /// The last arithmetic on the way from there.
    std::optional<std::size_t> computed{};
    /// Numbers, not constant, that were added to the pointer on the way, last first: where they
    /// were, before which step.
    struct Offset {
        std::size_t step;
        Place place;
    };
    std::vector<Offset> offsets{};
    /// Branches on the way that told something of the value, last first.
    std::vector<std::size_t> branches{};
};

/// Of what is in `place` before step `end`.
[[nodiscard]] Origin find_origin(const History& history, Place place, std::size_t end);

} // namespace ebpfvm::verifier
