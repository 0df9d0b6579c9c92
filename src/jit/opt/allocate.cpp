#include "jit/opt/allocate.hpp"

#include "jit/opt/target.hpp"
#include "support/assert.hpp"

#include <algorithm>
#include <bit>

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
};

// A piece of a value's lifetime, in one place.
struct Interval {
    ValueId value = 0;
    Position from = 0;
    Position to = 0;
    std::uint32_t first_range = 0; // into ranges_; clipped by from and to
    std::uint32_t last_range = 0;
    std::uint32_t first_use = 0;
    std::uint32_t last_use = 0;
    std::uint8_t reg = kNoReg;
    bool is_split = false;  // not the first piece
    std::uint32_t next = 0; // piece
};

class Allocator {
  public:
    Allocator(Function& fn, const Cpu& cpu) : fn_(fn), cpu_(cpu) {}

    Allocation run() {
        find_order();
        number();
        collect_uses();
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
        Vec<Vec<BlockId>> waiting(fn_.blocks.size()); // by the block that dominates
        Vec<bool> is_placed(fn_.blocks.size(), false);
        Vec<BlockId> ready; // those that waited for a block which has come
        order_.reserve(fn_.layout.size());
        const auto place = [&](BlockId id) {
            is_placed[id] = true;
            order_.push_back(id);
            ready.insert(ready.end(), waiting[id].begin(), waiting[id].end());
            waiting[id].clear();
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
            if (id == 0 || is_placed[idom]) {
                place(id);
            } else {
                waiting[idom].push_back(id);
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

    void number() {
        out_.positions.assign(fn_.nodes.size(), 0);
        out_.block_begin.assign(fn_.blocks.size(), 0);
        out_.block_end.assign(fn_.blocks.size(), 0);
        Position at = 0;
        for (const BlockId id : order_) {
            out_.block_begin[id] = at;
            for (ValueId node = fn_.blocks[id].first; node != 0; node = fn_[node].next) {
                if (fn_[node].kind == Kind::Phi) {
                    out_.positions[node] = out_.block_begin[id];
                } else {
                    at += kStep;
                    out_.positions[node] = at;
                }
            }
            at += kStep;
            out_.block_end[id] = at;
        }
    }

    [[nodiscard]] bool is_allocated(ValueId id) const {
        return id != 0 && fn_[id].block != kNoBlock;
    }

    struct RawUse {
        ValueId value;
        Position at;
        Position to;
        BlockId block;
        bool needs_reg;
    };

    void collect_uses() {
        hint_reg_.assign(fn_.nodes.size(), kNoReg);
        hint_phi_.assign(fn_.nodes.size(), 0);
        Vec<RawUse> raw;
        raw.reserve(2 * fn_.nodes.size());
        for (const BlockId block : order_) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                collect(id, block, raw);
            }
        }
        // By value, and in order.
        use_begin_.assign(fn_.nodes.size() + 1, 0);
        for (const RawUse& use : raw) {
            ++use_begin_[use.value + 1];
        }
        for (std::size_t i = 1; i < use_begin_.size(); ++i) {
            use_begin_[i] += use_begin_[i - 1];
        }
        raw_.resize(raw.size());
        Vec<std::uint32_t> next(use_begin_.begin(), use_begin_.end() - 1);
        for (const RawUse& use : raw) {
            raw_[next[use.value]++] = use;
        }
        uses_.resize(raw_.size() + fn_.nodes.size()); // one more each: where it is made
    }

    void collect(ValueId id, BlockId block, Vec<RawUse>& raw) {
        const Node& node = fn_[id];
        const Position at = out_.positions[id];
        if (node.kind == Kind::Phi) {
            const auto values = fn_.list(node);
            for (std::size_t i = 0; i < values.size(); ++i) {
                if (is_allocated(values[i])) {
                    const BlockId pred = fn_.blocks[block].preds[i];
                    const Position end = out_.block_end[pred];
                    raw.push_back({values[i], end - 1, end, pred, false});
                    hint_phi(values[i], id);
                }
            }
            return;
        }
        const Constraints constraints = constraints_of(fn_, node, cpu_);
        if (constraints.clobbers != 0) {
            clobber(constraints.clobbers, at + 1);
        }
        if (constraints.result_hint >= 0) {
            hint_reg_[id] = std::uint8_t(constraints.result_hint);
        }
        if (has_list(node.kind)) {
            const auto args = fn_.list(node);
            for (std::size_t i = 0; i < args.size(); ++i) {
                if (is_allocated(args[i])) {
                    raw.push_back({args[i], at, at + 1, block, false});
                    hint_reg_[args[i]] = kArgRegs[i];
                }
            }
            return;
        }
        if (node.kind == Kind::Return && is_allocated(node.args[0])) {
            hint_reg_[node.args[0]] = kRax;
        }
        if (is_param(node)) {
            hint_reg_[id] = param_reg(node);
        }
        for (unsigned i = 0; i < node.args.size(); ++i) {
            if (is_allocated(node.args[i])) {
                const bool is_late = (constraints.late >> i & 1) != 0;
                raw.push_back({node.args[i], at + (is_late ? 1 : 0), at + (is_late ? 2 : 1), block,
                               node.kind != Kind::Return});
            }
        }
    }

    void clobber(std::uint32_t regs, Position at) {
        const auto found = std::ranges::find(fixed_, regs, &Fixed::regs);
        Fixed& fixed = found != fixed_.end() ? *found : fixed_.emplace_back(Fixed{regs, {}});
        fixed.places.push_back(at);
    }

    // The phi of the innermost loop is the one to save a move for.
    void hint_phi(ValueId value, ValueId phi) {
        ValueId& hint = hint_phi_[value];
        if (hint == 0 ||
            fn_.blocks[fn_[hint].block].loop_depth < fn_.blocks[fn_[phi].block].loop_depth) {
            hint = phi;
        }
    }

    [[nodiscard]] bool is_param(const Node& node) const { return opt::is_param(fn_, node); }
    [[nodiscard]] std::uint8_t param_reg(const Node& node) const {
        return opt::param_reg(fn_, node);
    }

    [[nodiscard]] Position made_at(ValueId id) const {
        const Node& node = fn_[id];
        if (node.kind == Kind::Phi) {
            return out_.positions[id];
        }
        if (is_param(node)) { // all of them are there from the beginning
            return out_.block_begin[node.block];
        }
        return out_.positions[id] + (constraints_of(fn_, node, cpu_).is_made_late ? 2 : 1);
    }

    void build_intervals() {
        intervals_.reserve(fn_.nodes.size() + fn_.nodes.size() / 8);
        ranges_.reserve(fn_.nodes.size());
        intervals_.push_back({});
        stamp_.assign(fn_.blocks.size(), 0);
        live_end_.assign(fn_.blocks.size(), 0);
        live_begin_.assign(fn_.nodes.size(), {0, 0});
        first_piece_.assign(fn_.nodes.size(), 0);
        std::uint32_t used = 0;
        for (const BlockId block : order_) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                if (!has_value(fn_[id].kind)) {
                    continue;
                }
                build_interval(id, block, used);
            }
        }
    }

    void build_interval(ValueId id, BlockId home, std::uint32_t& used) {
        Interval interval;
        interval.value = id;
        interval.from = made_at(id);
        Position home_to = interval.from + 1;
        blocks_.clear();
        const auto reach = [&](BlockId block, Position to) {
            if (block == home) {
                home_to = std::max(home_to, to);
            } else if (stamp_[block] == id) {
                live_end_[block] = std::max(live_end_[block], to);
            } else {
                stamp_[block] = id;
                live_end_[block] = to;
                blocks_.push_back(block);
            }
        };
        interval.first_use = used;
        if (fn_[id].kind != Kind::Phi && !is_param(fn_[id])) {
            uses_[used++] = {interval.from, true};
        }
        const auto uses =
            std::span(raw_).subspan(use_begin_[id], use_begin_[id + 1] - use_begin_[id]);
        for (const RawUse& use : uses) {
            reach(use.block, use.to);
            uses_[used++] = {use.at, use.needs_reg};
        }
        interval.last_use = used;
        std::sort(uses_.begin() + interval.first_use, uses_.begin() + interval.last_use,
                  [](const Use& a, const Use& b) { return a.at < b.at; });
        for (std::size_t i = 0; i < blocks_.size(); ++i) {
            for (const BlockId pred : fn_.blocks[blocks_[i]].preds) {
                reach(pred, out_.block_end[pred]);
            }
        }
        std::ranges::sort(blocks_, {}, [&](BlockId block) { return out_.block_begin[block]; });
        live_begin_[id] = {std::uint32_t(live_blocks_.size()),
                           std::uint32_t(live_blocks_.size() + blocks_.size())};
        live_blocks_.insert(live_blocks_.end(), blocks_.begin(), blocks_.end());
        interval.first_range = std::uint32_t(ranges_.size());
        ranges_.push_back({interval.from, home_to});
        for (const BlockId block : blocks_) {
            const Range range{out_.block_begin[block], live_end_[block]};
            if (ranges_.back().to == range.from) {
                ranges_.back().to = range.to;
            } else {
                ranges_.push_back(range);
            }
        }
        interval.last_range = std::uint32_t(ranges_.size());
        interval.to = ranges_.back().to;
        first_piece_[id] = std::uint32_t(intervals_.size());
        intervals_.push_back(interval);
    }

    // Pieces.

    [[nodiscard]] bool covers(const Interval& interval, Position at) const {
        if (at < interval.from || at >= interval.to) {
            return false;
        }
        const Range& range = range_at(interval, at);
        return range.from <= at;
    }
    // The first range that ends behind `at`, which is before the interval's end.
    [[nodiscard]] const Range& range_at(const Interval& interval, Position at) const {
        const auto begin = ranges_.begin() + interval.first_range;
        const auto end = ranges_.begin() + interval.last_range;
        return *std::partition_point(begin, end, [at](const Range& r) { return r.to <= at; });
    }
    // Where it is live again, at or behind `at`.
    [[nodiscard]] Position next_begin(const Interval& interval, Position at) const {
        return std::max(at, range_at(interval, at).from);
    }

    [[nodiscard]] Position next_reg_use(const Interval& interval, Position at) const {
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
            const Position at = first_of(fixed.places, interval);
            for (std::uint32_t regs = at != kEnd ? fixed.regs : 0; regs != 0; regs &= regs - 1) {
                Position& earliest = first[std::size_t(std::countr_zero(regs))];
                earliest = std::min(earliest, at);
            }
        }
        return first;
    }
    [[nodiscard]] Position first_of(const Vec<Position>& places, const Interval& interval) const {
        auto at = std::ranges::lower_bound(places, interval.from);
        while (at != places.end() && *at < interval.to) {
            const Position begin = next_begin(interval, *at);
            if (begin == *at) {
                return *at;
            }
            at = std::lower_bound(at, places.end(), begin);
        }
        return kEnd;
    }

    // The part from `at` on, which is behind the begin; the rest keeps what it has.
    std::uint32_t split(std::uint32_t index, Position at) {
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
        whole_.reserve(intervals_.size());
        for (std::uint32_t i = 1; i < intervals_.size(); ++i) {
            whole_.emplace_back(intervals_[i].from, i);
        }
        if (!std::ranges::is_sorted(whole_)) {
            std::ranges::sort(whole_);
        }
        out_.slots_of.assign(fn_.nodes.size(), 0);
        out_.is_stored.assign(fn_.nodes.size(), false);
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
        const bool has_whole = next_whole_ < whole_.size();
        if (!pieces_.empty() && (!has_whole || pieces_.top() < whole_[next_whole_])) {
            const std::uint32_t index = pieces_.top().second;
            pieces_.pop();
            return index;
        }
        return has_whole ? whole_[next_whole_++].second : 0;
    }

    void activate(std::uint32_t index) {
        active_.push_back(index);
        const Interval& interval = intervals_[index];
        const Position end = std::min(interval.to, range_at(interval, interval.from).to);
        first_end_ = std::min(first_end_, end);
    }

    void advance(Position at) {
        if (first_end_ <= at) {
            leave_active(at);
        }
        while (!inactive_.empty() && inactive_.top().first <= at) {
            const std::uint32_t index = inactive_.top().second;
            inactive_.pop();
            const Interval& interval = intervals_[index];
            if (interval.reg == kNoReg || interval.to <= at) {
                continue;
            }
            if (covers(interval, at)) {
                active_.push_back(index);
                first_end_ = at;
            } else {
                inactive_.push({next_begin(interval, at), index});
            }
        }
    }

    void leave_active(Position at) {
        first_end_ = kEnd;
        for (std::size_t i = 0; i < active_.size();) {
            const Interval& interval = intervals_[active_[i]];
            if (interval.to > at) {
                const Range& range = range_at(interval, at);
                if (range.from <= at) {
                    first_end_ = std::min({first_end_, interval.to, range.to});
                    ++i;
                    continue;
                }
                inactive_.push({range.from, active_[i]});
            }
            active_[i] = active_.back();
            active_.pop_back();
        }
    }

    bool try_free_reg(std::uint32_t index) {
        Free free_until;
        free_until.fill(kEnd);
        for (const std::uint32_t other : active_) {
            free_until[intervals_[other].reg] = 0;
        }
        each_inactive(index, [&](std::uint32_t other, Position at) {
            Position& until = free_until[intervals_[other].reg];
            until = std::min(until, at);
        });
        const Interval& current = intervals_[index];
        const Free fixed = first_fixed(current);
        for (unsigned reg = 0; reg < kMachineRegs; ++reg) {
            free_until[reg] = std::min(free_until[reg], fixed[reg]);
        }
        const unsigned reg = choose(index, free_until);
        if (reg == kNoReg) {
            return false;
        }
        if (free_until[reg] < current.to) {
            const Position at = insn_at(free_until[reg]);
            if (at <= current.from) {
                return false;
            }
            push(split(index, at));
        }
        intervals_[index].reg = std::uint8_t(reg);
        return true;
    }

    unsigned choose(std::uint32_t index, const Free& free_until) {
        const Interval& current = intervals_[index];
        for (const unsigned hint : hints_of(index)) {
            if (hint != kNoReg && (allowed_ >> hint & 1) != 0 && free_until[hint] >= current.to) {
                return hint;
            }
        }
        unsigned best = kNoReg;
        bool best_is_home = false;
        for (const unsigned reg : kPreferred) {
            if ((allowed_ >> reg & 1) == 0 || free_until[reg] <= current.from) {
                continue;
            }
            const bool is_home = home_until_[reg] > current.from;
            const Position until = std::min(free_until[reg], current.to);
            const Position best_until = best == kNoReg ? 0 : std::min(free_until[best], current.to);
            if (until > best_until || (until == best_until && best_is_home && !is_home)) {
                best = reg;
                best_is_home = is_home;
            }
        }
        return best;
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
        return is_allocated(value) && first_piece_[value] != 0
                   ? unsigned(intervals_[first_piece_[value]].reg)
                   : kNoReg;
    }

    [[nodiscard]] std::array<unsigned, 5> hints_of(std::uint32_t index) const {
        const Interval& current = intervals_[index];
        const ValueId value = current.value;
        std::array<unsigned, 5> hints;
        hints.fill(kNoReg);
        std::size_t count = 0;
        if (current.is_split) {
            hints[count++] = reg_of(value);
        }
        // Where the phi that it goes to is, or the one behind that.
        ValueId phi = hint_phi_[value];
        for (int steps = 0; phi != 0 && steps < 3; ++steps, phi = hint_phi_[phi]) {
            if (reg_of(phi) != kNoReg) {
                hints[count++] = reg_of(phi);
                break;
            }
        }
        hints[count] = hint_reg_[value];
        count += hint_reg_[value] != kNoReg ? 1 : 0;
        const Node& node = fn_[value];
        if (node.kind == Kind::Phi) {
            for (const ValueId input : fn_.list(node)) {
                if (count < hints.size() && reg_of(input) != kNoReg) {
                    hints[count++] = reg_of(input);
                }
            }
        } else if (!has_list(node.kind)) {
            for (const unsigned i : {0U, 3U, 1U}) {
                if (count < hints.size() && node.args[i] != 0 && reg_of(node.args[i]) != kNoReg) {
                    hints[count++] = reg_of(node.args[i]);
                }
            }
        }
        return hints;
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
        for (const std::uint32_t other : active_) {
            use_at[intervals_[other].reg] = next_reg_use(intervals_[other], from);
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
        for (std::size_t i = 0; i < active_.size(); ++i) {
            const std::uint32_t other = active_[i];
            if (intervals_[other].reg != reg) {
                continue;
            }
            active_[i] = active_.back();
            active_.pop_back();
            spill_from(other, from);
            break;
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
        const Interval& interval = intervals_[index];
        const ValueId value = interval.value;
        if (!is_remade(value) && !out_.is_stored[value]) {
            out_.is_stored[value] = true;
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
            return {.kind = Place::Kind::Reg, .reg = interval.reg};
        }
        if (is_remade(interval.value)) {
            return {.kind = Place::Kind::Const, .value = interval.value};
        }
        return {.kind = Place::Kind::Slot, .slot = out_.slots_of[interval.value]};
    }

    void find_places() {
        out_.whole.resize(fn_.nodes.size());
        out_.split_of.assign(fn_.nodes.size(), Allocation::kWhole);
        for (ValueId id = 1; id < fn_.nodes.size(); ++id) {
            if (first_piece_[id] == 0) {
                if (is_remade(id)) {
                    out_.whole[id] = {.kind = Place::Kind::Const, .value = id};
                }
                continue;
            }
            const Interval& first = intervals_[first_piece_[id]];
            out_.whole[id] = place_of(first);
            if (first.next != 0) {
                add_pieces(id, first_piece_[id]);
            }
        }
        std::ranges::stable_sort(out_.moves, {}, &Move::at);
    }

    void add_pieces(ValueId id, std::uint32_t index) {
        out_.split_of[id] = std::uint32_t(out_.split.size());
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

    [[nodiscard]] bool is_block_begin(Position at) const {
        const auto found = std::ranges::lower_bound(
            order_, at, {}, [&](BlockId id) { return out_.block_begin[id]; });
        return found != order_.end() && out_.block_begin[*found] == at;
    }

    void resolve() {
        out_.edges.resize(fn_.blocks.size());
        out_.entries.resize(fn_.blocks.size());
        for (ValueId id = 1; id < fn_.nodes.size(); ++id) {
            if (out_.split_of[id] == Allocation::kWhole) {
                continue;
            }
            for (std::uint32_t i = live_begin_[id].first; i < live_begin_[id].second; ++i) {
                const BlockId block = live_blocks_[i];
                const Place to = out_.place_of(id, out_.block_begin[block]);
                if (to.kind == Place::Kind::Slot) {
                    continue; // it was stored when it was made
                }
                for (const BlockId pred : fn_.blocks[block].preds) {
                    connect(pred, block, out_.place_of(id, out_.block_end[pred] - 1), to);
                }
            }
        }
        for (const BlockId block : order_) {
            for (ValueId id = fn_.blocks[block].first; id != 0 && fn_[id].kind == Kind::Phi;
                 id = fn_[id].next) {
                const Place to = out_.whole[id];
                const auto values = fn_.list(fn_[id]);
                for (std::size_t i = 0; i < values.size(); ++i) {
                    const BlockId pred = fn_.blocks[block].preds[i];
                    connect(pred, block, out_.place_of(values[i], out_.block_end[pred] - 1), to);
                }
            }
        }
    }

    void connect(BlockId pred, BlockId block, const Place& from, const Place& to) {
        if (from == to || to.kind == Place::Kind::Const) {
            return;
        }
        if (fn_[fn_.blocks[pred].last].kind == Kind::Jump) {
            out_.edges[pred].push_back({out_.block_end[pred], from, to});
        } else {
            out_.entries[block].push_back({out_.block_begin[block], from, to});
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
    Vec<BlockId> order_{}; // of positions; machine code has another one
    Vec<Fixed> fixed_{};
    Vec<std::uint8_t> hint_reg_{};
    Vec<ValueId> hint_phi_{};
    Vec<RawUse> raw_{};
    Vec<std::uint32_t> use_begin_{};
    Vec<Use> uses_{};
    Vec<Range> ranges_{};
    Vec<Interval> intervals_{};
    Vec<std::uint32_t> first_piece_{}; // by node
    Vec<BlockId> blocks_{};
    Vec<ValueId> stamp_{};
    Vec<Position> live_end_{};
    Vec<std::pair<std::uint32_t, std::uint32_t>> live_begin_{}; // into live_blocks_
    Vec<BlockId> live_blocks_{};
    Vec<Entry> whole_{}; // by begin
    std::size_t next_whole_ = 0;
    Queue<Entry> pieces_{};
    Queue<Entry> inactive_{};
    Vec<std::uint32_t> active_{};
    Position first_end_ = kEnd; // of a range of those, or before
    std::array<Position, kMachineRegs> home_until_{};
    std::uint32_t allowed_ = 0;
};

} // namespace

Place Allocation::place_of(ValueId value, Position at) const {
    if (split_of[value] == kWhole) {
        return whole[value];
    }
    for (const Piece& piece : split[split_of[value]]) {
        if (at < piece.end) {
            return piece.place;
        }
    }
    return split[split_of[value]].back().place;
}

Place Allocation::made_in(ValueId value) const {
    return whole[value];
}

Allocation allocate(Function& fn, const Cpu& cpu) {
    return Allocator(fn, cpu).run();
}

} // namespace ebpfvm::jit::opt
