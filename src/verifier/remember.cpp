// Which states are remembered, for how long, and what it takes to be covered by one.
#include "verifier/explore.hpp"
#include "verifier/subsume.hpp"

#include <algorithm>

namespace ebpfvm::verifier {

Explorer::Visit Explorer::visit(State& state, std::uint32_t at) {
    std::vector<Node*>& nodes = by_insn_[at];
    bool has_useless = false;
    for (std::size_t i = nodes.size(); i-- > 0;) {
        Node& node = *nodes[i];
        if (!node.is_complete) {
            if (covers(env_.code, node, state, Compare::Exact)) {
                (void)env_.reject<Slug::InfiniteLoop>(at);
                return Visit::Rejected;
            }
            continue;
        }
        if (covers(env_.code, node, state, Compare::Demanded)) {
            ++node.hits;
            take_over(node);
            return Visit::Covered;
        }
        ++node.misses;
        has_useless |= node.misses > node.hits * 3 + 3;
    }
    if (has_useless) {
        drop_useless(nodes);
    }
    if (is_worth_remembering(env_.code.steps[at])) {
        remember(state, at);
    }
    return Visit::Explore;
}

// What later code demanded of the covering state, it demands of this one.
void Explorer::take_over(const Node& node) {
    env_.path.read_slots(node.read);
    if (!node.precise.empty()) {
        env_.path.demand(node.precise);
    }
}

// Remembering costs, and so does every comparison with what is remembered.
bool Explorer::is_worth_remembering(const Step& step) const {
    (void)step;
    return jumps_ - remembered_at_jump_ >= 2 && stats_.explored - remembered_at_insn_ >= 8;
}

void Explorer::remember(const State& state, std::uint32_t at) {
    remembered_at_insn_ = stats_.explored;
    remembered_at_jump_ = jumps_;
    Node* node = make_node();
    node->state = state;
    node->insn = at;
    by_insn_[at].push_back(node);
    env_.path.enter(*node);
    ++stats_.states;
    stats_.peak_states = std::max<std::uint64_t>(stats_.peak_states, nodes_.size() - free_nodes_.size());
}

Node* Explorer::make_node() {
    if (free_nodes_.empty()) {
        return &nodes_.emplace_back();
    }
    Node* node = free_nodes_.back();
    free_nodes_.pop_back();
    *node = Node{};
    return node;
}

void Explorer::drop_useless(std::vector<Node*>& nodes) {
    std::erase_if(nodes, [this](Node* node) {
        if (!node->is_complete || node->misses <= node->hits * 3 + 3) {
            return false;
        }
        node->is_listed = false;
        node->state.clear();
        free_nodes_.push_back(node);
        return true;
    });
}

} // namespace ebpfvm::verifier
