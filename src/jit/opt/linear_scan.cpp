#include "jit/opt/linear_scan.hpp"

#include "support/assert.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <ranges>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

constexpr std::uint8_t kPreferred[] = {kRax, kRcx, kRdx, kRsi, kRdi, 8,  9,
                                       10,   kRbx, kRbp, 14,   15,   13, 12};

// A priority queue that can be looked through.
template <class T>
class Queue {
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

// Intervals, by a position.
using IntervalQueue = Queue<std::pair<Position, std::uint32_t>>;

// Active ones are live now; inactive ones are in a hole of their lifetime.
class ActiveIntervals {
  public:
    explicit ActiveIntervals(Lifetimes& lifetimes) : lifetimes_(lifetimes) {}

    // Registers of active ones, as bits.
    [[nodiscard]] std::uint32_t busy() const { return busy_; }
    [[nodiscard]] bool is_busy(unsigned reg) const { return (busy_ >> reg & 1) != 0; }
    // In a register that is busy.
    [[nodiscard]] std::uint32_t in(unsigned reg) const { return active_[reg]; }

    // One that begins now, and has a register.
    void activate(std::uint32_t index) {
        const Interval& interval = lifetimes_.intervals[index];
        occupy(index, std::min(interval.to, lifetimes_.range_at(interval, interval.from).to));
    }
    void free(unsigned reg) { busy_ &= ~(1U << reg); }
    void advance(Position at) {
        if (next_leave_ <= at) {
            next_leave_ = kNever;
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
            const Interval& interval = lifetimes_.intervals[index];
            if (interval.reg == kNoReg || interval.to <= at) {
                continue;
            }
            if (lifetimes_.covers(interval, at)) {
                occupy(index, std::min(interval.to, lifetimes_.range_at(interval, at).to));
            } else {
                inactive_.push({lifetimes_.next_begin(interval, at), index});
            }
        }
    }
    // Values that rest now, but meet this one later: whole values never do, in SSA form.
    template <class F>
    void each_inactive(std::uint32_t index, F f) {
        if (!lifetimes_.intervals[index].is_split) {
            return;
        }
        for (const auto& [begin, other] : inactive_.all()) {
            if (lifetimes_.intervals[other].reg == kNoReg) {
                continue;
            }
            const Position at =
                lifetimes_.first_common(lifetimes_.intervals[index], lifetimes_.intervals[other]);
            if (at != kNever) {
                f(other, at);
            }
        }
    }

  private:
    // The interval's register, by it, up to a hole or its end.
    void occupy(std::uint32_t index, Position until) {
        const unsigned reg = lifetimes_.intervals[index].reg;
        busy_ |= 1U << reg;
        active_[reg] = index;
        until_[reg] = until;
        next_leave_ = std::min(next_leave_, until);
    }
    void leave(unsigned reg, Position at) {
        const Interval& interval = lifetimes_.intervals[active_[reg]];
        if (interval.to > at) {
            const Lifetimes::Range range = lifetimes_.range_at(interval, at);
            if (range.from <= at) {
                occupy(active_[reg], std::min(interval.to, range.to));
                return;
            }
            inactive_.push({range.from, active_[reg]});
        }
        busy_ &= ~(1U << reg);
    }

    Lifetimes& lifetimes_;
    IntervalQueue inactive_{};
    std::uint32_t busy_ = 0;
    std::array<std::uint32_t, kMachineRegs> active_{}; // by register
    std::array<Position, kMachineRegs> until_{};       // how far their ranges go
    Position next_leave_ = kNever;                     // none of those is less
};

class LinearScan {
  public:
    LinearScan(const Function& fn, Lifetimes& lifetimes, Allocation& out)
        : fn_(fn), lifetimes_(lifetimes), out_(out), active_(lifetimes) {}

    void run() {
        allowed_ = 0;
        for (const unsigned reg : kPreferred) {
            allowed_ |= 1U << reg;
        }
        if (fn_.anchor != Anchor::None) {
            allowed_ &= ~(1U << kAnchorReg);
        }
        for (std::uint32_t current = next(); current != 0; current = next()) {
            pass(lifetimes_.intervals[current].from);
            if (!try_free_reg(current)) {
                take_reg(current);
            }
            if (lifetimes_.intervals[current].reg != kNoReg) {
                out_.used_regs |= 1U << lifetimes_.intervals[current].reg;
                note_home(lifetimes_.intervals[current]);
                active_.activate(current);
            }
        }
    }

