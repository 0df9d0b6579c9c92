// Value numbering over the dominator tree, dead code, constant branches.
#include "jit/opt/conditions.hpp"
#include "jit/opt/known_bits.hpp"
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"
#include "jit/opt/value_table.hpp"

#include <algorithm>
#include <ranges>
#include <span>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

class Cleaner {
  public:
    explicit Cleaner(Function& fn) : fn_(fn) {}

    void run() {
        find_loops(fn_);
        ++fn_.rounds;
        find_bits();
        // Values come before what is made of them, but for phis: one of a loop may turn out to be
        // a single value, and then what was made of it has to be looked at once more. So have
        // branches that lead elsewhere, and values that were made on the way.
        constexpr int kRounds = 8;
        bool again = true;
        for (int round = 0; round < kRounds && again; ++round) {
            changed_ = false;
            const std::size_t known = fn_.nodes.size();
            simplify_all();
            bool promises = resolve_phis() || has_new(known);
            promises |= change_graph();
            find_loops(fn_);
            again = changed_ && promises;
            ++fn_.rounds;
        }
        if (again) {
            fn_.resolve_all();
        }
        remove_dead();
    }

    // What changes of the graph alone ask for.
    void tidy() {
        ++fn_.rounds;
        bool has_replaced = false;
        std::ranges::for_each(fn_.layout, [this](BlockId block) { look_at_end(block); });
        do {
            (void)prune();
            changed_ = false;
            for (const BlockId block : fn_.layout) {
                for (ValueId id = fn_.blocks[block].first; fn_[id].kind == Kind::Phi;) {
                    const ValueId next = fn_[id].next;
                    simplify_one(id);
                    id = next;
                }
                const ValueId last = fn_.blocks[block].last;
                if (fn_[last].kind == Kind::Branch) {
                    simplify_one(last);
                }
                look_at_end(block);
            }
            has_replaced |= changed_;
        } while (changed_ || !settled_.empty());
        merge_blocks();
        if (has_replaced || has_replaced_) {
            fn_.resolve_all();
        }
    }

