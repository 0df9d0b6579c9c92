// The main loop: one insn after the other, until every path has ended or is covered.
#include "verifier/explore.hpp"

#include "verifier/subsume.hpp"

#include <algorithm>

namespace ebpfvm::verifier {

using isa::Shape;

bool Explorer::run(State state, std::uint32_t at) {
    env_.begin = state;
    if (log_.is_on()) {
        log_.begin(state, at);
    }
    for (;;) {
        switch (advance(state, at)) {
        case Progress::Continue:
            break;
        case Progress::PathDone:
            if (!take_pending(state, at)) {
                return true;
            }
            if (log_.is_on()) {
                log_.branch(env_.path.last().insn, at, state);
            }
            break;
        case Progress::Rejected:
            if (!recover(state, at)) {
                return false;
            }
            if (log_.is_on()) {
                log_.line(fmt::format("{}: the loop is not summarised so, back to its head", at));
            }
            break;
        }
    }
}

Explorer::Progress Explorer::advance(State& state, std::uint32_t& at) {
    env_.at = at;
    if (skip_visit_) {
        skip_visit_ = false;
    } else if (env_.code.steps[at].is_prune_point) {
        switch (visit(state, at)) {
        case Visit::Explore:
            break;
        case Visit::Covered:
            if (log_.is_on()) {
                log_.safe(at);
            }
            return Progress::PathDone;
        case Visit::Rejected:
            return Progress::Rejected;
        }
    }
    if (!check_budget()) {
        return Progress::Rejected;
    }
    ++stats_.explored;
    const bool is_again = env_.code.steps[at].ends_by_itself && is_return();
    env_.path.push(at, state.depth());
    if (is_again) {
        env_.path.last().flags |= TraceEntry::kAgain;
    }
    if (!(log_.is_on() ? step_logged(state, at) : stepper_.step(state, at))) {
        return Progress::Rejected;
    }
    for (Successor& other : stepper_.others()) {
        if (!push(std::move(other.state), other.insn)) {
            return Progress::Rejected;
        }
    }
    stepper_.others().clear();
    at = stepper_.next();
    return at == cfg::kNone ? Progress::PathDone : Progress::Continue;
}

bool Explorer::step_logged(State& state, std::uint32_t at) {
    const State before = state;
    if (!stepper_.step(state, at)) {
        log_.insn(at);
        return false;
    }
    log_.insn(at, before, state);
    return true;
}

bool Explorer::push(State state, std::uint32_t insn) {
    constexpr std::size_t kMaxPending = 8192; // BPF_COMPLEXITY_LIMIT_JMP_SEQ
    if (pending_.size() >= kMaxPending) {
        return env_.reject<Slug::TooManyBranches>(kMaxPending);
    }
    pending_.push_back({std::move(state), insn, env_.path.mark()});
    return true;
}

bool Explorer::take_pending(State& state, std::uint32_t& at) {
    if (pending_.empty()) {
        env_.path.rewind({});
        free_retired();
        confirm_guesses();
        return false;
    }
    Pending& next = pending_.back();
    state = std::move(next.state);
    at = next.insn;
    env_.path.rewind(next.mark);
    TraceEntry& last = env_.path.last(); // there is one: entries have no second way to go
    if (state.depth() > last.depth) {
        last.flags |= TraceEntry::kEntered;
        env_.path.write_frame(state.depth() - 1);
    } else {
        last.flags |= TraceEntry::kTaken;
    }
    pending_.pop_back();
    confirm_guesses();
    free_retired();
    return true;
}

bool Explorer::check_budget() {
    constexpr std::uint64_t kGuessBudget = 20'000;
    if (!guesses_.empty() &&
        stats_.explored - guesses_.back().explored > kGuessBudget + guesses_.back().explored) {
        return env_.reject<Slug::TooManyInsns>(stats_.explored, busiest_place());
    }
    const std::uint64_t max = stats_.summarised_loops > summarised_before_
                                  ? attempt_.max_with_summaries
                                  : attempt_.max_explored;
    if (stats_.explored - begin_ >= max) {
        guesses_.clear();
        return env_.reject<Slug::TooManyInsns>(stats_.explored - begin_, busiest_place());
    }
    if ((stats_.explored & 255) == 0) {
        const std::uint64_t bytes =
            env_.pool.bytes() + (node_count_ - free_nodes_.size()) * sizeof(Node) +
            pending_.size() * sizeof(Pending) + env_.path.trace().size() * sizeof(TraceEntry);
        stats_.peak_bytes = std::max(stats_.peak_bytes, bytes);
        if (bytes > env_.options.max_bytes) {
            return env_.reject<Slug::TooMuchMemory>(env_.options.max_bytes);
        }
    }
    return true;
}

std::string Explorer::busiest_place() const {
    std::vector<std::uint32_t> visits(env_.code.steps.size());
    for (const TraceEntry& entry : env_.path.trace()) {
        ++visits[entry.insn];
    }
    std::size_t busiest = 0;
    for (std::size_t i = 0; i < visits.size(); ++i) {
        if (env_.code.steps[i].is_loop_head && visits[i] > visits[busiest]) {
            busiest = i;
        }
    }
    if (visits[busiest] < 2) {
        return "there are too many branches";
    }
    return fmt::format("the loop at insn {} was gone through {} times", busiest, visits[busiest]);
}

} // namespace ebpfvm::verifier
