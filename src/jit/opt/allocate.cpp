#include "jit/opt/allocate.hpp"

#include "jit/opt/target.hpp"
#include "support/assert.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <ranges>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

constexpr Position kEnd = ~Position{0};
constexpr unsigned kNoReg = kMachineRegs;

constexpr std::uint8_t kPreferred[] = {kRax, kRcx, kRdx, kRsi, kRdi, 8,  9,
                                       10,   kRbx, kRbp, 14,   15,   13, 12};

struct Range {
    Position from;
    Position to; // exclusive
};

struct Use {
    Position at;
    bool needs_reg;
};

// Where insns clobber these registers, as bits; ascending. There are few kinds of such insns.
struct Fixed {
    std::uint32_t regs;
    Vec<Position> places;
    std::size_t next = 0; // place that scan() has not passed
};

// What is known of a value besides its interval.
struct Value {
    std::uint32_t first_use = 0; // into raw_; 0: none
    std::uint32_t piece = 0;     // the first; 0: it needs no register
    ValueId hint_phi = 0;        // that it goes to
    std::uint8_t hint_reg = kNoReg;
};

// A value that needs a place.
struct Made {
    ValueId value;
    Position at;
    std::uint32_t home; // rank of its block
};

// How far a value lives in a block.
struct Reached {
    ValueId value = 0; // the latest that reached it
    Position end = 0;
};

// A piece of a value's lifetime, in one place.
struct Interval {
    ValueId value = 0;
    Position from = 0;
    Position to = 0;
    std::uint32_t first_range = 0; // into ranges_; clipped by from and to
    std::uint32_t last_range = 0;  // the same: no holes
    std::uint32_t first_use = 0;
    std::uint32_t last_use = 0; // 0: not loaded
    std::uint8_t reg = kNoReg;
    bool is_split = false;  // not the first piece
    std::uint32_t next = 0; // piece
};

class Allocator {
  public:
    Allocator(Function& fn, const Cpu& cpu) : fn_(fn), cpu_(cpu) {}

    Allocation run() {
        find_order();
        collect();
        build_intervals();
        scan();
        find_places();
        resolve();
        return std::move(out_);
    }

  private:
    // The insn that the position belongs to.
    [[nodiscard]] static Position insn_at(Position at) { return at & ~(kStep - 1); }

    // Lifetimes begin where values are made: blocks come behind those that dominate them. One that
    // has to wait comes at the end of its loop, so that it is in nobody's way.
    void find_order() {
        Vec<std::uint8_t> is_placed(fn_.blocks.size(), false);
        // By the block that dominates: the latest that waits for it; by that: the one before.
        Vec<BlockId> waiting(fn_.blocks.size(), kNoBlock);
        Vec<BlockId> waits_with(fn_.blocks.size(), kNoBlock);
        Vec<BlockId> ready; // those that waited for a block which has come
        order_.reserve(fn_.layout.size());
        const auto place = [&](BlockId id) {
            is_placed[id] = true;
            order_.push_back(id);
            const auto count = std::ptrdiff_t(ready.size());
            for (BlockId other = waiting[id]; other != kNoBlock; other = waits_with[other]) {
                ready.push_back(other);
            }
            std::reverse(ready.begin() + count, ready.end());
        };
        const auto place_ready = [&](auto may_come) {
            Vec<BlockId> kept;
            for (std::size_t i = 0; i < ready.size(); ++i) { // more of them come up
                const BlockId id = ready[i];
                if (may_come(id)) {
                    place(id);
                } else {
                    kept.push_back(id);
                }
            }
            ready = std::move(kept);
        };
        BlockId loop = kNoBlock;
        for (const BlockId id : fn_.layout) {
            if (!ready.empty() && fn_.blocks[id].loop != loop) {
                place_ready([&](BlockId other) { return !is_inside(id, fn_.blocks[other].loop); });
            }
            loop = fn_.blocks[id].loop;
            const BlockId idom = fn_.blocks[id].idom;
            if (id == 0 || is_placed[idom] != 0) {
                place(id);
            } else {
                waits_with[id] = std::exchange(waiting[idom], id);
            }
        }
        place_ready([](BlockId) { return true; });
    }
    [[nodiscard]] bool is_inside(BlockId block, BlockId header) const {
        if (header == kNoBlock) {
            return true;
        }
        BlockId loop = fn_.blocks[block].loop;
        while (loop != kNoBlock && loop != header) {
            loop = fn_.outer_loops[loop];
        }
        return loop == header;
    }

