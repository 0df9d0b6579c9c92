// One insn: is it allowed, and which states can follow it?
#pragma once

#include "verifier/env.hpp"

#include <vector>

namespace ebpfvm::verifier {

/// A state besides the one that simply goes on: a branch taken, a callback entered.
struct Successor {
    State state;
    std::uint32_t insn;
};

/// Whether insns are checked. Not, where they have been already and only their effect matters: then
/// states may know less than the checks would need.
enum class Judging : std::uint8_t { On, Off };

class Stepper {
  public:
    Stepper(Env& env, Judging judging) : env_(env), judging_(judging) {}

    /// Executes the insn at slot `at`, which the caller has pushed to env.path. False if it is not
    /// allowed (env.rejection). Else `state` goes on at next(), and there may be others().
    [[nodiscard]] bool step(State& state, std::uint32_t at);

    [[nodiscard]] std::uint32_t next() const { return next_; } ///< kNone: it ends here
    [[nodiscard]] std::vector<Successor>& others() { return others_; }

  private:
    [[nodiscard]] bool dispatch(State& state, std::uint32_t at);
    [[nodiscard]] bool plain(State& state, const Step& step);
    [[nodiscard]] bool jump(State& state, const Step& step);
    [[nodiscard]] bool call(State& state, const Step& step);
    [[nodiscard]] bool call_helper(State& state, const Step& step);
    void note_callback(const prog::Callback& callback);
    [[nodiscard]] bool tail_call(const State& state);
    [[nodiscard]] bool packet_load(State& state, const Step& step);
    [[nodiscard]] bool leave(State& state);
    /// The current frame of `ended` returns although its code goes on elsewhere.
    [[nodiscard]] bool return_early(State ended);

    Env& env_;
    Judging judging_;
    std::uint32_t next_ = cfg::kNone;
    std::vector<Successor> others_;
};

} // namespace ebpfvm::verifier
