// Jump threading: null tests behind inlined lookups, and conditions that were tested before.
#include "jit/opt/conditions.hpp"
#include "jit/opt/passes.hpp"

#include <algorithm>
#include <bit>
#include <optional>

namespace ebpfvm::jit::opt {
namespace {

class Threader {
  public:
    explicit Threader(Function& fn) : fn_(fn) {}

    bool run() {
        is_touched_.assign(fn_.blocks.size(), false);
        is_candidate_.assign(fn_.blocks.size(), false);
        count_tests();
        bool changed = false;
        bool has_candidates = false;
        for (const BlockId block : fn_.layout) {
            changed |= settle(block);
            is_candidate_[block] = could_thread(block) && knows_a_way(block);
            has_candidates |= is_candidate_[block] != 0;
        }
        if (has_candidates) {
            find_uses();
            changed |= thread_all();
        }
        return changed;
    }

  private:
    static constexpr unsigned kMaxSteps = 16;

    // A phi is used at the end of the predecessor that it takes a value from.
    struct Use {
        BlockId block;
        BlockId phi_block;  // kNoBlock: not by a phi
        std::uint32_t next; // of the same value, into uses_; 0: none
    };

    // Most branches test what no other one does.
    void count_tests() {
        tests_.assign(std::bit_ceil(4 * fn_.layout.size()), 0);
        for (const BlockId block : fn_.layout) {
            if (const Node& end = fn_[fn_.blocks[block].last]; end.kind == Kind::Branch) {
                std::uint8_t& tests = tests_of(end);
                tests = std::uint8_t(std::min(tests + 1, 2));
            }
        }
    }
    // How many branches test the same values, counted up to 2; some that test others may be among
    // them.
    [[nodiscard]] std::uint8_t& tests_of(const Node& branch) {
        const std::uint32_t hash = branch.args[0] * 0x9e37'79b1 + branch.args[1] * 0x85eb'ca77;
        return tests_[(hash >> 8) & (tests_.size() - 1)];
    }

    bool thread_all() {
        bool changed = false;
        for (const BlockId block : fn_.layout) {
            for (std::size_t i = 0; i < fn_.blocks[block].preds.size();) {
                if (!thread(block, i)) {
                    ++i;
                } else {
                    changed = true;
                }
            }
        }
        return changed;
    }

    // Nothing but phis and a branch, and several ways there.
    [[nodiscard]] bool could_thread(BlockId block) const {
        if (block == 0 || fn_.blocks[block].preds.size() < 2) {
            return false;
        }
        ValueId id = fn_.blocks[block].first;
        while (fn_[id].kind == Kind::Phi) {
            id = fn_[id].next;
        }
        return fn_[id].kind == Kind::Branch;
    }

    bool knows_a_way(BlockId block) {
        const std::size_t count = fn_.blocks[block].preds.size();
        for (std::size_t i = 0; i < count; ++i) {
            if (decide(block, i)) {
                return true;
            }
        }
        return false;
    }

    void find_uses() {
        first_use_.assign(fn_.nodes.size(), 0);
        uses_.resize(1);
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                const bool is_phi = fn_[id].kind == Kind::Phi;
                std::size_t i = 0;
                each_arg(fn_, fn_[id], [&](ValueId& arg) {
                    if (fn_[arg].kind == Kind::Phi && is_candidate_[fn_[arg].block] != 0) {
                        uses_.push_back({is_phi ? fn_.blocks[block].preds[i] : block,
                                         is_phi ? block : kNoBlock, first_use_[arg]});
                        first_use_[arg] = std::uint32_t(uses_.size() - 1);
                    }
                    ++i;
                });
            }
        }
    }

    // A branch whose outcome is known wherever control comes from.
    bool settle(BlockId block) {
        Node& end = fn_[fn_.blocks[block].last];
        if (end.kind != Kind::Branch || fn_.is_const(end.args[0]) || tests_of(end) < 2) {
            return false;
        }
        const auto outcome = outcome_above(block, end);
        if (outcome) {
            set_outcome(fn_, fn_.blocks[block].last, *outcome);
        }
        return outcome.has_value();
    }

    // Makes the edge from the i-th predecessor lead where the branch goes from there.
    bool thread(BlockId block, std::size_t i) {
        if (is_touched_[block] != 0 || is_candidate_[block] == 0 ||
            fn_.blocks[block].preds.size() < 2) {
            return false;
        }
        const BlockId pred = fn_.blocks[block].preds[i];
        const auto outcome = decide(block, i);
        if (!outcome) {
            return false;
        }
        const BlockId target = fn_.blocks[block].succs[*outcome ? 0 : 1];
        const BlockId other = fn_.blocks[block].succs[*outcome ? 1 : 0];
        const auto& succs = fn_.blocks[pred].succs;
        if (target == block || other == block || is_touched_[target] != 0 ||
            is_touched_[other] != 0 || std::ranges::find(succs, target) != succs.end() ||
            !may_lose(block, target, other)) {
            return false;
        }
        redirect(block, i, target);
        return true;
    }