    [[nodiscard]] bool is_allocated(ValueId id) const {
        return id != 0 && fn_[id].block != kNoBlock;
    }

    struct RawUse {
        std::uint32_t next; // of the same value; 0: none
        Position at;        // or kBlockEnd
        BlockId block;
        bool needs_reg;
    };
    static constexpr Position kBlockEnd = kEnd; // positions of blocks come last
    [[nodiscard]] Position place_of(const RawUse& use) const {
        return use.at != kBlockEnd ? use.at : out_.block_end[use.block] - 1;
    }

    // Positions, values and what reads them. From the end to the begin, so that the first use of a
    // value is noted last. A hint that is there already is from further behind, and stays.
    void collect() {
        const std::size_t nodes = fn_.nodes.size();
        out_.block_begin.resize(fn_.blocks.size());
        out_.block_end.resize(fn_.blocks.size());
        out_.places.resize(nodes);
        values_.resize(nodes);
        made_.reserve(nodes);
        raw_.reserve(nodes);
        raw_.emplace_back();
        Position at = kStep * Position(nodes + fn_.blocks.size()); // more than enough
        ranks_.resize(fn_.blocks.size());
        for (auto rank = std::uint32_t(order_.size()); rank-- > 0;) {
            const BlockId block = order_[rank];
            ranks_[block] = rank;
            out_.block_end[block] = at;
            for (ValueId id = fn_.blocks[block].last; id != 0; id = fn_[id].prev) {
                if (fn_[id].kind == Kind::Phi) {
                    made_.push_back({id, at - kStep, rank});
                    collect_phi(id);
                } else {
                    at -= kStep;
                    collect_insn(id, at, rank);
                }
            }
            at -= kStep;
            out_.block_begin[block] = at;
        }
        for (const ValueId param : out_.params) { // all of them are there from the beginning
            made_.push_back({param, at, 0});
        }
        for (Fixed& fixed : fixed_) {
            std::ranges::reverse(fixed.places);
        }
    }

    void collect_phi(ValueId id) {
        const Node& node = fn_[id];
        const auto values = fn_.list(node);
        for (std::size_t i = 0; i < values.size(); ++i) {
            add_use(values[i], {0, kBlockEnd, fn_.blocks[node.block].preds[i], false});
            if (is_allocated(values[i])) {
                hint_phi(values[i], id);
            }
        }
    }

    void collect_insn(ValueId id, Position at, std::uint32_t home) {
        const Node& node = fn_[id];
        if (is_param(node)) {
            hint_reg(id, param_reg(node));
            out_.params.push_back(id);
            return;
        }
        const Constraints constraints = constraints_of(fn_, node, cpu_);
        if (has_value(node.kind)) {
            made_.push_back({id, at + (constraints.is_made_late ? 2 : 1), home});
            out_.uses_frame |= node.kind == Kind::Frame;
        }
        if (constraints.clobbers != 0) {
            clobber(constraints.clobbers, at + 1);
        }
        if (constraints.result_hint >= 0) {
            hint_reg(id, std::uint8_t(constraints.result_hint));
        }
        const unsigned count = kArgCounts[std::size_t(node.kind)];
        if (count == kList) {
            out_.has_calls = true;
            const auto args = fn_.list(node);
            for (std::size_t i = args.size(); i-- > 0;) {
                add_use(args[i], {0, at, node.block, false});
                hint_reg(args[i], kArgRegs[i]);
            }
            return;
        }
        if (node.kind == Kind::Return) {
            hint_reg(node.args[0], kRax);
        }
        for (unsigned i = 0; i < count; ++i) {
            const Position late = constraints.late >> i & 1;
            add_use(node.args[i], {0, at + late, node.block, node.kind != Kind::Return});
        }
    }

    void add_use(ValueId value, const RawUse& use) {
        if (is_allocated(value)) {
            raw_.push_back(use);
            raw_.back().next =
                std::exchange(values_[value].first_use, std::uint32_t(raw_.size() - 1));
        } else if (value != 0) {
            out_.places[value] = {Place::Kind::Const, value};
            out_.uses_frame |= fn_[value].kind == Kind::Frame;
        }
    }
    void hint_reg(ValueId value, std::uint8_t reg) {
        std::uint8_t& hint = values_[value].hint_reg;
        hint = hint == kNoReg ? reg : hint;
    }

