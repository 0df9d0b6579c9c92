// The states along the path to a rejection. Exploration keeps none of them: the path is gone once
// more, which costs nothing unless a program is rejected.
#pragma once

#include "verifier/env.hpp"

#include <vector>

namespace ebpfvm::verifier {

/// The last steps of env.path with the states around them; the first ones if a budget ran out. Step i
/// is the i-th insn of the path; steps before first() are too long ago to be kept.
class History {
  public:
    explicit History(const Env& env);

    [[nodiscard]] const Env& env() const { return env_; }
    [[nodiscard]] bool empty() const { return states_.empty(); }
    [[nodiscard]] std::size_t first() const { return first_; }
    /// Does it go back to where the program, or the global function, begins?
    [[nodiscard]] bool is_whole() const;
    /// The rejected insn, or one past the path if it was rejected on arrival, or past what is kept.
    [[nodiscard]] std::size_t end() const { return first_ + states_.size() - 1; }
    [[nodiscard]] const TraceEntry& entry(std::size_t step) const {
        return env_.path.trace()[step];
    }
    [[nodiscard]] const Step& code(std::size_t step) const {
        return env_.code.steps[entry(step).insn];
    }
    /// Before the step, in [first(), end()].
    [[nodiscard]] const State& before(std::size_t step) const { return states_[step - first_]; }
    [[nodiscard]] const State& after(std::size_t step) const { return before(step + 1); }
    /// When the program was rejected.
    [[nodiscard]] const State& last() const { return states_.back(); }

  private:
    const Env& env_;
    std::size_t first_ = 0;
    std::vector<State> states_;
};

} // namespace ebpfvm::verifier