  private:
    // Which phis hold 32 bits: all that follow from that, as far as it holds.
    void find_bits() {
        struct Phi {
            ValueId id;
            std::uint8_t bits; // before
        };
        Vec<Phi> phis;
        bool has_new = false;
        std::size_t first = 0; // block with phis
        for (std::size_t i = fn_.order.size(); i-- > 0;) {
            for (ValueId id = fn_.blocks[fn_.order[i]].first; id != 0 && fn_[id].kind == Kind::Phi;
                 id = fn_[id].next) {
                phis.push_back({id, fn_[id].bits});
                has_new |= id >= fn_.known_bits;
                first = i;
            }
        }
        fn_.known_bits = ValueId(fn_.nodes.size());
        if (!has_new) {
            return;
        }
        const auto widen_all = [&](auto is_wide) {
            bool changed = false;
            for (const Phi& phi : phis) {
                if (fn_[phi.id].bits <= 32 && is_wide(phi.id)) {
                    fn_[phi.id].bits = 64;
                    changed = true;
                }
            }
            return changed;
        };
        for (const Phi& phi : phis) {
            fn_[phi.id].bits = 32;
        }
        while (widen_all([this](ValueId phi) { return is_wide_anyway(phi); })) {
        }
        do {
            update_bits(std::span(fn_.order).subspan(first));
        } while (widen_all([this](ValueId phi) { return bits_of(fn_, fn_[phi]) > 32; }));
        for (const Phi& phi : phis) {
            if (fn_[phi.id].bits != phi.bits) {
                fn_[phi.id].changed_in = fn_.rounds;
            }
        }
    }
    // Whatever follows for values that are made of phis: most of those that are wide, without a
    // look at all nodes.
    [[nodiscard]] bool is_wide_anyway(ValueId phi) const {
        return std::ranges::any_of(fn_.list(fn_[phi]), [this](ValueId value) {
            const Node& node = fn_[value];
            const auto is_phi = [&](unsigned i) { return fn_[node.args[i]].kind == Kind::Phi; };
            switch (node.kind) {
            case Kind::Add:
            case Kind::Mul:
                return node.width == Width::W64 && (is_phi(0) || is_phi(1));
            case Kind::Phi:
            case Kind::Const:
            case Kind::Param:
            case Kind::Frame:
            case Kind::HostCtx:
            case Kind::Load:
            case Kind::CallHelper:
                return node.bits > 32;
            default:
                return false;
            }
        });
    }
    void update_bits(std::span<const BlockId> blocks) {
        for (const BlockId block : blocks) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                Node& node = fn_[id];
                if (node.kind == Kind::Phi) {
                    if (node.bits <= 32 && is_wide_above(id)) {
                        node.bits = 64;
                    }
                } else if (const std::uint8_t bits = bits_of(fn_, node); bits != node.bits) {
                    node.bits = bits;
                    node.changed_in = fn_.rounds;
                }
            }
        }
    }
    // Because of a value that has been seen before it: the others are not known in the first turn.
    [[nodiscard]] bool is_wide_above(ValueId phi) const {
        const Block& block = fn_.blocks[fn_[phi].block];
        const auto values = fn_.list(fn_[phi]);
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (fn_[values[i]].bits > 32 && fn_.blocks[block.preds[i]].rpo < block.rpo) {
                return true;
            }
        }
        return false;
    }
    void simplify_all() {
        table_.clear(fn_.nodes.size());
        for (const BlockId block : fn_.order) {
            for (ValueId id = fn_.blocks[block].first; id != 0;) {
                const ValueId next = fn_[id].next;
                visit(id);
                id = next;
            }
            look_at_end(block);
        }
    }

    // Does it always go one way, or to a block that becomes part of this one?
    void look_at_end(BlockId block) {
        const Node& end = fn_[fn_.blocks[block].last];
        if (end.kind == Kind::Branch && fn_.is_const(end.args[0]) && fn_.is_const(end.args[1])) {
            settled_.push_back(block);
        } else if (end.kind == Kind::Jump) {
            may_merge_ |= fn_.blocks[fn_.blocks[block].succs.front()].preds.size() == 1;
        }
    }

    // Of loops, that is: their values come from below. True if one of them is a single value now.
    bool resolve_phis() {
        if (!fn_.has_cycles) {
            return false;
        }
        bool has_single = false;
        for (const BlockId block : fn_.order) {
            for (ValueId id = fn_.blocks[block].first; id != 0 && fn_[id].kind == Kind::Phi;
                 id = fn_[id].next) {
                has_single |= fn_.single_value(id) != id;
            }
        }
        return has_single;
    }

    // Are there values that have not been compared with others?
    [[nodiscard]] bool has_new(std::size_t known) const {
        return std::any_of(fn_.nodes.begin() + std::ptrdiff_t(known), fn_.nodes.end(),
                           [](const Node& node) { return node.block != kNoBlock; });
    }

    // True if another value takes its place.
    bool simplify_one(ValueId id) {
        if (fn_[id].kind == Kind::Phi) {
            const ValueId value = fn_.single_value(id);
            if (value == id) {
                return false;
            }
            changed_ = true;
            fn_.replace(id, value);
            return true;
        }
        bool is_known = true; // nothing has changed since the last time
        each_arg(fn_, fn_[id], [&](ValueId& arg) {
            arg = fn_.resolve(arg);
            is_known &= fn_[arg].changed_in != fn_.rounds;
        });
        if (!is_simplifiable(fn_[id].kind) || (is_known && fn_[id].settled == hash_of(fn_[id]))) {
            return false;
        }
        const ValueId value = simplify(fn_, id);
        if (value != id) {
            fn_.replace(id, value);
            return true;
        }
        fn_[id].changed_in = fn_.rounds;
        return false;
    }

    void visit(ValueId id) {
        if (simplify_one(id)) {
            return;
        }
        if (fn_[id].kind == Kind::Phi) {
            return unite_phis(id);
        }
        if (!is_pure(fn_[id].kind)) {
            return;
        }
        // Settled: that is its hash.
        ValueId& entry = table_.find(fn_, fn_[id], fn_[id].settled);
        if (entry != 0 && fn_.dominates(fn_[entry].block, fn_[id].block)) {
            fn_.replace(id, entry);
        } else {
            entry = id;
        }
    }

    // Two phis of a block with the same values are one.
    void unite_phis(ValueId id) {
        constexpr unsigned kMaxCompared = 16;
        const auto values = fn_.list(fn_[id]);
        ValueId other = fn_[id].prev;
        for (unsigned i = 0; other != 0 && i < kMaxCompared; ++i, other = fn_[other].prev) {
            if (std::ranges::equal(values, fn_.list(fn_[other]))) {
                fn_.replace(id, other);
                changed_ = true;
                return;
            }
        }
    }

    // True if values may be simpler now.
    bool change_graph() {
        const bool pruned = prune();
        const bool merged = merge_blocks();
        changed_ |= pruned || merged;
        return pruned || has_replaced_;
    }

    // Branches that always go one way.
    bool prune() {
        if (settled_.empty()) {
            return false;
        }
        Vec<std::pair<BlockId, BlockId>> gone;
        for (const BlockId id : settled_) {
            Node& end = fn_[fn_.blocks[id].last];
            const bool is_taken =
                holds(end.cond, end.width, fn_.value_of(end.args[0]), fn_.value_of(end.args[1]));
            gone.emplace_back(id, fn_.blocks[id].succs[is_taken ? 1 : 0]);
            end.kind = Kind::Jump;
            end.args = {};
        }
        settled_.clear();
        may_merge_ = true;
        fn_.remove_edges(gone);
        if (std::ranges::any_of(gone,
                                [this](const auto& edge) { return is_cut_off(edge.second); })) {
            drop_unreachable(fn_);
        }
        return true;
    }
    // Does no block before it lead there?
    [[nodiscard]] bool is_cut_off(BlockId id) const {
        return std::ranges::all_of(fn_.blocks[id].preds, [&](BlockId pred) {
            return fn_.blocks[pred].rpo >= fn_.blocks[id].rpo;
        });
    }

    void remove_dead() {
        Vec<std::uint8_t> is_used(fn_.nodes.size(), 0);
        Vec<ValueId> unused; // by what comes behind them
        Vec<ValueId> again;  // used by phis: perhaps by none of those behind them
        for (const BlockId block : std::views::reverse(fn_.order)) {
            for (ValueId id = fn_.blocks[block].last; id != 0; id = fn_[id].prev) {
                const Node& node = fn_[id];
                if (is_used[id] == 0 && is_removable(node.kind) && !node.is_ordered) {
                    unused.push_back(id);
                    continue;
                }
                each_arg(fn_, fn_[id], [&](ValueId& arg) {
                    if (node.kind == Kind::Phi && is_used[arg] == 0) {
                        again.push_back(arg);
                    }
                    is_used[arg] = 1;
                });
            }
        }
        while (!again.empty()) {
            const ValueId id = again.back();
            again.pop_back();
            each_arg(fn_, fn_[id], [&](ValueId& arg) {
                if (std::exchange(is_used[arg], 1) == 0) {
                    again.push_back(arg);
                }
            });
        }
        for (const ValueId id : unused) {
            if (is_used[id] == 0) {
                fn_.remove(id);
            }
        }
    }

    // A block that is entered from one other alone, which goes nowhere else, becomes part of it.
    bool merge_blocks() {
        has_replaced_ = false;
        if (!std::exchange(may_merge_, false)) {
            return false;
        }
        bool merged = false;
        merged_into_.resize(fn_.blocks.size());
        for (const BlockId id : fn_.layout) {
            if (fn_.blocks[id].first == 0) {
                continue; // part of another one by now
            }
            while (fn_[fn_.blocks[id].last].kind == Kind::Jump) {
                const BlockId next = fn_.blocks[id].succs.front();
                if (next == id || next == 0 || fn_.blocks[next].preds.size() != 1) {
                    break;
                }
                append_block(id, next);
                merged = true;
            }
        }
        if (merged) {
            std::erase_if(fn_.layout, [&](BlockId id) { return fn_.blocks[id].first == 0; });
            if (fn_.has_order) {
                mend_order();
            }
        }
        return merged;
    }

    // Loops and dominators are what they were, but for the names of blocks that were merged.
    void mend_order() {
        std::erase_if(fn_.order, [&](BlockId id) { return fn_.blocks[id].first == 0; });
        for (const BlockId id : fn_.order) {
            BlockId& idom = fn_.blocks[id].idom;
            const BlockId before = idom;
            while (fn_.blocks[idom].first == 0) {
                idom = merged_into_[idom];
            }
            merged_into_[before] = idom; // the next search is shorter
        }
    }

    void append_block(BlockId to, BlockId from) {
        fn_.remove(fn_.blocks[to].last);
        while (fn_[fn_.blocks[from].first].kind == Kind::Phi) {
            const ValueId phi = fn_.blocks[from].first;
            fn_.replace(phi, fn_.resolve(fn_.list(fn_[phi]).front()));
            has_replaced_ = true;
        }
        Block& target = fn_.blocks[to];
        Block& source = fn_.blocks[from];
        for (ValueId id = source.first; id != 0; id = fn_[id].next) {
            fn_[id].block = to;
        }
        fn_[source.first].prev = target.last;
        (target.last != 0 ? fn_[target.last].next : target.first) = source.first;
        target.last = source.last;
        source.first = source.last = 0;
        merged_into_[from] = to;
        target.succs = std::move(source.succs);
        source.succs.clear();
        source.preds.clear();
        for (const BlockId succ : target.succs) {
            std::ranges::replace(fn_.blocks[succ].preds, from, to);
        }
    }

    Function& fn_;
    ValueTable table_{};
    Vec<BlockId> settled_{}; // their branches always go one way
    Vec<BlockId> merged_into_{};
    bool may_merge_ = false; // blocks
    bool changed_ = false;
    bool has_replaced_ = false; // phis, while blocks were merged
};

} // namespace

void clean(Function& fn) {
    Cleaner(fn).run();
}

void tidy(Function& fn) {
    Cleaner(fn).tidy();
}

} // namespace ebpfvm::jit::opt
