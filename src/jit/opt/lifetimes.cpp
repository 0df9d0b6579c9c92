#include "jit/opt/lifetimes.hpp"

namespace ebpfvm::jit::opt {

Position Lifetimes::first_common(const Interval& a, const Interval& b) const {
    Position at = std::max(a.from, b.from);
    const Position end = std::min(a.to, b.to);
    while (at < end) {
        const Position next = std::max(next_begin(a, at), next_begin(b, at));
        if (next >= end) {
            return kNever;
        }
        if (next_begin(a, next) == next && next_begin(b, next) == next) {
            return next;
        }
        at = next;
    }
    return kNever;
}

void Lifetimes::load_raw_uses(Interval& interval) {
    if (loaded_uses.empty()) {
        loaded_uses.reserve(raw_uses.size() + whole_count); // one more each: where it is made
        loaded_uses.emplace_back();
    }
    interval.first_use = std::uint32_t(loaded_uses.size());
    if (interval.from != insn_at(interval.from)) { // not a phi or parameter
        loaded_uses.push_back({interval.from, true});
    }
    for (std::uint32_t i = values[interval.value].first_use; i != 0; i = raw_uses[i].next) {
        loaded_uses.push_back({place_of(raw_uses[i]), raw_uses[i].needs_reg});
    }
    interval.last_use = std::uint32_t(loaded_uses.size());
    const auto begin = loaded_uses.begin() + interval.first_use;
    if (!std::ranges::is_sorted(begin, loaded_uses.end(), {}, &Use::at)) { // phis look back
        std::ranges::sort(begin, loaded_uses.end(), {}, &Use::at);
    }
}

std::uint32_t Lifetimes::split(std::uint32_t index, Position at) {
    load_uses(intervals[index]);
    Interval tail = intervals[index];
    Interval& head = intervals[index];
    tail.from = next_begin(head, at);
    tail.is_split = true;
    tail.reg = kNoReg;
    tail.first_use =
        std::uint32_t(std::partition_point(loaded_uses.begin() + head.first_use,
                                           loaded_uses.begin() + head.last_use,
                                           [at](const Use& use) { return use.at < at; }) -
                      loaded_uses.begin());
    head.to = at;
    head.last_use = tail.first_use;
    const auto place = std::uint32_t(intervals.size());
    head.next = place;
    intervals.push_back(tail);
    return place;
}

} // namespace ebpfvm::jit::opt
