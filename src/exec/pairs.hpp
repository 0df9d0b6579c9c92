// What the interpreter runs from a slot on: its insn, or that and the next in one step.
#pragma once

#include "exec/code.hpp"

#include <span>
#include <utility>

namespace ebpfvm::exec {

/// What the second insn of a pair takes from the first without reading the register.
enum class Link : std::uint8_t { None, Dst, Src };

/// The rows of pairs.def.
enum class Pair : std::uint8_t {
#define EBPFVM_PAIR(first, second, link) first##_##second##_##link,
#define EBPFVM_PAIR_STORE EBPFVM_PAIR
#define EBPFVM_PAIR_JUMP EBPFVM_PAIR
#include "exec/pairs.def"
};
inline constexpr unsigned kPairCount = 0
#define EBPFVM_PAIR(...) +1
#define EBPFVM_PAIR_STORE EBPFVM_PAIR
#define EBPFVM_PAIR_JUMP EBPFVM_PAIR
#include "exec/pairs.def"
    ;

/// Values of Slot::step: those of Slot::op, and behind them one for each pair.
[[nodiscard]] constexpr std::uint8_t step_of(Pair pair) {
    return std::uint8_t(kSlotOpCount + std::to_underlying(pair));
}
static_assert(kSlotOpCount + kPairCount <= 256);

/// Sets Slot::step of each. A jump may lead between the two of a pair: each slot stands for itself
/// as well.
void find_pairs(std::span<Slot> slots);

} // namespace ebpfvm::exec
