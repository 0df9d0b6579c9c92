#include "exec/pairs.hpp"

#include <array>

namespace ebpfvm::exec {
namespace {

struct Row {
    std::uint8_t first;
    std::uint8_t second;
    Link link;
};

constexpr std::array<Row, kPairCount> kRows = {{
#define EBPFVM_PAIR(first, second, link)                                                           \
    {std::uint8_t(isa::Op::first), std::uint8_t(isa::Op::second), Link::link},
#define EBPFVM_PAIR_STORE EBPFVM_PAIR
#define EBPFVM_PAIR_JUMP EBPFVM_PAIR
#include "exec/pairs.def"
}};

// Where the rows of each first begin; those of one lie together.
constexpr auto kBegins = [] {
    std::array<std::uint8_t, kSlotOpCount> begins{};
    begins.fill(kPairCount);
    for (unsigned row = kPairCount; row-- > 0;) {
        begins[kRows[row].first] = std::uint8_t(row);
    }
    return begins;
}();

bool fits(Link link, const Slot& first, const Slot& second) {
    switch (link) {
    case Link::None:
        return true;
    case Link::Dst:
        return second.dst == first.dst;
    case Link::Src:
        return second.src == first.dst;
    }
    return false;
}

std::uint8_t step_at(const Slot& slot, const Slot& next) {
    for (unsigned row = kBegins[slot.op]; row < kPairCount && kRows[row].first == slot.op; ++row) {
        if (kRows[row].second == next.op && fits(kRows[row].link, slot, next)) {
            return step_of(Pair(row));
        }
    }
    return slot.op;
}

} // namespace

void find_pairs(std::span<Slot> slots) {
    for (std::size_t i = 0; i < slots.size(); ++i) {
        slots[i].step = i + 1 < slots.size() ? step_at(slots[i], slots[i + 1]) : slots[i].op;
    }
}

} // namespace ebpfvm::exec