    // Are values of `block` used where they still are known then?
    bool may_lose(BlockId block, BlockId target, BlockId other) {
        const bool owns_other = fn_.blocks[other].preds.size() == 1;
        for (ValueId id = fn_.blocks[block].first; fn_[id].kind == Kind::Phi; id = fn_[id].next) {
            for (std::uint32_t at = first_use_[id]; at != 0; at = uses_[at].next) {
                const Use& use = uses_[at];
                const bool is_own =
                    use.block == block && (use.phi_block == kNoBlock || use.phi_block == target ||
                                           use.phi_block == other);
                if (!is_own && !(owns_other && fn_.dominates(other, use.block))) {
                    return false;
                }
            }
        }
        return true;
    }

    [[nodiscard]] ValueId seen_from(ValueId value, BlockId block, std::size_t i) {
        const Node& node = fn_[value];
        return node.kind == Kind::Phi && node.block == block ? fn_.list(node)[i] : value;
    }

    std::optional<bool> decide(BlockId block, std::size_t i) {
        const Node& end = fn_[fn_.blocks[block].last];
        const ValueId a = seen_from(end.args[0], block, i);
        const ValueId b = seen_from(end.args[1], block, i);
        if (fn_.is_const(a) && fn_.is_const(b)) {
            return holds(end.cond, end.width, fn_.value_of(a), fn_.value_of(b));
        }
        const BlockId pred = fn_.blocks[block].preds[i];
        Node wanted = end;
        wanted.args = {a, b, 0, 0};
        if (tests_of(wanted) == 0) {
            return std::nullopt;
        }
        if (const auto known = outcome_on_edge(pred, block, wanted)) {
            return known;
        }
        return outcome_above(pred, wanted);
    }

    // What `wanted` is in the block, because of the branches that lead there.
    std::optional<bool> outcome_above(BlockId at, const Node& wanted) {
        for (unsigned step = 0; step < kMaxSteps && at != 0 && is_touched_[at] == 0; ++step) {
            const BlockId idom = fn_.blocks[at].idom;
            if (fn_.blocks[at].preds.size() == 1) {
                if (const auto known = outcome_on_edge(idom, at, wanted)) {
                    return known;
                }
            }
            at = idom;
        }
        return std::nullopt;
    }

    // What `wanted` is behind the edge, if the branch there tests the same.
    [[nodiscard]] std::optional<bool> outcome_on_edge(BlockId from, BlockId to,
                                                      const Node& wanted) const {
        const Node& end = fn_[fn_.blocks[from].last];
        if (end.kind != Kind::Branch || end.width != wanted.width || !has_same_args(end, wanted) ||
            (end.cond != wanted.cond && end.cond != negate(wanted.cond))) {
            return std::nullopt;
        }
        const bool is_taken = fn_.blocks[from].succs[0] == to;
        return (end.cond == wanted.cond) == is_taken;
    }

    void redirect(BlockId block, std::size_t i, BlockId target) {
        is_touched_[block] = is_touched_[target] = 1;
        const BlockId pred = fn_.blocks[block].preds[i];
        const auto& preds = fn_.blocks[target].preds;
        const auto from_block = std::size_t(std::ranges::find(preds, block) - preds.begin());
        Vec<ValueId> values;
        for (ValueId id = fn_.blocks[target].first; fn_[id].kind == Kind::Phi; id = fn_[id].next) {
            const auto list = fn_.list(fn_[id]);
            values.assign(list.begin(), list.end());
            values.push_back(seen_from(values[from_block], block, i));
            fn_.set_list(fn_[id], values);
        }
        fn_.blocks[target].preds.push_back(pred);
        std::ranges::replace(fn_.blocks[pred].succs, block, target);
        fn_.remove_pred(block, i);
    }

    Function& fn_;
    Vec<std::uint32_t> first_use_{}; // by value: into uses_; 0: none
    Vec<Use> uses_{};
    Vec<std::uint8_t> tests_{}; // see tests_of()
    Vec<std::uint8_t> is_touched_{};
    Vec<std::uint8_t> is_candidate_{};
};

} // namespace

bool thread_jumps(Function& fn) {
    find_loops(fn);
    return Threader(fn).run();
}

} // namespace ebpfvm::jit::opt