    void clobber(std::uint32_t regs, Position at) {
        const auto found = std::ranges::find(fixed_, regs, &Fixed::regs);
        Fixed& fixed = found != fixed_.end() ? *found : fixed_.emplace_back(Fixed{regs, {}});
        fixed.places.push_back(at);
    }

    // The phi of the innermost loop is the one to save a move for.
    void hint_phi(ValueId value, ValueId phi) {
        ValueId& hint = values_[value].hint_phi;
        if (hint == 0 ||
            fn_.blocks[fn_[hint].block].loop_depth <= fn_.blocks[fn_[phi].block].loop_depth) {
            hint = phi;
        }
    }

    [[nodiscard]] bool is_param(const Node& node) const { return opt::is_param(fn_, node); }
    [[nodiscard]] std::uint8_t param_reg(const Node& node) const {
        return opt::param_reg(fn_, node);
    }

    void build_intervals() {
        intervals_.reserve(made_.size() + made_.size() / 8 + 1);
        ranges_.reserve(made_.size());
        intervals_.push_back({});
        reached_.resize(fn_.blocks.size());
        blocks_.resize(fn_.blocks.size());
        for (const Made& made : std::views::reverse(made_)) {
            build_interval(made);
        }
    }

    // In the order of their begins.
    void build_interval(const Made& made) {
        const ValueId id = made.value;
        const BlockId home = order_[made.home];
        values_[id].piece = std::uint32_t(intervals_.size());
        Interval& interval = intervals_.emplace_back();
        interval.value = id;
        interval.from = made.at;
        Position home_to = made.at + 1;
        std::size_t count = 0; // of blocks_: those where it lives besides
        std::uint32_t last = made.home;
        const auto reach = [&](BlockId block, Position to) {
            Reached& reached = reached_[block];
            if (block == home) {
                home_to = std::max(home_to, to);
            } else if (reached.value == id) {
                reached.end = std::max(reached.end, to);
            } else {
                reached = {id, to};
                blocks_[count++] = block;
                last = std::max(last, ranks_[block]);
            }
        };
        for (std::uint32_t i = values_[id].first_use; i != 0; i = raw_[i].next) {
            reach(raw_[i].block, place_of(raw_[i]) + 1);
        }
        for (std::size_t i = 0; i < count; ++i) {
            for (const BlockId pred : fn_.blocks[blocks_[i]].preds) {
                reach(pred, out_.block_end[pred]);
            }
        }
        interval.to = home_to;
        if (count != 0) {
            interval.first_range = std::uint32_t(ranges_.size());
            ranges_.push_back({interval.from, home_to});
            add_ranges(id, std::span(blocks_).first(count),
                       std::span(order_).subspan(made.home + 1, last - made.home));
            interval.last_range = std::uint32_t(ranges_.size());
            interval.to = ranges_.back().to;
        }
    }

    // For blocks that it reached. They are among `all`, which are in order.
    void add_ranges(ValueId id, std::span<BlockId> blocks, std::span<const BlockId> all) {
        constexpr std::size_t kSparse = 8;
        if (all.size() <= kSparse * blocks.size()) {
            for (const BlockId block : all) {
                if (reached_[block].value == id) {
                    add_range(block);
                }
            }
        } else {
            std::ranges::sort(blocks, {}, [&](BlockId block) { return ranks_[block]; });
            std::ranges::for_each(blocks, [&](BlockId block) { add_range(block); });
        }
    }
    void add_range(BlockId block) {
        const Range range{out_.block_begin[block], reached_[block].end};
        if (ranges_.back().to == range.from) {
            ranges_.back().to = range.to;
        } else {
            ranges_.push_back(range);
        }
    }

    // Pieces.

    [[nodiscard]] bool covers(const Interval& interval, Position at) const {
        if (at < interval.from || at >= interval.to) {
            return false;
        }
        return range_at(interval, at).from <= at;
    }
    // The first range that ends behind `at`, which is before the interval's end.
    [[nodiscard]] Range range_at(const Interval& interval, Position at) const {
        if (interval.first_range == interval.last_range) {
            return {interval.from, interval.to};
        }
        const auto begin = ranges_.begin() + interval.first_range;
        if (begin->to > at) {
            return *begin;
        }
        const auto end = ranges_.begin() + interval.last_range;
        return *std::partition_point(begin, end, [at](const Range& r) { return r.to <= at; });
    }
    // Where it is live again, at or behind `at`.
    [[nodiscard]] Position next_begin(const Interval& interval, Position at) const {
        return std::max(at, range_at(interval, at).from);
    }

