#include "verifier/replay.hpp"

#include "verifier/explore.hpp"

namespace ebpfvm::verifier {
namespace {

constexpr std::size_t kKept = 8192; // steps; a state is about 1 KiB

// Before the insn was executed, so that it is not on the path.
bool is_on_arrival(Slug slug) {
    return slug == Slug::InfiniteLoop || slug == Slug::TooManyInsns || slug == Slug::TooMuchMemory;
}

} // namespace

void Explorer::replay(State state, std::uint32_t at, const std::vector<TraceEntry>& trace,
                      const std::function<void(std::size_t, const State&)>& see) {
    for (std::size_t i = 0; i < trace.size() && trace[i].insn == at; ++i) {
        see(i, state);
        env_.at = at;
        env_.path.rewind({}); // demands need not travel back
        env_.path.push(at, state.depth());
        env_.path.last().flags = trace[i].flags & TraceEntry::kAgain;
        if (execute(state, at) != Progress::Continue) {
            return;
        }
        if (!pending_.empty() &&
            (trace[i].flags & (TraceEntry::kTaken | TraceEntry::kEntered)) != 0) {
            state = std::move(pending_.back().state);
            at = pending_.back().insn;
        }
        pending_.clear();
        if (i + 1 == trace.size()) {
            see(i + 1, state);
        }
    }
}

History::History(const Env& env) : env_(env) {
    const auto& trace = env.path.trace();
    if (!env.begin || trace.empty()) {
        return;
    }
    const std::size_t end = trace.size() - (is_on_arrival(env.rejection.slug) ? 0 : 1);
    Env again(env.code, env.options);
    again.ctx = env.ctx;
    VerifierStats stats;
    first_ = trace.size() > kKept ? trace.size() - kKept : 0;
    Explorer(again, stats)
        .replay(*env.begin, trace.front().insn, trace, [&](std::size_t step, const State& state) {
            if (step >= first_ && step <= end) {
                states_.push_back(state);
            }
        });
    if (states_.size() != end - first_ + 1) { // it went another way: say nothing wrong
        states_.clear();
    }
}

} // namespace ebpfvm::verifier
