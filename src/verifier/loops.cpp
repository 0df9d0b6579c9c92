// Loops verified once: guess a state at the head that covers all turns, verify the body from it,
// and see that every way back to the head arrives inside the guess, with a counter closer to its
// limit.
#include "verifier/explore.hpp"
#include "verifier/subsume.hpp"
#include "verifier/widen.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

constexpr std::uint32_t kFirstGuess = 6; // turns: few enough are simply gone through
constexpr unsigned kMaxAttempts = 7;

// The place of `state` that corresponds to the first one of `head` with this id.
struct Moved {
    const Reg* was = nullptr;
    const Reg* is = nullptr;
};

Moved find_pinned(const State& head, const State& state, std::uint32_t id) {
    for (unsigned f = 0; f < head.depth(); ++f) {
        for (unsigned r = 0; r < kFramePointer; ++r) {
            if (head.frame(f).regs[r].is_scalar() && head.frame(f).regs[r].id == id) {
                return {&head.frame(f).regs[r], &state.frame(f).regs[r]};
            }
        }
        const auto& stack = head.frame(f).stack;
        for (std::size_t s = 0; s < stack.size(); ++s) {
            if (stack[s].has_spill() && stack[s].spilled.is_scalar() && stack[s].spilled.id == id) {
                return {&stack[s].spilled, s < state.frame(f).stack.size()
                                               ? &state.frame(f).stack[s].spilled
                                               : nullptr};
            }
        }
    }
    return {};
}

// Can it only be moved so often? Both ends of its range stay clear of wrapping around.
bool is_bounded(const Scalar& value, std::uint64_t max_turns) {
    constexpr std::int64_t kMargin = std::int64_t{1} << 32;
    const auto span = std::uint64_t(value.s64.max) - std::uint64_t(value.s64.min);
    return span <= max_turns && value.s64.max < INT64_MAX - kMargin &&
           value.s64.min > INT64_MIN + kMargin;
}

// Fewer limits with each attempt, so that the right one, or none, is found after few.
std::vector<std::uint64_t> coarse(const std::vector<std::uint64_t>& thresholds, unsigned attempt) {
    std::vector<std::uint64_t> result;
    const std::size_t stride = std::size_t{1} << (2 * attempt);
    for (std::size_t i = thresholds.size(); i >= stride; i -= stride) {
        result.push_back(thresholds[i - 1]);
    }
    if (attempt + 2 >= kMaxAttempts) {
        result.clear();
    }
    for (const std::uint64_t end_of_type : {std::uint64_t{INT32_MAX}, std::uint64_t{UINT32_MAX}}) {
        result.push_back(end_of_type);
    }
    std::ranges::sort(result);
    return result;
}

} // namespace

bool Explorer::is_time_to_guess(const Node* last, const State& state, const Step& step) const {
    if (!attempt_.summarises || last == nullptr || last->is_inductive) {
        return false;
    }
    const std::uint32_t first = step.ends_by_itself ? 0 : kFirstGuess;
    const Reg& count = state.reg(1); // of bpf_loop; elsewhere a pointer
    if (step.shape == isa::Shape::CallHelper && count.is_scalar() &&
        count.var.u64.max <= kFirstGuess) {
        return false;
    }
    if (!step.is_loop_head && !(step.ends_by_itself && ends_by_itself(*last))) {
        return false;
    }
    constexpr std::uint64_t kFreeWaste = 4096;
    return last->turns >= std::max(first, next_guess_[step.prune_index]) &&
           wasted_ <= kFreeWaste + stats_.explored / 4;
}

bool Explorer::guess(State& state, const Node& last, std::uint32_t at) {
    if (thresholds_.empty()) {
        thresholds_ = thresholds_of(env_.code);
    }
    const std::uint32_t first_pin = env_.next_pin();
    const bool has_limit = env_.code.steps[at].ends_by_itself;
    auto guessed = widen(env_, last, state, thresholds_,
                         has_limit ? Widening::Undemanded : Widening::Everything);
    if (!guessed || !includes(*guessed, state, at, first_pin)) {
        next_guess_[env_.code.steps[at].prune_index] = (last.turns + 1) * 4;
        return false;
    }
    Guess record{.real = state,
                 .head = nullptr,
                 .mark = env_.path.mark(),
                 .pending = pending_.size(),
                 .created = created_.size(),
                 .explored = stats_.explored,
                 .attempt = 0};
    begin_guess(state, *std::move(guessed), std::move(record), first_pin, last.turns + 1);
    return true;
}

