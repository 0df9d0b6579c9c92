// Order, dominators and loops. Dominators: Cooper, Harvey and Kennedy, "A simple, fast dominance
// algorithm", 2001.
#include "jit/opt/ir.hpp"

#include <algorithm>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

class LoopFinder {
  public:
    explicit LoopFinder(Function& fn) : fn_(fn), order_(fn.order) {}

    void run() {
        find_order();
        drop_unreachable();
        find_dominators();
        fn_.has_cycles = !back_edges_.empty();
        number_tree();
        if (!is_reducible()) {
            improve_dominators();
            number_tree();
        }
        find_bodies();
    }

    void reach() {
        find_order();
        drop_unreachable();
    }

  private:
    static constexpr std::uint32_t kUnseen = ~std::uint32_t{0};

    void find_order() {
        order_.clear();
        for (Block& block : fn_.blocks) {
            block.rpo = kUnseen;
            block.idom = block.loop = kNoBlock;
            block.loop_depth = 0;
        }
        struct Visit {
            BlockId block;
            std::size_t next;
        };
        Vec<Visit> path;
        path.reserve(fn_.blocks.size());
        path.push_back({0, 0});
        order_.reserve(fn_.blocks.size());
        fn_.blocks[0].rpo = 0;
        while (!path.empty()) {
            Visit& visit = path.back();
            const Block& block = fn_.blocks[visit.block];
            if (visit.next < block.succs.size()) {
                const BlockId succ = block.succs[visit.next++];
                if (fn_.blocks[succ].rpo == kUnseen) {
                    fn_.blocks[succ].rpo = 0;
                    path.push_back({succ, 0});
                }
            } else {
                order_.push_back(visit.block);
                path.pop_back();
            }
        }
        std::ranges::reverse(order_);
        for (std::uint32_t i = 0; i < order_.size(); ++i) {
            fn_.blocks[order_[i]].rpo = i;
        }
    }

    void drop_unreachable() {
        if (order_.size() == fn_.layout.size()) {
            return;
        }
        Vec<std::pair<BlockId, BlockId>> gone;
        for (const BlockId id : fn_.layout) {
            Block& block = fn_.blocks[id];
            if (block.rpo != kUnseen) {
                continue;
            }
            for (const BlockId succ : block.succs) {
                gone.emplace_back(id, succ);
            }
            while (block.first != 0) {
                fn_.remove(block.first);
            }
        }
        fn_.remove_edges(gone);
        std::erase_if(fn_.layout, [&](BlockId id) { return fn_.blocks[id].rpo == kUnseen; });
    }

    // One look at each block, after all its predecessors but those of back edges. In a reducible
    // graph these are dominated by it, and have no say.
    void find_dominators() {
        fn_.blocks[0].idom = 0;
        climbs_.assign(fn_.blocks.size(), {});
        for (const BlockId id : order_) {
            if (id == 0) {
                continue;
            }
            BlockId idom = kNoBlock;
            for (const BlockId pred : fn_.blocks[id].preds) {
                if (fn_.blocks[pred].idom == kNoBlock) {
                    back_edges_.push_back({.from = pred, .to = id});
                } else {
                    idom = idom == kNoBlock ? pred : common_above(idom, pred);
                }
            }
            fn_.blocks[id].idom = idom;
            const Climb& above = climbs_[idom];
            const Climb& far = climbs_[above.to];
            const bool is_even = above.depth - far.depth == far.depth - climbs_[far.to].depth;
            climbs_[id] = {is_even ? far.to : idom, above.depth + 1};
        }
    }

    // The nearest one above both, in logarithmic time: who has a thousand predecessors must not
    // walk up for each of them.
    BlockId common_above(BlockId a, BlockId b) const {
        while (a != b) {
            if (fn_.blocks[a].rpo < fn_.blocks[b].rpo) {
                std::swap(a, b);
            }
            const BlockId far = climbs_[a].to;
            a = fn_.blocks[far].rpo >= fn_.blocks[b].rpo ? far : fn_.blocks[a].idom;
        }
        return a;
    }

    [[nodiscard]] bool is_reducible() const {
        return std::ranges::all_of(
            back_edges_, [this](const Edge& edge) { return fn_.dominates(edge.to, edge.from); });
    }

    // Any graph: Lengauer and Tarjan, "A fast algorithm for finding dominators in a flowgraph",
    // 1979. Blocks go by their number in a depth-first search here.
    void improve_dominators() {
        const std::uint32_t count = search();
        semi_.resize(count);
        label_.resize(count);
        ancestor_.assign(count, 0);
        Vec<std::uint32_t> idoms(count, 0);
        Vec<Vec<std::uint32_t>> buckets(count);
        for (std::uint32_t i = 0; i < count; ++i) {
            semi_[i] = label_[i] = i;
        }
        for (std::uint32_t w = count; w-- > 1;) {
            for (const BlockId pred : fn_.blocks[visited_[w]].preds) {
                semi_[w] = std::min(semi_[w], semi_[lowest(number_[pred])]);
            }
            buckets[semi_[w]].push_back(w);
            const std::uint32_t parent = parent_[w];
            ancestor_[w] = parent + 1; // linked
            for (const std::uint32_t v : buckets[parent]) {
                const std::uint32_t u = lowest(v);
                idoms[v] = semi_[u] < semi_[v] ? u : parent;
            }
            buckets[parent].clear();
        }
        for (std::uint32_t w = 1; w < count; ++w) {
            if (idoms[w] != semi_[w]) {
                idoms[w] = idoms[idoms[w]];
            }
            fn_.blocks[visited_[w]].idom = visited_[idoms[w]];
        }
    }

