#include "jit/opt/stack_vars.hpp"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

// Besides what the program's own compiler keeps in registers.
constexpr std::ptrdiff_t kMaxInLoop = 4;

} // namespace

bool StackVars::choose() {
    std::ranges::sort(frame_.accesses, {}, &Access::span);
    for (Vec<Span>* all : {&frame_.fixed, &frame_.reads}) {
        std::ranges::sort(*all);
        all->erase(std::ranges::unique(*all).begin(), all->end());
    }
    for (std::size_t i = 0; i < frame_.accesses.size();) {
        Group group{i, i, frame_.accesses[i].span};
        for (; i < frame_.accesses.size() && frame_.accesses[i].span.begin < group.span.end; ++i) {
            group.span.end = std::max(group.span.end, frame_.accesses[i].span.end);
        }
        group.end = i;
        choose(group);
    }
    return !vars_.empty();
}

// Variables for all that lies between two ends of accesses, if all values that are stored are
// one of them each. Constants can be cut, and loads put together.
void StackVars::choose(const Group& group) {
    const std::span<const Access> accesses(frame_.accesses.data() + group.begin,
                                           group.end - group.begin);
    const bool is_read = std::ranges::any_of(accesses, &Access::is_load);
    if (overlaps_any(frame_.fixed, group.span) ||
        (!is_read && overlaps_any(frame_.reads, group.span))) {
        return;
    }
    Vec<std::int64_t> ends;
    for (const Access& access : accesses) {
        ends.push_back(access.span.begin);
        ends.push_back(access.span.end);
    }
    std::ranges::sort(ends);
    ends.erase(std::ranges::unique(ends).begin(), ends.end());
    const auto is_cut = [&](const Access& access) {
        return access.stores_value &&
               *std::ranges::upper_bound(ends, access.span.begin) != access.span.end;
    };
    if (std::ranges::any_of(accesses, is_cut)) {
        return;
    }
    for (std::size_t i = 0; i + 1 < ends.size(); ++i) {
        for (std::int64_t at = ends[i]; at < ends[i + 1];) { // as values have it
            const auto left = std::uint64_t(ends[i + 1] - at);
            const auto size = std::int64_t(std::bit_floor(left));
            vars_.push_back({at, at + size});
            at += size;
        }
    }
}

bool StackVars::overlaps_any(const Vec<Span>& spans, const Span& span) {
    return std::ranges::any_of(spans, [&](const Span& other) { return span.overlaps(other); });
}

void StackVars::leave_rare() {
    if (std::ssize(vars_) <= kMaxInLoop || fn_.headers.empty()) {
        return;
    }
    Vec<Use> uses = uses_in_loops();
    std::ranges::sort(uses, {}, [](const Use& use) { return std::pair(use.loop, use.var); });
    Vec<Use> vars;
    for (const Use& use : uses) {
        if (!vars.empty() && vars.back().loop == use.loop && vars.back().var == use.var) {
            vars.back().is_rare &= use.is_rare;
            vars.back().is_changed |= use.is_changed;
        } else {
            vars.push_back(use);
        }
    }
    Vec<bool> stays(vars_.size(), false);
    for (auto begin = vars.begin(); begin != vars.end();) {
        const auto end = std::find_if(begin, vars.end(),
                                      [&](const Use& use) { return use.loop != begin->loop; });
        for (auto use = begin; end - begin > kMaxInLoop && use != end; ++use) {
            stays[use->var] = stays[use->var] || (use->is_rare && use->is_changed);
        }
        begin = end;
    }
    keep_pieces(stays);
    std::size_t var = 0;
    std::erase_if(vars_, [&](const Span&) { return stays[var++]; });
}

Vec<StackVars::Use> StackVars::uses_in_loops() const {
    Vec<Use> uses;
    for (const ValueId id : frame_.places) {
        const BlockId block = fn_[id].block;
        const bool is_in_loop = fn_.blocks[block].loop != kNoBlock;
        const Range vars = is_in_loop ? of(fn_[id]) : Range{};
        for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
            uses.push_back({.loop = outermost(block),
                            .var = var,
                            .is_rare = !is_in_each_turn(block),
                            .is_changed = fn_[id].kind == Kind::Store});
        }
    }
    return uses;
}

// A variable that is accessed together with others, or that a helper reads, is none of them.
void StackVars::keep_pieces(Vec<bool>& stays) const {
    for (const ValueId id : frame_.places) {
        const Range vars = of(fn_[id]);
        for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
            stays[var] = stays[var] && vars_[var] == frame_.span_of(fn_[id]);
        }
    }
    for (std::size_t var = 0; var < stays.size(); ++var) {
        stays[var] = stays[var] && !overlaps_any(frame_.reads, vars_[var]);
    }
}

BlockId StackVars::outermost(BlockId block) const {
    BlockId loop = fn_.blocks[block].loop;
    while (fn_.outer_loops[loop] != kNoBlock) {
        loop = fn_.outer_loops[loop];
    }
    return loop;
}

bool StackVars::is_in_each_turn(BlockId block) const {
    const BlockId loop = fn_.blocks[block].loop;
    return std::ranges::all_of(fn_.blocks[loop].preds, [&](BlockId pred) {
        return !fn_.dominates(loop, pred) || fn_.dominates(block, pred);
    });
}

Vec<std::uint8_t> StackVars::find_read() const {
    Vec<std::uint8_t> is_read(vars_.size(), 0);
    const auto read = [&](const Span& span) {
        const Range vars = in(span);
        std::fill(is_read.begin() + vars.begin, is_read.begin() + vars.end, 1);
    };
    for (const Access& access : frame_.accesses) {
        if (access.is_load) {
            read(access.span);
        }
    }
    std::ranges::for_each(frame_.reads, read);
    return is_read;
}

StackVars::Range StackVars::in(const Span& span) const {
    const auto begin = std::ranges::upper_bound(vars_, span.begin, {}, &Span::end);
    const auto end = std::ranges::lower_bound(vars_, span.end, {}, &Span::begin);
    return {std::uint32_t(begin - vars_.begin()),
            std::uint32_t(std::max(begin, end) - vars_.begin())};
}

} // namespace ebpfvm::jit::opt