    [[nodiscard]] Position next_reg_use(Interval& interval, Position at) {
        load_uses(interval);
        const auto begin = uses_.begin() + interval.first_use;
        const auto end = uses_.begin() + interval.last_use;
        auto use = std::partition_point(begin, end, [at](const Use& u) { return u.at < at; });
        for (; use != end && use->at < interval.to; ++use) {
            if (use->needs_reg) {
                return use->at;
            }
        }
        return kEnd;
    }

    // Most intervals get a register without anyone asking for their uses.
    void load_uses(Interval& interval) {
        if (interval.last_use != 0) {
            return;
        }
        if (uses_.empty()) {
            uses_.reserve(raw_.size() + made_.size()); // one more each: where it is made
            uses_.emplace_back();
        }
        interval.first_use = std::uint32_t(uses_.size());
        if (interval.from != insn_at(interval.from)) { // not a phi or parameter
            uses_.push_back({interval.from, true});
        }
        for (std::uint32_t i = values_[interval.value].first_use; i != 0; i = raw_[i].next) {
            uses_.push_back({place_of(raw_[i]), raw_[i].needs_reg});
        }
        interval.last_use = std::uint32_t(uses_.size());
        const auto begin = uses_.begin() + interval.first_use;
        if (!std::ranges::is_sorted(begin, uses_.end(), {}, &Use::at)) { // phis look back
            std::ranges::sort(begin, uses_.end(), {}, &Use::at);
        }
    }

    [[nodiscard]] Position first_common(const Interval& a, const Interval& b) const {
        Position at = std::max(a.from, b.from);
        const Position end = std::min(a.to, b.to);
        while (at < end) {
            const Position next = std::max(next_begin(a, at), next_begin(b, at));
            if (next >= end) {
                return kEnd;
            }
            if (next_begin(a, next) == next && next_begin(b, next) == next) {
                return next;
            }
            at = next;
        }
        return kEnd;
    }

    using Free = std::array<Position, kMachineRegs>;

    // Where each register is clobbered while the interval is live.
    [[nodiscard]] Free first_fixed(const Interval& interval) const {
        Free first;
        first.fill(kEnd);
        for (const Fixed& fixed : fixed_) {
            const Position at = first_of(fixed, interval);
            for (std::uint32_t regs = at != kEnd ? fixed.regs : 0; regs != 0; regs &= regs - 1) {
                Position& earliest = first[std::size_t(std::countr_zero(regs))];
                earliest = std::min(earliest, at);
            }
        }
        return first;
    }
    // Registers that are clobbered while it is live, as bits.
    [[nodiscard]] std::uint32_t clobbered_in(const Interval& interval) const {
        std::uint32_t regs = 0;
        for (const Fixed& fixed : fixed_) {
            regs |= first_of(fixed, interval) != kEnd ? fixed.regs : 0;
        }
        return regs;
    }
    [[nodiscard]] Position first_of(const Fixed& fixed, const Interval& interval) const {
        auto at = fixed.places.begin() + std::ptrdiff_t(fixed.next);
        while (at != fixed.places.end() && *at < interval.to) {
            const Position begin = next_begin(interval, *at);
            if (begin == *at) {
                return *at;
            }
            at = std::lower_bound(at, fixed.places.end(), begin);
        }
        return kEnd;
    }

    // The part from `at` on, which is behind the begin; the rest keeps what it has.
    std::uint32_t split(std::uint32_t index, Position at) {
        load_uses(intervals_[index]);
        Interval tail = intervals_[index];
        Interval& head = intervals_[index];
        tail.from = next_begin(head, at);
        tail.is_split = true;
        tail.reg = kNoReg;
        tail.first_use = std::uint32_t(
            std::partition_point(uses_.begin() + head.first_use, uses_.begin() + head.last_use,
                                 [at](const Use& use) { return use.at < at; }) -
            uses_.begin());
        head.to = at;
        head.last_use = tail.first_use;
        const auto place = std::uint32_t(intervals_.size());
        head.next = place;
        intervals_.push_back(tail);
        return place;
    }

    void push(std::uint32_t index) { pieces_.push({intervals_[index].from, index}); }