    // Numbers blocks depth first; how many there are.
    std::uint32_t search() {
        number_.assign(fn_.blocks.size(), kUnseen);
        Vec<std::pair<BlockId, std::uint32_t>> work{{0, 0}}; // with the parent's number
        while (!work.empty()) {
            const auto [block, parent] = work.back();
            work.pop_back();
            if (number_[block] != kUnseen) {
                continue;
            }
            number_[block] = std::uint32_t(visited_.size());
            visited_.push_back(block);
            parent_.push_back(parent);
            for (const BlockId succ : fn_.blocks[block].succs) {
                work.emplace_back(succ, number_[block]);
            }
        }
        return std::uint32_t(visited_.size());
    }

    // Of those on the path up to the root of its tree, the one with the lowest semidominator. The
    // path becomes shorter.
    std::uint32_t lowest(std::uint32_t v) {
        if (ancestor_[v] == 0) {
            return v;
        }
        path_.clear();
        while (ancestor_[ancestor_[v] - 1] != 0) {
            path_.push_back(v);
            v = ancestor_[v] - 1;
        }
        std::uint32_t best = label_[v];
        for (std::size_t i = path_.size(); i-- > 0;) {
            const std::uint32_t below = path_[i];
            if (semi_[best] < semi_[label_[below]]) {
                label_[below] = best;
            }
            best = label_[below];
            ancestor_[below] = ancestor_[v];
        }
        return best;
    }

    // A block's subtree is [dom_begin, dom_end): sizes from below, then places from above.
    void number_tree() {
        for (const BlockId id : order_) {
            fn_.blocks[id].dom_end = 1;
        }
        for (std::size_t i = order_.size(); i-- > 1;) {
            const Block& block = fn_.blocks[order_[i]];
            fn_.blocks[block.idom].dom_end += block.dom_end;
        }
        Vec<std::uint32_t> next(fn_.blocks.size());
        for (const BlockId id : order_) {
            Block& block = fn_.blocks[id];
            const std::uint32_t size = block.dom_end;
            block.dom_begin =
                id == 0 ? 0 : std::exchange(next[block.idom], next[block.idom] + size);
            next[id] = block.dom_begin + 1;
            block.dom_end = block.dom_begin + size;
        }
    }

    // Inner loops come later in the order than the loops around them.
    void find_bodies() {
        Vec<BlockId> work;
        while (!back_edges_.empty()) {
            const BlockId header = back_edges_.back().to;
            for (; !back_edges_.empty() && back_edges_.back().to == header;
                 back_edges_.pop_back()) {
                if (fn_.dominates(header, back_edges_.back().from)) {
                    work.push_back(back_edges_.back().from);
                }
            }
            if (work.empty()) {
                continue;
            }
            fn_.headers.push_back(header);
            while (!work.empty()) {
                BlockId id = outermost(work.back());
                work.pop_back();
                if (id == header) {
                    continue;
                }
                around(id) = header;
                for (const BlockId pred : fn_.blocks[id].preds) {
                    if (outermost(pred) != header && fn_.dominates(header, pred)) {
                        work.push_back(pred);
                    }
                }
            }
        }
        std::ranges::reverse(fn_.headers);
        for (const BlockId header : fn_.headers) { // outer ones first
            Block& block = fn_.blocks[header];
            const BlockId outer = block.loop;
            block.loop_depth =
                std::uint16_t(outer == kNoBlock ? 1 : fn_.blocks[outer].loop_depth + 1);
            outer_.push_back(outer);
        }
        for (std::size_t i = 0; i < order_.size() && !outer_.empty(); ++i) {
            Block& block = fn_.blocks[order_[i]];
            if (block.loop_depth == 0 && block.loop != kNoBlock) {
                block.loop_depth = fn_.blocks[block.loop].loop_depth;
            }
        }
        fn_.outer_loops.assign(fn_.blocks.size(), kNoBlock);
        for (std::size_t i = 0; i < fn_.headers.size(); ++i) {
            fn_.outer_loops[fn_.headers[i]] = outer_[i];
            fn_.blocks[fn_.headers[i]].loop = fn_.headers[i];
        }
    }

    // While bodies are found, `loop` of a header is the loop around its own.
    BlockId outermost(BlockId id) {
        while (around(id) != kNoBlock) {
            id = around(id);
        }
        return id;
    }
    BlockId& around(BlockId id) { return fn_.blocks[id].loop; }

    // A dominator further up, such that all of them are reached in few steps: Myers, "An
    // applicative random-access stack", 1983.
    struct Climb {
        BlockId to = 0;
        std::uint32_t depth = 0;
    };

    Function& fn_;
    Vec<BlockId>& order_;
    Vec<Climb> climbs_{};
    struct Edge {
        BlockId from;
        BlockId to;
    };
    Vec<Edge> back_edges_{}; // against the order; ascending by `to`, in that order
    Vec<BlockId> outer_{};
    // Of improve_dominators(), by number.
    Vec<std::uint32_t> number_{}; // by block
    Vec<BlockId> visited_{};
    Vec<std::uint32_t> parent_{};
    Vec<std::uint32_t> semi_{};
    Vec<std::uint32_t> label_{};
    Vec<std::uint32_t> ancestor_{}; // plus 1; 0: none
    Vec<std::uint32_t> path_{};
};

} // namespace

void find_loops(Function& fn) {
    if (fn.has_order) {
        return;
    }
    fn.headers.clear();
    LoopFinder(fn).run();
    fn.has_order = true;
}

void drop_unreachable(Function& fn) {
    LoopFinder(fn).reach();
}

} // namespace ebpfvm::jit::opt
