#include "jit/opt/phi_places.hpp"

#include <algorithm>
#include <cstddef>

namespace ebpfvm::jit::opt {

bool PhiPlaces::find(Vec<std::pair<std::uint32_t, BlockId>>& stores) {
    first_in.assign(fn_.blocks.size(), 0);
    places.resize(1);
    if (stores.empty() || !find_frontiers()) {
        return stores.empty();
    }
    const std::size_t most = kFewPhis + kMaxPhisPerBlock * fn_.blocks.size();
    std::ranges::sort(stores);
    Vec<std::uint32_t> seen(fn_.blocks.size(), kNoVar); // the variable last put there
    Vec<BlockId> work;
    for (auto store = stores.begin(); store != stores.end();) {
        const std::uint32_t var = store->first;
        for (; store != stores.end() && store->first == var; ++store) {
            work.push_back(store->second);
        }
        if (places.size() > most) {
            return false;
        }
        while (!work.empty()) {
            std::uint32_t i = first_frontier_[work.back()];
            work.pop_back();
            for (; i != 0; i = frontiers_[i].next) {
                const BlockId block = frontiers_[i].block;
                if (std::exchange(seen[block], var) != var) {
                    places.push_back({.block = block, .var = var, .next = first_in[block]});
                    first_in[block] = std::uint32_t(places.size() - 1);
                    work.push_back(block);
                }
            }
        }
    }
    return true;
}

// Dominance frontiers: Cytron, Ferrante, Rosen, Wegman and Zadeck, "Efficiently computing
// static single assignment form and the control dependence graph", 1991. They may be as large
// as the square of the graph.
bool PhiPlaces::find_frontiers() {
    constexpr std::size_t kMaxPerBlock = 32;
    const std::size_t most = kMaxPerBlock * fn_.blocks.size();
    first_frontier_.assign(fn_.blocks.size(), 0);
    frontiers_.resize(1);
    for (const BlockId block : fn_.order) {
        if (fn_.blocks[block].preds.size() < 2) {
            continue;
        }
        for (BlockId pred : fn_.blocks[block].preds) {
            for (; pred != fn_.blocks[block].idom; pred = fn_.blocks[pred].idom) {
                std::uint32_t& first = first_frontier_[pred];
                if (frontiers_[first].block == block && first != 0) {
                    break; // so have all above it
                }
                frontiers_.push_back({.block = block, .next = first});
                first = std::uint32_t(frontiers_.size() - 1);
            }
        }
        if (frontiers_.size() > most) {
            return false;
        }
    }
    return true;
}

} // namespace ebpfvm::jit::opt
