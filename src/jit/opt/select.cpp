// If-conversion. What clang makes of a choice between two values at hand is a branch around a move:
// there is no conditional move in BPF.
#include "jit/opt/passes.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {
namespace {

class Selector {
  public:
    explicit Selector(Function& fn) : fn_(fn) {}

    bool run() {
        // Dominators, loops and order of the blocks that remain are what they were.
        const bool had_order = fn_.has_order;
        for (const BlockId block : fn_.layout) {
            while (fn_.blocks[block].last != 0 && convert(block)) {
                changed_ = true;
            }
        }
        if (changed_) {
            const auto is_gone = [&](BlockId id) { return fn_.blocks[id].first == 0; };
            std::erase_if(fn_.layout, is_gone);
            std::erase_if(fn_.order, is_gone);
            fn_.has_order = had_order;
        }
        return changed_;
    }

  private:
    static constexpr unsigned kMaxSelects = 2;

    // A block that does nothing, between `from` and the place where it is joined again. Had clang
    // found it worthwhile to compute something on both ways, it would have done so.
    [[nodiscard]] bool is_side(BlockId block, BlockId from) const {
        const Block& side = fn_.blocks[block];
        return side.preds.size() == 1 && side.preds.front() == from && side.first == side.last &&
               fn_[side.last].kind == Kind::Jump;
    }

    // block -> side -> join, block -> join.
    bool convert(BlockId block) {
        const Node end = fn_[fn_.blocks[block].last];
        if (end.kind != Kind::Branch) {
            return false;
        }
        const auto succs = fn_.blocks[block].succs;
        for (const unsigned k : {0U, 1U}) {
            const BlockId side = succs[k];
            const BlockId join = succs[1 - k];
            if (is_side(side, block) && fn_.blocks[side].succs.front() == join && join != block) {
                return join_values(block, end, k == 0, side, side, join);
            }
        }
        if (is_side(succs[0], block) && is_side(succs[1], block) &&
            fn_.blocks[succs[0]].succs.front() == fn_.blocks[succs[1]].succs.front()) {
            return join_values(block, end, true, succs[0], succs[1],
                               fn_.blocks[succs[0]].succs.front());
        }
        return false;
    }

    [[nodiscard]] std::size_t place_of(BlockId pred, BlockId join) const {
        const auto& preds = fn_.blocks[join].preds;
        return std::size_t(std::ranges::find(preds, pred) - preds.begin());
    }

    // `first` leads to the join if the branch is taken (or not); otherwise `second`, or `block`
    // itself if both are the same.
    bool join_values(BlockId block, const Node& end, bool is_first_taken, BlockId first,
                     BlockId second, BlockId join) {
        const BlockId other = first == second ? block : second;
        const std::size_t at_first = place_of(first, join);
        const std::size_t at_other = place_of(other, join);
        unsigned selects = 0;
        for (ValueId id = fn_.blocks[join].first; fn_[id].kind == Kind::Phi; id = fn_[id].next) {
            const auto values = fn_.list(fn_[id]);
            selects += values[at_first] != values[at_other] ? 1 : 0;
        }
        if (selects == 0 || selects > kMaxSelects) {
            return false;
        }
        for (ValueId id = fn_.blocks[join].first; fn_[id].kind == Kind::Phi; id = fn_[id].next) {
            const auto values = fn_.list(fn_[id]);
            if (values[at_first] == values[at_other]) {
                continue;
            }
            Node select;
            select.kind = Kind::Select;
            select.cond = is_first_taken ? end.cond : negate(end.cond);
            select.width = end.width;
            select.args = {end.args[0], end.args[1], values[at_first], values[at_other]};
            select.slot = end.slot;
            const ValueId made = fn_.insert_before(fn_.blocks[block].last, select);
            fn_.list(fn_[id])[at_other] = made;
        }
        finish(block, first, second, join);
        return true;
    }

    // The only way from `block` is to the join now.
    void finish(BlockId block, BlockId first, BlockId second, BlockId join) {
        const ValueId last = fn_.blocks[block].last;
        fn_[last].kind = Kind::Jump;
        fn_[last].args = {};
        fn_.remove_edge(first, join);
        clear(first);
        if (second != first) {
            const std::size_t at = place_of(second, join);
            fn_.blocks[join].preds[at] = block;
            fn_.blocks[second].succs.clear();
            clear(second);
        }
        fn_.blocks[block].succs = {join};
    }

    void clear(BlockId side) {
        fn_.blocks[side].preds.clear();
        fn_.remove(fn_.blocks[side].last);
    }

    Function& fn_;
    bool changed_ = false;
};

} // namespace

bool select_values(Function& fn) {
    return Selector(fn).run();
}

} // namespace ebpfvm::jit::opt
