// Which states are remembered, for how long, and what it takes to be covered by one.
#include "verifier/explore.hpp"
#include "verifier/subsume.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

bool is_useless(const Node& node) {
    return !node.is_inductive && node.misses > node.hits * 3 + (node.is_complete ? 20U : 4U);
}

// The node of the current path that what follows `node` goes back to.
Node* open_back(const Node& node) {
    Node* back = node.back;
    while (back != nullptr && back->is_complete) {
        back = back->back;
    }
    return back;
}

} // namespace

Explorer::Visit Explorer::visit(State& state, std::uint32_t at) {
    const Step& step = env_.code.steps[at];
    std::pmr::vector<Node*>& nodes = nodes_at(at);
    bool has_useless = false;
    const Node* last = nullptr; // the turn before this one
    for (std::size_t i = nodes.size(); i-- > 0;) {
        Node& node = *nodes[i];
        if (!node.is_complete) {
            if (!is_same_place(node.state, state)) {
                continue;
            }
            if (last == nullptr && is_turn(node, state)) {
                last = &node;
            }
            const Visit result = visit_open(node, state, step);
            if (result != Visit::Explore) {
                return result;
            }
        } else if (Places relied; covers(env_.code, node, state, Compare::Demanded, relied)) {
            Node* back = open_back(node);
            if (back == nullptr || may_go_back(back, state)) {
                ++node.hits;
                take_over(node, relied);
                if (back != nullptr) {
                    note_back(*back);
                }
                return Visit::Covered;
            }
        }
        ++node.misses;
        has_useless |= is_useless(node);
    }
    const bool is_guess = is_time_to_guess(last, state, step) && guess(state, *last, at);
    const std::uint32_t turns = last != nullptr ? last->turns + 1 : 0;
    if (has_useless) {
        drop_useless(nodes);
    }
    if (!is_guess && (is_worth_remembering(step) ||
                      (turns == 0 && (step.is_loop_head || step.ends_by_itself)))) {
        remember(state, at);
        env_.path.nodes().back()->turns = turns;
    }
    return Visit::Explore;
}

// A state on the path itself: a loop.
Explorer::Visit Explorer::visit_open(Node& node, const State& state, const Step& step) {
    Places relied; // demand_all() demands it anyway
    if (node.is_inductive) {
        if (closes(node, state, step)) {
            demand_all(state);
            if (step.ends_by_itself || state.is_in_callback()) {
                note_back(node);
            }
            return Visit::Covered;
        }
        if (!is_turn(node, state) ||
            (step.ends_by_itself && step.shape == isa::Shape::CallHelper && !is_return())) {
            return Visit::Explore; // entered anew from outside
        }
        escaped_ = state;
        escaped_head_ = &node;
        (void)env_.reject<Slug::InfiniteLoop>(env_.at);
        return Visit::Rejected;
    }
    if (step.ends_by_itself && covers(env_.code, node, state, Compare::All, relied) &&
        ends_by_itself(node)) {
        demand_all(state);
        note_back(node);
        return Visit::Covered;
    }
    if (covers(env_.code, node, state, Compare::Exact, relied) && !has_limit(node)) {
        (void)env_.reject<Slug::InfiniteLoop>(env_.at);
        return Visit::Rejected;
    }
    return Visit::Explore;
}

// Has a callback just returned to the call that made it?
bool Explorer::is_return() const {
    const auto& trace = env_.path.trace();
    return !trace.empty() && env_.code.steps[trace.back().insn].shape == isa::Shape::Exit &&
           (trace.back().flags & TraceEntry::kEntered) != 0;
}

bool Explorer::is_turn(const Node& from, const State& state) {
    if (!env_.code.steps[env_.at].is_loop_head) {
        return true;
    }
    const std::uint32_t head = env_.code.cfg.block_of[env_.at];
    auto [body, is_new] = bodies_.try_emplace(head);
    if (is_new) {
        body->second = cfg::natural_loop(env_.code.cfg, head);
    }
    const auto& trace = env_.path.trace();
    return std::all_of(trace.begin() + from.trace_size, trace.end(), [&](const TraceEntry& entry) {
        return entry.depth != state.depth() || body->second[env_.code.cfg.block_of[entry.insn]];
    });
}

// Does the way from that state to here go through a may_goto that counts, or into a callback?
bool Explorer::has_limit(const Node& from) const {
    const auto& trace = env_.path.trace();
    return std::any_of(trace.begin() + from.trace_size, trace.end(),
                       [this](const TraceEntry& entry) {
                           return env_.code.steps[entry.insn].ends_by_itself &&
                                  (entry.flags & TraceEntry::kTaken) == 0;
                       });
}

// Does the way from that state, at a may_goto, to here use up some of its budget? That is one for
// all of a function's, and new with each call of it.
bool Explorer::counts(const Node& from) const {
    const auto& trace = env_.path.trace();
    const unsigned depth = from.state.depth();
    return stays(from) &&
           std::any_of(trace.begin() + from.trace_size, trace.end(), [&](const TraceEntry& entry) {
               return env_.code.steps[entry.insn].shape == isa::Shape::MayGoto &&
                      entry.depth == depth && (entry.flags & TraceEntry::kTaken) == 0;
           });
}

