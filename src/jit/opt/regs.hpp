// Which registers a slot reads and writes.
#pragma once

#include "exec/code.hpp"
#include "jit/opt/scratch.hpp"
#include "jit/opt/short_list.hpp"

#include <boost/container/static_vector.hpp>

#include <cstdint>

namespace ebpfvm::jit::opt {

/// Registers as bits; may_goto's counter counts as one.
using RegSet = std::uint16_t;
inline constexpr unsigned kCounter = kRegCount;
inline constexpr unsigned kVarCount = kRegCount + 1;

[[nodiscard]] constexpr RegSet bit(unsigned reg) {
    return RegSet(1U << reg);
}

/// A run of slots that is entered at its first and left behind its last.
struct SlotBlock {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
    RegSet live = 0;    ///< read from its begin on before they are written
    RegSet changes = 0; ///< where a loop begins: what may be another value in the next turn
    bool is_reachable = false;
    // Into SubprogShape::blocks.
    boost::container::static_vector<std::uint32_t, 2> succs{}; ///< of a branch: taken first
    ShortList preds{};                                         ///< reachable ones
};

/// The control flow of one subprogram.
struct SubprogShape {
    Vec<SlotBlock> blocks{};      ///< ascending
    Vec<std::uint32_t> order{};   ///< reachable ones in reverse postorder
    Vec<std::uint32_t> unusual{}; ///< slots that need more than registers, memory and jumps
    RegSet writes = 0;
    bool has_counter = false;
};

/// Slots [begin, end) are a subprogram.
[[nodiscard]] SubprogShape shape_of(const exec::Code& code, std::uint32_t begin, std::uint32_t end);

} // namespace ebpfvm::jit::opt