    void scan() {
        allowed_ = 0;
        for (const unsigned reg : kPreferred) {
            allowed_ |= 1U << reg;
        }
        if (fn_.anchor != Anchor::None) {
            allowed_ &= ~(1U << kAnchorReg);
        }
        for (std::uint32_t current = next(); current != 0; current = next()) {
            advance(intervals_[current].from);
            if (!try_free_reg(current)) {
                take_reg(current);
            }
            if (intervals_[current].reg != kNoReg) {
                out_.used_regs |= 1U << intervals_[current].reg;
                note_home(intervals_[current]);
                activate(current);
            }
        }
    }

    // The one that begins first, or 0: of all values, and of pieces of those that were split.
    std::uint32_t next() {
        const bool has_whole = next_whole_ <= made_.size();
        if (!pieces_.empty() &&
            (!has_whole || pieces_.top().first < intervals_[next_whole_].from)) {
            const std::uint32_t index = pieces_.top().second;
            pieces_.pop();
            return index;
        }
        return has_whole ? next_whole_++ : 0;
    }

    void activate(std::uint32_t index) {
        const Interval& interval = intervals_[index];
        occupy(index, std::min(interval.to, range_at(interval, interval.from).to));
    }
    // The interval's register, by it, up to a hole or its end.
    void occupy(std::uint32_t index, Position until) {
        const unsigned reg = intervals_[index].reg;
        busy_ |= 1U << reg;
        active_[reg] = index;
        until_[reg] = until;
        next_leave_ = std::min(next_leave_, until);
    }

    void advance(Position at) {
        if (next_leave_ <= at) {
            next_leave_ = kEnd;
            for (std::uint32_t regs = busy_; regs != 0; regs &= regs - 1) {
                const auto reg = unsigned(std::countr_zero(regs));
                if (until_[reg] <= at) {
                    leave(reg, at);
                } else {
                    next_leave_ = std::min(next_leave_, until_[reg]);
                }
            }
        }
        while (!inactive_.empty() && inactive_.top().first <= at) {
            const std::uint32_t index = inactive_.top().second;
            inactive_.pop();
            const Interval& interval = intervals_[index];
            if (interval.reg == kNoReg || interval.to <= at) {
                continue;
            }
            if (covers(interval, at)) {
                occupy(index, std::min(interval.to, range_at(interval, at).to));
            } else {
                inactive_.push({next_begin(interval, at), index});
            }
        }
        for (Fixed& fixed : fixed_) {
            while (fixed.next < fixed.places.size() && fixed.places[fixed.next] < at) {
                ++fixed.next;
            }
        }
    }

    void leave(unsigned reg, Position at) {
        const Interval& interval = intervals_[active_[reg]];
        if (interval.to > at) {
            const Range range = range_at(interval, at);
            if (range.from <= at) {
                occupy(active_[reg], std::min(interval.to, range.to));
                return;
            }
            inactive_.push({range.from, active_[reg]});
        }
        busy_ &= ~(1U << reg);
    }

    bool try_free_reg(std::uint32_t index) {
        Interval& current = intervals_[index];
        if (!current.is_split) { // it meets none of those that rest
            const std::uint32_t free = allowed_ & ~busy_ & ~clobbered_in(current);
            if (free != 0) {
                current.reg = std::uint8_t(choose(index, free));
                return true;
            }
        }
        return try_free_for_a_while(index);
    }

    bool try_free_for_a_while(std::uint32_t index) {
        const Interval& current = intervals_[index];
        Free free_until = first_fixed(current);
        for (unsigned reg = 0; reg < kMachineRegs; ++reg) {
            if ((busy_ >> reg & 1) != 0) {
                free_until[reg] = 0;
            }
        }
        each_inactive(index, [&](std::uint32_t other, Position at) {
            Position& until = free_until[intervals_[other].reg];
            until = std::min(until, at);
        });
        std::uint32_t best = 0; // those that are free for longest
        Position until = current.from + 1;
        for (const unsigned reg : kPreferred) {
            const Position end = std::min(free_until[reg], current.to);
            if ((allowed_ >> reg & 1) != 0 && end >= until) {
                best = end > until ? 0 : best;
                best |= 1U << reg;
                until = end;
            }
        }
        if (best == 0) {
            return false;
        }
        if (until < current.to) {
            const Position at = insn_at(until);
            if (at <= current.from) {
                return false;
            }
            const unsigned reg = first_choice(best, current.from);
            push(split(index, at));
            intervals_[index].reg = std::uint8_t(reg);
        } else {
            intervals_[index].reg = std::uint8_t(choose(index, best));
        }
        return true;
    }

