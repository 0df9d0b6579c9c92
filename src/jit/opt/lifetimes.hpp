// When values live: what the linear scan gives registers to.
#pragma once

#include "jit/opt/allocate.hpp"
#include "jit/opt/target.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {

inline constexpr Position kNever = ~Position{0};
inline constexpr unsigned kNoReg = kMachineRegs;

/// A piece of a value's lifetime, in one place.
struct Interval {
    ValueId value = 0;
    Position from = 0;
    Position to = 0;
    std::uint32_t first_range = 0; ///< into Lifetimes::ranges; clipped by from and to
    std::uint32_t last_range = 0;  ///< the same: no holes
    std::uint32_t first_use = 0;
    std::uint32_t last_use = 0; ///< 0: not loaded
    std::uint8_t reg = kNoReg;
    bool is_split = false;  ///< not the first piece
    std::uint32_t next = 0; ///< piece
};

/// All values of a function that need a place. Each has one interval until it is split.
struct Lifetimes {
    /// Without a hole.
    struct Range {
        Position from;
        Position to; ///< exclusive
    };

    struct Use {
        Position at;
        bool needs_reg;
    };

    /// As it is found.
    struct RawUse {
        std::uint32_t next; ///< of the same value; 0: none
        Position at;        ///< or kBlockEnd
        BlockId block;
        bool needs_reg;
    };
    static constexpr Position kBlockEnd = kNever; // positions of blocks come last

    /// Where insns clobber these registers, as bits; ascending. There are few kinds of such insns.
    struct Fixed {
        std::uint32_t regs;
        Vec<Position> places;
        std::size_t next = 0; ///< place that the scan has not passed
    };
    /// What is known of a value besides its interval.
    struct Value {
        std::uint32_t first_use = 0; ///< into raw_uses; 0: none
        std::uint32_t piece = 0;     ///< the first; 0: it needs no register
        ValueId hint_phi = 0;        ///< that it goes to
        std::uint8_t hint_reg = kNoReg;
    };

    explicit Lifetimes(const Allocation& result) : allocation(result) {}

    /// The insn that the position belongs to.
    [[nodiscard]] static Position insn_at(Position at) { return at & ~(kStep - 1); }
    [[nodiscard]] Position place_of(const RawUse& use) const {
        return use.at != kBlockEnd ? use.at : allocation.block_end[use.block] - 1;
    }

    [[nodiscard]] bool covers(const Interval& interval, Position at) const {
        if (at < interval.from || at >= interval.to) {
            return false;
        }
        return range_at(interval, at).from <= at;
    }
    /// The first range that ends behind `at`, which is before the interval's end.
    [[nodiscard]] Range range_at(const Interval& interval, Position at) const {
        if (interval.first_range == interval.last_range) {
            return {interval.from, interval.to};
        }
        const auto begin = ranges.begin() + interval.first_range;
        if (begin->to > at) {
            return *begin;
        }
        const auto end = ranges.begin() + interval.last_range;
        return *std::partition_point(begin, end, [at](const Range& r) { return r.to <= at; });
    }
    /// Where it is live again, at or behind `at`.
    [[nodiscard]] Position next_begin(const Interval& interval, Position at) const {
        return std::max(at, range_at(interval, at).from);
    }
    [[nodiscard]] Position next_reg_use(Interval& interval, Position at) {
        load_uses(interval);
        const auto begin = loaded_uses.begin() + interval.first_use;
        const auto end = loaded_uses.begin() + interval.last_use;
        auto use = std::partition_point(begin, end, [at](const Use& u) { return u.at < at; });
        for (; use != end && use->at < interval.to; ++use) {
            if (use->needs_reg) {
                return use->at;
            }
        }
        return kNever;
    }
    /// Where both are live; kNever: nowhere.
    [[nodiscard]] Position first_common(const Interval& a, const Interval& b) const;
    /// The first place at which the interval is live, of those that the scan has not passed.
    [[nodiscard]] Position first_of(const Fixed& clobbers, const Interval& interval) const {
        auto at = clobbers.places.begin() + std::ptrdiff_t(clobbers.next);
        while (at != clobbers.places.end() && *at < interval.to) {
            const Position begin = next_begin(interval, *at);
            if (begin == *at) {
                return *at;
            }
            at = std::lower_bound(at, clobbers.places.end(), begin);
        }
        return kNever;
    }

    /// The part from `at` on, which is behind the begin, becomes a piece of its own; the rest keeps
    /// what it has.
    std::uint32_t split(std::uint32_t index, Position at);

    const Allocation& allocation; ///< has positions of blocks
    Vec<BlockId> order{};         ///< of positions; machine code has another one
    Vec<Fixed> fixed{};
    Vec<Value> values{};    ///< by node
    Vec<RawUse> raw_uses{}; ///< from 1 on
    Vec<Use> loaded_uses{};
    Vec<Range> ranges{};
    Vec<Interval> intervals{}; ///< from 1 on: whole ones as they begin, then pieces split off
    std::size_t whole_count = 0;

  private:
    // Most intervals get a register without anyone asking for their uses.
    void load_uses(Interval& interval) {
        if (interval.last_use == 0) {
            load_raw_uses(interval);
        }
    }
    void load_raw_uses(Interval& interval);
};

/// Sets positions and params of `allocation`, places of constants, and whether it has calls and
/// uses its frame.
[[nodiscard]] Lifetimes find_lifetimes(const Function& fn, const Cpu& cpu, Allocation& allocation);

/// Cheaper to make again than to load.
[[nodiscard]] inline bool is_remade(const Function& fn, ValueId value) {
    return fn[value].kind == Kind::Const || fn[value].kind == Kind::Frame;
}

} // namespace ebpfvm::jit::opt
