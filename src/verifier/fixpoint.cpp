// A worklist in program order, which is close to the weak topological order of compiled code.
#include "verifier/fixpoint.hpp"

#include "verifier/join.hpp"
#include "verifier/subsume.hpp"
#include "verifier/widen.hpp"

namespace ebpfvm::verifier {
namespace {

constexpr std::uint32_t kPatience = 3; // joins at a loop head before widening

} // namespace

bool Fixpoint::run(State state, std::uint32_t at) {
    thresholds_ = thresholds_of(env_.code);
    if (!flow(state, at)) {
        return false;
    }
    while (!queue_.empty()) {
        const auto [insn, place] = *queue_.begin();
        queue_.erase(queue_.begin());
        places_[place].is_queued = false;
        if (!execute(place)) {
            return false;
        }
    }
    return true;
}

bool Fixpoint::execute(std::uint32_t place) {
    if (stats_.explored >= env_.options.max_explored) {
        return env_.reject<Slug::TooManyInsns>(stats_.explored, "joining states does not end");
    }
    State state = places_[place].state;
    const std::uint32_t at = places_[place].insn;
    env_.at = at;
    ++stats_.explored;
    env_.path.rewind({});
    env_.path.push(at, state.depth());
    if (!stepper_.step(state, at)) {
        env_.begin = places_[place].state; // the path is this insn alone
        return false;
    }
    const std::uint32_t next = stepper_.next();
    if (next != cfg::kNone && is_possible(at, next) && !flow(state, next)) {
        return false;
    }
    for (const Successor& other : stepper_.others()) {
        if (is_possible(at, other.insn) && !flow(other.state, other.insn)) {
            return false;
        }
    }
    stepper_.others().clear();
    return true;
}

// Where nothing is judged, exploration has found out which ways conditional jumps go.
bool Fixpoint::is_possible(std::uint32_t from, std::uint32_t to) const {
    const Step& step = env_.code.steps[from];
    const bool is_conditional =
        step.shape == isa::Shape::JmpImm || step.shape == isa::Shape::JmpReg;
    if (judging_ == Judging::On || !is_conditional) {
        return true;
    }
    return (to == step.next && env_.ways[from].falls) ||
           (to == step.target && env_.ways[from].jumps);
}

bool Fixpoint::flow(const State& state, std::uint32_t to) {
    for (const std::uint32_t index : by_insn_[to]) {
        Place& place = places_[index];
        if (!is_same_place(place.state, state)) {
            continue;
        }
        if (judging_ == Judging::On && !is_joinable(place.state, state)) {
            env_.at = to;
            return env_.reject<Slug::UnreleasedRef>(
                state.refs.empty() ? (place.state.refs.empty() ? to : place.state.refs[0].insn)
                                   : state.refs[0].insn);
        }
        const Step& step = env_.code.steps[to];
        const bool widens = (step.is_loop_head || step.ends_by_itself || place.visits > 64) &&
                            ++place.visits > kPatience;
        if (join(env_, place.state, state, thresholds_, widens) == JoinResult::Changed &&
            !place.is_queued) {
            place.is_queued = true;
            queue_.emplace(to, index);
        }
        return true;
    }
    const auto index = std::uint32_t(places_.size());
    places_.push_back({.state = state, .insn = to, .visits = 0, .is_queued = true});
    by_insn_[to].push_back(index);
    queue_.emplace(to, index);
    ++stats_.states;
    stats_.peak_states = places_.size();
    return true;
}

void Fixpoint::for_each_state(const std::function<void(std::uint32_t, const State&)>& visit) const {
    for (const Place& place : places_) {
        visit(place.insn, place.state);
    }
}

} // namespace ebpfvm::verifier