// Has the call with callbacks at that state's insn been made once only since then?
bool Explorer::is_same_call(const Node& from) const {
    const auto& trace = env_.path.trace();
    const auto first = trace.begin() + from.trace_size;
    return first == trace.end() ||
           std::all_of(first + 1, trace.end(), [&](const TraceEntry& entry) {
               return entry.insn != from.insn || entry.depth != from.state.depth() ||
                      (entry.flags & TraceEntry::kAgain) != 0;
           });
}

// Has the function that was running there not returned?
bool Explorer::stays(const Node& from) const {
    const auto& trace = env_.path.trace();
    return std::all_of(trace.begin() + from.trace_size, trace.end(),
                       [&](const TraceEntry& entry) { return entry.depth >= from.state.depth(); });
}

// Can the way from that state, at this insn, be gone a limited number of times only? Each pass of a
// may_goto uses up some of its budget. A helper calls back a limited number of times per call: the
// way must not lead through another call at this place.
bool Explorer::ends_by_itself(const Node& from) const {
    if (env_.code.steps[env_.at].shape == isa::Shape::MayGoto) {
        return counts(from);
    }
    return is_return() && is_same_call(from);
}

// What follows the state goes on like something else, and back to that node, or others behind it:
// are these ways limited as well if they begin with the way to here?
bool Explorer::may_go_back(Node* back, const State& state) const {
    const auto& nodes = env_.path.nodes();
    for (std::size_t i = nodes.size(); i-- > 0;) {
        const Node& node = *nodes[i];
        const Step& step = env_.code.steps[node.insn];
        if (step.shape == isa::Shape::MayGoto && !counts(node)) {
            return false;
        }
        if (step.ends_by_itself && step.shape != isa::Shape::MayGoto && !is_same_call(node)) {
            return false;
        }
        if (node.is_inductive && state.is_in_callback() && !stays(node)) {
            return false;
        }
        if (&node == back) {
            break;
        }
    }
    return true;
}

void Explorer::note_back(Node& to) {
    to.is_back = true;
    const auto& nodes = env_.path.nodes();
    for (std::size_t i = nodes.size(); i-- > 0 && nodes[i] != &to;) {
        Node*& back = nodes[i]->back;
        if (back != nullptr && !back->is_complete && back->trace_size <= to.trace_size) {
            return; // so have all before it
        }
        back = &to;
    }
}

// What later code demanded of the covering state, it demands of this one.
void Explorer::take_over(const Node& node, Places relied) {
    env_.path.read_slots(node.read);
    relied.add(node.precise);
    if (!relied.empty()) {
        env_.path.demand(relied);
    }
}

// What the turns of a loop will demand of each other is not known yet: take it to be everything.
void Explorer::demand_all(const State& state) {
    SlotMasks slots{};
    Places places;
    for (unsigned f = 0; f < state.depth(); ++f) {
        const Frame& frame = state.frame(f);
        places.regs[f] = live_regs(env_.code, state, env_.at, f);
        for (std::size_t s = 0; s < frame.stack.size(); ++s) {
            slots[f] |= std::uint64_t{1} << s;
            if (frame.stack[s].has_spill()) {
                places.add_slot(f, unsigned(s));
            }
        }
    }
    env_.path.read_slots(slots);
    env_.path.demand(places);
}

// Remembering costs, and so does every comparison with what is remembered.
bool Explorer::is_worth_remembering(const Step& step) const {
    return stats_.explored - remembered_at_insn_ >= (step.is_merge ? 1 : 8);
}

void Explorer::remember(const State& state, std::uint32_t at) {
    remembered_at_insn_ = stats_.explored;
    Node* node = make_node();
    node->state = state;
    node->insn = at;
    nodes_at(at).push_back(node);
    env_.path.enter(*node);
    if (!guesses_.empty()) {
        created_.push_back(node);
    }
    ++stats_.states;
    stats_.peak_states =
        std::max<std::uint64_t>(stats_.peak_states, node_count_ - free_nodes_.size());
}

Node* Explorer::make_node() {
    if (free_nodes_.empty()) {
        const std::size_t count = std::clamp<std::size_t>(node_count_, 4, 64);
        nodes_.emplace_back(count);
        node_count_ += count;
        for (std::size_t i = count; i-- > 0;) {
            free_nodes_.push_back(&nodes_.back()[i]);
        }
    }
    Node* node = free_nodes_.back();
    free_nodes_.pop_back();
    node->is_listed = true;
    return node;
}

void Explorer::drop_useless(std::pmr::vector<Node*>& nodes) {
    std::erase_if(nodes, [this](Node* node) {
        if (!is_useless(*node)) {
            return false;
        }
        node->is_listed = false;
        if (node->is_complete) {
            free_node(*node);
        }
        return true;
    });
}

void Explorer::free_retired() {
    for (Node* node : env_.path.retired()) {
        free_node(*node);
    }
    env_.path.retired().clear();
}

// It is neither on the path nor listed: nobody looks at it any more, but nodes that go back to it.
// created_ may still have it, but undo() is done with those that are not listed.
void Explorer::free_node(Node& node) {
    if (node.is_back) {
        node.state.clear();
    } else {
        node = Node{};
        free_nodes_.push_back(&node);
    }
}

} // namespace ebpfvm::verifier