// The loop may end before its first turn: what really got to its head is among what is guessed.
bool Explorer::includes(const State& guessed, const State& real, std::uint32_t at,
                        std::uint32_t first_pin) {
    Node node;
    node.state = guessed;
    node.insn = at;
    node.first_pin = first_pin;
    node.end_pin = env_.next_pin();
    Places relied;
    if (!covers(env_.code, node, real, Compare::All, relied)) {
        return false;
    }
    env_.path.demand(relied);
    return true;
}

void Explorer::begin_guess(State& state, State guessed, Guess record, std::uint32_t first_pin,
                           std::uint32_t turns) {
    guesses_.push_back(std::move(record));
    remember(guessed, env_.at);
    Node* head = env_.path.nodes().back();
    head->is_inductive = true;
    head->turns = turns;
    head->first_pin = first_pin;
    head->end_pin = env_.next_pin();
    for (std::uint32_t id = first_pin; id < head->end_pin; ++id) {
        head->counters.push_back({.id = id});
    }
    guesses_.back().head = head;
    state = std::move(guessed);
}

bool Explorer::closes(Node& head, const State& state, const Step& step) {
    Places relied; // demand_all() demands it anyway
    if (!covers(env_.code, head, state, Compare::All, relied)) {
        return false;
    }
    if (step.ends_by_itself && ends_by_itself(head)) {
        return true;
    }
    const bool calls_back = step.ends_by_itself && step.shape != isa::Shape::MayGoto;
    if (calls_back || (state.is_in_callback() && !stays(head))) {
        return false; // helpers called anew call back that often again
    }
    return makes_progress(head, state);
}

bool Explorer::makes_progress(Node& head, const State& state) {
    std::erase_if(head.counters, [&](Counter& counter) {
        const Moved moved = find_pinned(head.state, state, counter.id);
        if (moved.is == nullptr || moved.is->id != counter.id ||
            !is_bounded(moved.was->var, env_.options.max_loop_iterations)) {
            return true;
        }
        const std::int64_t distance = std::int64_t{moved.is->off} - moved.was->off;
        const auto direction = std::int8_t(distance > 0 ? 1 : distance < 0 ? -1 : 0);
        if (direction == 0 || (counter.direction != 0 && counter.direction != direction)) {
            return true;
        }
        counter.direction = direction;
        return false;
    });
    return !head.counters.empty();
}

bool Explorer::recover(State& state, std::uint32_t& at) {
    if (guesses_.empty()) {
        return false;
    }
    while (escaped_ && guesses_.back().head != escaped_head_) {
        guesses_.pop_back(); // inside the loop whose guess was wrong
    }
    Guess guess = std::move(guesses_.back());
    guesses_.pop_back();
    at = guess.head->insn;
    const bool is_escape = escaped_.has_value();
    std::optional<State> wider;
    const std::uint32_t first_pin = env_.next_pin();
    if (is_escape && guess.attempt + 1 < kMaxAttempts) {
        wider = widen(env_, *guess.head, *escaped_, coarse(thresholds_, guess.attempt),
                      Widening::Everything);
    }
    const std::uint32_t turns = guess.head->turns;
    wasted_ += stats_.explored - guess.explored;
    guess.explored = stats_.explored;
    escaped_.reset();
    undo(guess);
    env_.at = at;
    if (!wider || !includes(*wider, guess.real, at, first_pin)) {
        next_guess_[env_.code.steps[at].prune_index] = turns * 4;
        state = std::move(guess.real);
        remember(state, at);
        env_.path.nodes().back()->turns = turns;
        skip_visit_ = true;
        return true;
    }
    ++guess.attempt;
    begin_guess(state, *std::move(wider), std::move(guess), first_pin, turns);
    skip_visit_ = true;
    return true;
}

// Everything found out since the guess began is void.
void Explorer::undo(const Guess& guess) {
    env_.path.rewind(guess.mark);
    free_retired();
    while (pending_.size() > guess.pending) {
        pending_.pop_back();
    }
    for (std::size_t i = guess.created; i < created_.size(); ++i) {
        Node* node = created_[i];
        if (node->is_listed) { // else it is free already, perhaps made twice since
            std::erase(nodes_at(node->insn), node);
            node->is_listed = false;
            free_node(*node);
        }
    }
    created_.resize(guess.created);
}

void Explorer::confirm_guesses() {
    while (!guesses_.empty() && guesses_.back().head->is_complete) {
        guesses_.pop_back();
        ++stats_.summarised_loops;
    }
    if (guesses_.empty()) {
        created_.clear();
    }
}

} // namespace ebpfvm::verifier
