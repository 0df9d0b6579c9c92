// A log in the style of the kernel's verifier, for VerifierOptions::log.
#pragma once

#include "verifier/env.hpp"

#include <string>

namespace ebpfvm::verifier {

class Log {
  public:
    explicit Log(const Env& env) : env_(env), is_on_(bool(env.options.log)) {}

    [[nodiscard]] bool is_on() const { return is_on_; }

    /// "0: R1=ctx() R10=fp0": what is known where exploration begins.
    void begin(const State& state, std::uint32_t at);
    /// "8: (bf) r6 = r1 ; R1=ctx() R6_w=ctx()": an insn, and what it changed.
    void insn(std::uint32_t at, const State& before, const State& after);
    /// An insn that is rejected: `after` is not known.
    void insn(std::uint32_t at);
    /// "from 5 to 9: ...": exploration goes on at a branch that was left aside.
    void branch(std::uint32_t from, std::uint32_t to, const State& state);
    /// "9: safe": an explored state covers this one.
    void safe(std::uint32_t at);
    /// Anything else.
    void line(std::string_view text) const { env_.options.log(text); }

  private:
    void source(std::uint32_t at);

    const Env& env_;
    bool is_on_;
    std::uint32_t shown_line_ = 0; // of the source
};

/// "scalar(umax=255,var_off=(0x0; 0xff))", "pkt(off=14,r=14)": a value as the kernel writes it.
[[nodiscard]] std::string kernel_text(const Env& env, const Reg& reg);

/// The message of the rejection, if any, and the totals.
void log_end(const Env& env, const VerifierStats& stats, bool is_accepted);

} // namespace ebpfvm::verifier
