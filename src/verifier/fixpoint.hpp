// One state per place and chain of calls, joined where paths meet, until nothing changes.
#pragma once

#include "verifier/step.hpp"

#include <deque>
#include <functional>
#include <set>
#include <vector>

namespace ebpfvm::verifier {

class Fixpoint {
  public:
    Fixpoint(Env& env, VerifierStats& stats, Judging judging)
        : env_(env), stats_(stats), stepper_(env, judging), judging_(judging),
          by_insn_(env.code.steps.size()) {}

    /// Follows everything that `state` at slot `at` can lead to. False if an insn is not allowed
    /// (Judging::On), or if too little is known to go on (Off).
    [[nodiscard]] bool run(State state, std::uint32_t at);

    /// Calls visit(slot, state) for each place in each chain of calls that was reached.
    void for_each_state(const std::function<void(std::uint32_t, const State&)>& visit) const;

  private:
    struct Place {
        State state;
        std::uint32_t insn = 0;
        std::uint32_t visits = 0;
        bool is_queued = false;
    };

    bool flow(const State& state, std::uint32_t to);
    bool execute(std::uint32_t place);
    [[nodiscard]] bool is_possible(std::uint32_t from, std::uint32_t to) const;

    Env& env_;
    VerifierStats& stats_;
    Stepper stepper_;
    Judging judging_;
    std::deque<Place> places_;
    std::vector<std::vector<std::uint32_t>> by_insn_;              // indices into places_
    std::set<std::pair<std::uint32_t, std::uint32_t>> queue_;      // insn and place: in program order
    std::vector<std::uint64_t> thresholds_;
};

} // namespace ebpfvm::verifier