  private:
    using Free = std::array<Position, kMachineRegs>;

    // The one that begins first, or 0: of all values, and of pieces of those that were split.
    std::uint32_t next() {
        const bool has_whole = next_whole_ <= lifetimes_.whole_count;
        if (!pieces_.empty() &&
            (!has_whole || pieces_.top().first < lifetimes_.intervals[next_whole_].from)) {
            const std::uint32_t index = pieces_.top().second;
            pieces_.pop();
            return index;
        }
        return has_whole ? next_whole_++ : 0;
    }
    void push(std::uint32_t index) { pieces_.push({lifetimes_.intervals[index].from, index}); }
    void pass(Position at) {
        active_.advance(at);
        for (Lifetimes::Fixed& fixed : lifetimes_.fixed) {
            while (fixed.next < fixed.places.size() && fixed.places[fixed.next] < at) {
                ++fixed.next;
            }
        }
    }

    // Registers that are free.

    bool try_free_reg(std::uint32_t index) {
        Interval& current = lifetimes_.intervals[index];
        if (!current.is_split) { // it meets none of those that rest
            const std::uint32_t free = allowed_ & ~active_.busy() & ~clobbered_in(current);
            if (free != 0) {
                current.reg = std::uint8_t(choose(index, free));
                return true;
            }
        }
        return try_free_for_a_while(index);
    }