    // One of these registers, which are free for as long as the interval lives.
    [[nodiscard]] unsigned choose(std::uint32_t index, std::uint32_t free) const {
        const unsigned hint = free_hint(intervals_[index], free);
        return hint != kNoReg ? hint : first_choice(free, intervals_[index].from);
    }
    [[nodiscard]] unsigned first_choice(std::uint32_t free, Position from) const {
        unsigned home = kNoReg;
        for (const unsigned reg : kPreferred) {
            if ((free >> reg & 1) == 0) {
                continue;
            }
            if (home_until_[reg] <= from) {
                return reg;
            }
            home = home == kNoReg ? reg : home;
        }
        return home;
    }

    // The register of a loop's phi is kept for the value of its next turn, if there are others.
    void note_home(const Interval& interval) {
        const Node& node = fn_[interval.value];
        if (node.kind != Kind::Phi || interval.is_split) {
            return;
        }
        for (const BlockId pred : fn_.blocks[node.block].preds) {
            if (fn_.dominates(node.block, pred)) {
                Position& until = home_until_[interval.reg];
                until = std::max(until, out_.block_end[pred]);
            }
        }
    }

    [[nodiscard]] unsigned reg_of(ValueId value) const {
        return intervals_[values_[value].piece].reg; // [0] has none
    }

    // The first of these registers that saves a move, if there is one.
    [[nodiscard]] unsigned free_hint(const Interval& current, std::uint32_t free) const {
        const auto is_free = [free](unsigned reg) { return (free >> reg & 1) != 0; };
        const ValueId value = current.value;
        if (current.is_split && is_free(reg_of(value))) {
            return reg_of(value);
        }
        // Where the phi that it goes to is, or the one behind that.
        ValueId phi = values_[value].hint_phi;
        for (int steps = 0; phi != 0 && steps < 3; ++steps, phi = values_[phi].hint_phi) {
            if (reg_of(phi) != kNoReg) {
                if (is_free(reg_of(phi))) {
                    return reg_of(phi);
                }
                break;
            }
        }
        if (is_free(values_[value].hint_reg)) {
            return values_[value].hint_reg;
        }
        const Node& node = fn_[value];
        if (node.kind == Kind::Phi) {
            constexpr std::size_t kEnough = 4; // it may have many
            for (const ValueId input : fn_.list(node) | std::views::take(kEnough)) {
                if (is_free(reg_of(input))) {
                    return reg_of(input);
                }
            }
        } else if (!has_list(node.kind)) {
            for (const unsigned i : {0U, 3U, 1U}) {
                if (is_free(reg_of(node.args[i]))) {
                    return reg_of(node.args[i]);
                }
            }
        }
        return kNoReg;
    }

    // Values that rest now, but meet this one later: whole values never do, in SSA form.
    template <class F>
    void each_inactive(std::uint32_t index, F f) {
        if (!intervals_[index].is_split) {
            return;
        }
        for (const auto& [begin, other] : inactive_.all()) {
            if (intervals_[other].reg == kNoReg) {
                continue;
            }
            const Position at = first_common(intervals_[index], intervals_[other]);
            if (at != kEnd) {
                f(other, at);
            }
        }
    }

    // Takes a register from whoever needs it last, or none if that is this one.
    void take_reg(std::uint32_t index) {
        Free use_at;
        use_at.fill(kEnd);
        const Position from = intervals_[index].from;
        for (std::uint32_t regs = busy_; regs != 0; regs &= regs - 1) {
            const auto reg = std::size_t(std::countr_zero(regs));
            use_at[reg] = next_reg_use(intervals_[active_[reg]], from);
        }
        each_inactive(index, [&](std::uint32_t other, Position) {
            Position& at = use_at[intervals_[other].reg];
            at = std::min(at, next_reg_use(intervals_[other], from));
        });
        const Free fixed = first_fixed(intervals_[index]);
        unsigned best = kNoReg;
        for (const unsigned reg : kPreferred) {
            if ((allowed_ >> reg & 1) == 0) {
                continue;
            }
            const Position until = std::min(use_at[reg], fixed[reg]);
            if (best == kNoReg || until > std::min(use_at[best], fixed[best])) {
                best = reg;
            }
        }
        const Position best_fixed = fixed[best];
        const Position first_use = next_reg_use(intervals_[index], from);
        if (first_use > std::min(use_at[best], best_fixed) || first_use == kEnd) {
            spill(index);
            return;
        }
        intervals_[index].reg = std::uint8_t(best);
        if (best_fixed < intervals_[index].to) {
            if (insn_at(best_fixed) > from) {
                push(split(index, insn_at(best_fixed)));
            } else {
                spill(split(index, best_fixed));
            }
        }
        evict(index, best);
    }

