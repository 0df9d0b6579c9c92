#include "verifier/replay.hpp"

#include "verifier/step.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

constexpr std::size_t kKept = 8192; // steps; a state is about 1 KiB

// Before the insn was executed, so that it is not on the path.
bool is_on_arrival(Slug slug) {
    return slug == Slug::InfiniteLoop || slug == Slug::TooManyInsns || slug == Slug::TooMuchMemory;
}

// Goes the way that the entry went. False if there is no such way.
bool step(Env& env, Stepper& stepper, State& state, const TraceEntry& entry, std::uint32_t& at) {
    if (at != entry.insn) {
        return false;
    }
    env.at = at;
    env.path.rewind({}); // demands need not travel back
    env.path.push(at, state.depth());
    env.path.last().flags = entry.flags & TraceEntry::kAgain;
    stepper.others().clear();
    if (!stepper.step(state, at)) {
        return false;
    }
    at = stepper.next();
    if (!stepper.others().empty() &&
        (entry.flags & (TraceEntry::kTaken | TraceEntry::kEntered)) != 0) {
        Successor& other = stepper.others().back();
        at = other.insn;
        state = std::move(other.state);
    }
    return true;
}

} // namespace

History::History(const Env& env) : env_(env) {
    const auto& trace = env.path.trace();
    if (!env.begin || trace.empty()) {
        return;
    }
    std::size_t end = trace.size() - (is_on_arrival(env.rejection.slug) ? 0 : 1);
    if (env.rejection.slug == Slug::TooManyInsns) {
        end = std::min(end, kKept); // how a loop begins tells more than where patience ended
    }
    Env again(env.code, env.options);
    again.ctx = env.ctx;
    Stepper stepper(again, Judging::On);
    first_ = end > kKept ? end - kKept : 0;
    State state = *env.begin;
    std::uint32_t at = trace.front().insn;
    for (std::size_t i = 0; i <= end; ++i) {
        if (i >= first_) {
            states_.push_back(state);
        }
        if (i == end || !step(again, stepper, state, trace[i], at)) {
            break;
        }
    }
    if (states_.size() != end - first_ + 1) { // it went another way: say nothing wrong
        states_.clear();
    }
}

bool History::is_whole() const {
    return first_ == 0 && !empty() &&
           entry(0).insn == env_.code.subprogs[states_.front().frame(0).subprog].first;
}

} // namespace ebpfvm::verifier