    bool try_free_for_a_while(std::uint32_t index) {
        const Interval& current = lifetimes_.intervals[index];
        Free free_until = first_fixed(current);
        for (unsigned reg = 0; reg < kMachineRegs; ++reg) {
            if (active_.is_busy(reg)) {
                free_until[reg] = 0;
            }
        }
        active_.each_inactive(index, [&](std::uint32_t other, Position at) {
            Position& until = free_until[lifetimes_.intervals[other].reg];
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
            const Position at = Lifetimes::insn_at(until);
            if (at <= current.from) {
                return false;
            }
            const unsigned reg = first_choice(best, current.from);
            push(lifetimes_.split(index, at));
            lifetimes_.intervals[index].reg = std::uint8_t(reg);
        } else {
            lifetimes_.intervals[index].reg = std::uint8_t(choose(index, best));
        }
        return true;
    }

    // Where each register is clobbered while the interval is live.
    [[nodiscard]] Free first_fixed(const Interval& interval) const {
        Free first;
        first.fill(kNever);
        for (const Lifetimes::Fixed& fixed : lifetimes_.fixed) {
            const Position at = lifetimes_.first_of(fixed, interval);
            for (std::uint32_t regs = at != kNever ? fixed.regs : 0; regs != 0; regs &= regs - 1) {
                Position& earliest = first[std::size_t(std::countr_zero(regs))];
                earliest = std::min(earliest, at);
            }
        }
        return first;
    }

    // Registers that are clobbered while it is live, as bits.
    [[nodiscard]] std::uint32_t clobbered_in(const Interval& interval) const {
        std::uint32_t regs = 0;
        for (const Lifetimes::Fixed& fixed : lifetimes_.fixed) {
            regs |= lifetimes_.first_of(fixed, interval) != kNever ? fixed.regs : 0;
        }
        return regs;
    }

    // One of these registers, which are free for as long as the interval lives.
    [[nodiscard]] unsigned choose(std::uint32_t index, std::uint32_t free) const {
        const unsigned hint = free_hint(lifetimes_.intervals[index], free);
        return hint != kNoReg ? hint : first_choice(free, lifetimes_.intervals[index].from);
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

    // The first of these registers that saves a move, if there is one.
    [[nodiscard]] unsigned free_hint(const Interval& current, std::uint32_t free) const {
        const auto is_free = [free](unsigned reg) { return (free >> reg & 1) != 0; };
        const ValueId value = current.value;
        if (current.is_split && is_free(reg_of(value))) {
            return reg_of(value);
        }
        // Where the phi that it goes to is, or the one behind that.
        ValueId phi = lifetimes_.values[value].hint_phi;
        for (int steps = 0; phi != 0 && steps < 3; ++steps, phi = lifetimes_.values[phi].hint_phi) {
            if (reg_of(phi) != kNoReg) {
                if (is_free(reg_of(phi))) {
                    return reg_of(phi);
                }
                break;
            }
        }
        if (is_free(lifetimes_.values[value].hint_reg)) {
            return lifetimes_.values[value].hint_reg;
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

    [[nodiscard]] unsigned reg_of(ValueId value) const {
        return lifetimes_.intervals[lifetimes_.values[value].piece].reg; // [0] has none
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

    // Registers that another interval has to give up.

    // Takes a register from whoever needs it last, or none if that is this one.
    void take_reg(std::uint32_t index) {
        Free use_at;
        use_at.fill(kNever);
        const Position from = lifetimes_.intervals[index].from;
        for (std::uint32_t regs = active_.busy(); regs != 0; regs &= regs - 1) {
            const auto reg = unsigned(std::countr_zero(regs));
            use_at[reg] = lifetimes_.next_reg_use(lifetimes_.intervals[active_.in(reg)], from);
        }
        active_.each_inactive(index, [&](std::uint32_t other, Position) {
            Position& at = use_at[lifetimes_.intervals[other].reg];
            at = std::min(at, lifetimes_.next_reg_use(lifetimes_.intervals[other], from));
        });
        const Free fixed = first_fixed(lifetimes_.intervals[index]);
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
        const Position first_use = lifetimes_.next_reg_use(lifetimes_.intervals[index], from);
        if (first_use > std::min(use_at[best], best_fixed) || first_use == kNever) {
            spill(index);
            return;
        }
        lifetimes_.intervals[index].reg = std::uint8_t(best);
        if (best_fixed < lifetimes_.intervals[index].to) {
            if (Lifetimes::insn_at(best_fixed) > from) {
                push(lifetimes_.split(index, Lifetimes::insn_at(best_fixed)));
            } else {
                spill(lifetimes_.split(index, best_fixed));
            }
        }
        evict(index, best);
    }

    void evict(std::uint32_t index, unsigned reg) {
        const Position from = lifetimes_.intervals[index].from;
        if (active_.is_busy(reg)) {
            active_.free(reg);
            spill_from(active_.in(reg), from);
        }
        Vec<std::uint32_t> others;
        active_.each_inactive(index, [&](std::uint32_t other, Position) {
            if (lifetimes_.intervals[other].reg == reg) {
                others.push_back(other);
            }
        });
        for (const std::uint32_t other : others) { // in a hole: nothing happens before its end
            push(lifetimes_.split(other, from));
        }
    }

    void spill_from(std::uint32_t index, Position at) {
        if (lifetimes_.intervals[index].from == at) {
            lifetimes_.intervals[index].reg = kNoReg;
            spill(index);
        } else {
            spill(lifetimes_.split(index, at));
        }
    }

    // The whole piece lives in its slot until a register is needed.
    void spill(std::uint32_t index) {
        Interval& interval = lifetimes_.intervals[index];
        const ValueId value = interval.value;
        if (!is_remade(fn_, value) && !out_.is_stored(value)) {
            out_.slots_of.resize(fn_.nodes.size(), Allocation::kNoSlot);
            out_.slots_of[value] = out_.slots++;
        }
        const Position use = lifetimes_.next_reg_use(interval, interval.from);
        if (use != kNever) {
            const Position at = Lifetimes::insn_at(use);
            if (at > interval.from) {
                push(lifetimes_.split(index, at));
            } else {
                EBPFVM_ASSERT(false); // takes a register where it is needed at once
            }
        }
    }

    const Function& fn_;
    Lifetimes& lifetimes_;
    Allocation& out_;
    ActiveIntervals active_;
    std::uint32_t next_whole_ = 1; // of the intervals that are not split off
    IntervalQueue pieces_{};
    std::array<Position, kMachineRegs> home_until_{};
    std::uint32_t allowed_ = 0;
};

} // namespace

void scan(const Function& fn, Lifetimes& lifetimes, Allocation& allocation) {
    LinearScan(fn, lifetimes, allocation).run();
}

} // namespace ebpfvm::jit::opt