    void evict(std::uint32_t index, unsigned reg) {
        const Position from = intervals_[index].from;
        if ((busy_ >> reg & 1) != 0) {
            busy_ &= ~(1U << reg);
            spill_from(active_[reg], from);
        }
        Vec<std::uint32_t> others;
        each_inactive(index, [&](std::uint32_t other, Position) {
            if (intervals_[other].reg == reg) {
                others.push_back(other);
            }
        });
        for (const std::uint32_t other : others) { // in a hole: nothing happens before its end
            push(split(other, from));
        }
    }

    void spill_from(std::uint32_t index, Position at) {
        if (intervals_[index].from == at) {
            intervals_[index].reg = kNoReg;
            spill(index);
        } else {
            spill(split(index, at));
        }
    }

    // The whole piece lives in its slot until a register is needed.
    void spill(std::uint32_t index) {
        Interval& interval = intervals_[index];
        const ValueId value = interval.value;
        if (!is_remade(value) && !out_.is_stored(value)) {
            out_.slots_of.resize(fn_.nodes.size(), Allocation::kNoSlot);
            out_.slots_of[value] = out_.slots++;
        }
        const Position use = next_reg_use(interval, interval.from);
        if (use != kEnd) {
            const Position at = insn_at(use);
            if (at > interval.from) {
                push(split(index, at));
            } else {
                EBPFVM_ASSERT(false); // takes a register where it is needed at once
            }
        }
    }

    // Cheaper to make again than to load.
    [[nodiscard]] bool is_remade(ValueId value) const {
        return fn_[value].kind == Kind::Const || fn_[value].kind == Kind::Frame;
    }

    // Results.

    [[nodiscard]] Place place_of(const Interval& interval) const {
        if (interval.reg != kNoReg) {
            return {Place::Kind::Reg, interval.reg};
        }
        if (is_remade(interval.value)) {
            return {Place::Kind::Const, interval.value};
        }
        return {Place::Kind::Slot, out_.slot_of(interval.value)};
    }

    void find_places() {
        for (std::uint32_t i = 1; i <= made_.size(); ++i) {
            const Interval& whole = intervals_[i];
            if (whole.next == 0) {
                out_.places[whole.value] = place_of(whole);
            } else {
                add_pieces(i);
                split_.push_back(i);
            }
        }
        std::ranges::stable_sort(out_.moves, {}, &Move::at);
    }

    void add_pieces(std::uint32_t index) {
        out_.places[intervals_[index].value] = {Place::Kind::Split,
                                                std::uint32_t(out_.split.size())};
        auto& pieces = out_.split.emplace_back();
        for (std::uint32_t i = index; i != 0; i = intervals_[i].next) {
            const Interval& piece = intervals_[i];
            pieces.push_back({piece.to, place_of(piece)});
            if (piece.next == 0) {
                continue;
            }
            const Interval& next = intervals_[piece.next];
            const Place to = place_of(next);
            if (next.from == piece.to && to.kind == Place::Kind::Reg && to != place_of(piece) &&
                !is_block_begin(next.from)) {
                out_.moves.push_back({next.from, place_of(piece), to});
            }
        }
    }

    // The first block of order_ that begins at or behind `at`.
    [[nodiscard]] auto block_behind(Position at) const {
        return std::ranges::lower_bound(order_, at, {},
                                        [&](BlockId id) { return out_.block_begin[id]; });
    }
    [[nodiscard]] bool is_block_begin(Position at) const {
        const auto found = block_behind(at);
        return found != order_.end() && out_.block_begin[*found] == at;
    }

    void resolve() {
        for (const std::uint32_t index : split_) {
            resolve_split(intervals_[index]);
        }
        for (const BlockId block : order_) {
            for (ValueId id = fn_.blocks[block].first; id != 0 && fn_[id].kind == Kind::Phi;
                 id = fn_[id].next) {
                const Place to = out_.made_in(id);
                const auto values = fn_.list(fn_[id]);
                for (std::size_t i = 0; i < values.size(); ++i) {
                    const BlockId pred = fn_.blocks[block].preds[i];
                    connect(pred, block, out_.place_of(values[i], out_.block_end[pred] - 1), to);
                }
            }
        }
        sort_block_moves();
    }

