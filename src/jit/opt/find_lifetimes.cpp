// Orders blocks, gives positions to nodes, and finds out where their values live.
#include "jit/opt/lifetimes.hpp"

#include <ranges>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

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

class LifetimeFinder {
  public:
    LifetimeFinder(const Function& fn, const Cpu& cpu, Allocation& out)
        : fn_(fn), cpu_(cpu), out_(out), lifetimes_(out) {}

    Lifetimes run() {
        find_order();
        collect();
        build_intervals();
        return std::move(lifetimes_);
    }

  private:
    // Lifetimes begin where values are made: blocks come behind those that dominate them. One that
    // has to wait comes at the end of its loop, so that it is in nobody's way.
    void find_order() {
        Vec<std::uint8_t> is_placed(fn_.blocks.size(), false);
        // By the block that dominates: the latest that waits for it; by that: the one before.
        Vec<BlockId> waiting(fn_.blocks.size(), kNoBlock);
        Vec<BlockId> waits_with(fn_.blocks.size(), kNoBlock);
        Vec<BlockId> ready; // those that waited for a block which has come
        lifetimes_.order.reserve(fn_.layout.size());
        const auto place = [&](BlockId id) {
            is_placed[id] = true;
            lifetimes_.order.push_back(id);
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

    // Positions, values and what reads them. From the end to the begin, so that the first use of a
    // value is noted last. A hint that is there already is from further behind, and stays.
    void collect() {
        const std::size_t nodes = fn_.nodes.size();
        out_.block_begin.resize(fn_.blocks.size());
        out_.block_end.resize(fn_.blocks.size());
        out_.places.resize(nodes);
        lifetimes_.values.resize(nodes);
        made_.reserve(nodes);
        lifetimes_.raw_uses.reserve(nodes);
        lifetimes_.raw_uses.emplace_back();
        Position at = kStep * Position(nodes + fn_.blocks.size()); // more than enough
        ranks_.resize(fn_.blocks.size());
        for (auto rank = std::uint32_t(lifetimes_.order.size()); rank-- > 0;) {
            const BlockId block = lifetimes_.order[rank];
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
        for (Lifetimes::Fixed& fixed : lifetimes_.fixed) {
            std::ranges::reverse(fixed.places);
        }
    }

    void collect_phi(ValueId id) {
        const Node& node = fn_[id];
        const auto values = fn_.list(node);
        for (std::size_t i = 0; i < values.size(); ++i) {
            add_use(values[i], {0, Lifetimes::kBlockEnd, fn_.blocks[node.block].preds[i], false});
            if (is_allocated(values[i])) {
                hint_phi(values[i], id);
            }
        }
    }

    void collect_insn(ValueId id, Position at, std::uint32_t home) {
        const Node& node = fn_[id];
        if (is_param(fn_, node)) {
            hint_reg(id, param_reg(fn_, node));
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

    void add_use(ValueId value, const Lifetimes::RawUse& use) {
        if (is_allocated(value)) {
            lifetimes_.raw_uses.push_back(use);
            lifetimes_.raw_uses.back().next = std::exchange(
                lifetimes_.values[value].first_use, std::uint32_t(lifetimes_.raw_uses.size() - 1));
        } else if (value != 0) {
            out_.places[value] = {Place::Kind::Const, value};
            out_.uses_frame |= fn_[value].kind == Kind::Frame;
        }
    }

    void hint_reg(ValueId value, std::uint8_t reg) {
        std::uint8_t& hint = lifetimes_.values[value].hint_reg;
        hint = hint == kNoReg ? reg : hint;
    }

    void clobber(std::uint32_t regs, Position at) {
        const auto found = std::ranges::find(lifetimes_.fixed, regs, &Lifetimes::Fixed::regs);
        Lifetimes::Fixed& fixed = found != lifetimes_.fixed.end()
                                      ? *found
                                      : lifetimes_.fixed.emplace_back(Lifetimes::Fixed{regs, {}});
        fixed.places.push_back(at);
    }

    // The phi of the innermost loop is the one to save a move for.
    void hint_phi(ValueId value, ValueId phi) {
        ValueId& hint = lifetimes_.values[value].hint_phi;
        if (hint == 0 ||
            fn_.blocks[fn_[hint].block].loop_depth <= fn_.blocks[fn_[phi].block].loop_depth) {
            hint = phi;
        }
    }

    void build_intervals() {
        lifetimes_.whole_count = made_.size();
        lifetimes_.intervals.reserve(made_.size() + made_.size() / 8 + 1);
        lifetimes_.ranges.reserve(made_.size());
        lifetimes_.intervals.push_back({});
        reached_.resize(fn_.blocks.size());
        blocks_.resize(fn_.blocks.size());
        for (const Made& made : std::views::reverse(made_)) {
            build_interval(made);
        }
    }

    // In the order of their begins.
    void build_interval(const Made& made) {
        const ValueId id = made.value;
        const BlockId home = lifetimes_.order[made.home];
        lifetimes_.values[id].piece = std::uint32_t(lifetimes_.intervals.size());
        Interval& interval = lifetimes_.intervals.emplace_back();
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
        for (std::uint32_t i = lifetimes_.values[id].first_use; i != 0;
             i = lifetimes_.raw_uses[i].next) {
            reach(lifetimes_.raw_uses[i].block, lifetimes_.place_of(lifetimes_.raw_uses[i]) + 1);
        }
        for (std::size_t i = 0; i < count; ++i) {
            for (const BlockId pred : fn_.blocks[blocks_[i]].preds) {
                reach(pred, out_.block_end[pred]);
            }
        }
        interval.to = home_to;
        if (count != 0) {
            interval.first_range = std::uint32_t(lifetimes_.ranges.size());
            lifetimes_.ranges.push_back({interval.from, home_to});
            add_ranges(id, std::span(blocks_).first(count),
                       std::span(lifetimes_.order).subspan(made.home + 1, last - made.home));
            interval.last_range = std::uint32_t(lifetimes_.ranges.size());
            interval.to = lifetimes_.ranges.back().to;
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
        const Lifetimes::Range range{out_.block_begin[block], reached_[block].end};
        if (lifetimes_.ranges.back().to == range.from) {
            lifetimes_.ranges.back().to = range.to;
        } else {
            lifetimes_.ranges.push_back(range);
        }
    }

    const Function& fn_;
    const Cpu& cpu_;
    Allocation& out_;
    Lifetimes lifetimes_;
    Vec<std::uint32_t> ranks_{}; // by block: where it is in the order
    Vec<Made> made_{};           // the last first
    Vec<BlockId> blocks_{};      // those that a value lives in besides its own
    Vec<Reached> reached_{};     // by block
};

} // namespace

Lifetimes find_lifetimes(const Function& fn, const Cpu& cpu, Allocation& allocation) {
    return LifetimeFinder(fn, cpu, allocation).run();
}

} // namespace ebpfvm::jit::opt