    // On all edges on which it is live.
    void resolve_split(const Interval& whole) {
        const ValueId id = whole.value;
        for (std::uint32_t i = whole.first_range; i < whole.last_range; ++i) {
            const Range& range = ranges_[i];
            for (auto next = block_behind(range.from);
                 next != order_.end() && out_.block_begin[*next] < range.to; ++next) {
                const BlockId block = *next;
                const Place to = out_.place_of(id, out_.block_begin[block]);
                if (block == fn_[id].block || to.kind == Place::Kind::Slot) {
                    continue; // it was stored when it was made
                }
                for (const BlockId pred : fn_.blocks[block].preds) {
                    connect(pred, block, out_.place_of(id, out_.block_end[pred] - 1), to);
                }
            }
        }
    }

    void connect(BlockId pred, BlockId block, const Place& from, const Place& to) {
        if (from == to || to.kind == Place::Kind::Const) {
            return;
        }
        if (fn_[fn_.blocks[pred].last].kind == Kind::Jump) {
            block_moves_.emplace_back(2 * pred + 1, Move{out_.block_end[pred], from, to});
        } else {
            block_moves_.emplace_back(2 * block, Move{out_.block_begin[block], from, to});
        }
    }

    // By what they are numbered with; they stay in order otherwise.
    void sort_block_moves() {
        Vec<std::uint32_t>& first = out_.first_block_move;
        first.assign(2 * fn_.blocks.size() + 2, 0);
        for (const auto& [number, move] : block_moves_) {
            ++first[number + 2];
        }
        std::partial_sum(first.begin(), first.end(), first.begin());
        out_.block_moves.resize(block_moves_.size());
        for (const auto& [number, move] : block_moves_) {
            out_.block_moves[first[number + 1]++] = move;
        }
    }

    template <class T>
    class Queue { // a priority queue that can be looked through
      public:
        void push(const T& item) {
            items_.push_back(item);
            std::ranges::push_heap(items_, std::greater{});
        }
        void pop() {
            std::ranges::pop_heap(items_, std::greater{});
            items_.pop_back();
        }
        [[nodiscard]] const T& top() const { return items_.front(); }
        [[nodiscard]] bool empty() const { return items_.empty(); }
        [[nodiscard]] const Vec<T>& all() const { return items_; }

      private:
        Vec<T> items_{};
    };
    using Entry = std::pair<Position, std::uint32_t>;

    Function& fn_;
    const Cpu cpu_;
    Allocation out_{};
    Vec<BlockId> order_{};       // of positions; machine code has another one
    Vec<std::uint32_t> ranks_{}; // by block: where it is in order_
    Vec<Made> made_{};           // the last first
    Vec<Fixed> fixed_{};
    Vec<Value> values_{};
    Vec<RawUse> raw_{};
    Vec<Use> uses_{};
    Vec<Range> ranges_{};
    Vec<Interval> intervals_{};
    Vec<BlockId> blocks_{};
    Vec<Reached> reached_{};     // by block
    Vec<std::uint32_t> split_{}; // first pieces of values that change their place
    Vec<std::pair<std::size_t, Move>> block_moves_{}; // 2 * block: at its begin; + 1: at its end
    std::uint32_t next_whole_ = 1;                    // of the intervals that are not split off
    Queue<Entry> pieces_{};
    Queue<Entry> inactive_{};
    std::uint32_t busy_ = 0; // registers (bits) of the intervals that are live now
    std::array<std::uint32_t, kMachineRegs> active_{}; // those
    std::array<Position, kMachineRegs> until_{};       // how far their ranges go
    Position next_leave_ = kEnd;                       // none of those is less
    std::array<Position, kMachineRegs> home_until_{};
    std::uint32_t allowed_ = 0;
};

} // namespace

Place Allocation::place_in(const Vec<Piece>& pieces, Position at) {
    for (const Piece& piece : pieces) {
        if (at < piece.end) {
            return piece.place;
        }
    }
    return pieces.back().place;
}

Allocation allocate(Function& fn, const Cpu& cpu) {
    return Allocator(fn, cpu).run();
}

} // namespace ebpfvm::jit::opt
