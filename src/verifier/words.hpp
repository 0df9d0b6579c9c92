// Insns, places, helpers and values as a C programmer would name them.
#pragma once

#include "verifier/origin.hpp"

#include <string>

namespace ebpfvm::verifier {

/// "bpf_map_lookup_elem": helpers of the kernel as C programs call them, the host's as they are.
[[nodiscard]] std::string call_name(const HelperProto& proto, std::uint32_t id);

class Words {
  public:
    explicit Words(const History& history) : history_(history), env_(history.env()) {}

    /// "insn 9 (xdp.c:12)".
    [[nodiscard]] std::string at_insn(std::uint32_t insn) const;
    [[nodiscard]] std::string at(std::size_t step) const { return at_insn(insn_of(step)); }
    [[nodiscard]] std::uint32_t insn_of(std::size_t step) const {
        return step < history_.end() ? history_.entry(step).insn : env_.rejection.insn;
    }
    /// "bpf_map_lookup_elem", or the name of the function or kernel function that is called.
    [[nodiscard]] std::string callee(std::size_t step) const;
    /// `return XDP_PASS;`: how a program of this type lets things pass.
    [[nodiscard]] std::string_view leave() const;
    /// The variable on the left of a single `=` in the insn's source line; `otherwise` if there is
    /// none.
    [[nodiscard]] std::string variable(std::size_t step, std::string_view otherwise) const;
    /// The text of the n-th argument (from 1) in the source line of a call; empty if it is no
    /// simple expression.
    [[nodiscard]] std::string argument(std::uint32_t insn, unsigned n) const;
    /// Of the function that the subprogram is.
    [[nodiscard]] std::string function(std::uint32_t subprog) const;

    /// "read from the packet at insn 7 (xdp.c:9)": how a number or pointer came to be. What it is
    /// made of is told if arithmetic was done on the way.
    [[nodiscard]] std::string source(const Origin& origin) const;
    /// "map \"flows\"", "the global variable \"limit\"".
    [[nodiscard]] std::string map_place(const Reg& pointer, std::int64_t off) const;

  private:
    [[nodiscard]] std::string made(const Origin& origin) const;
    [[nodiscard]] std::string loaded(std::size_t step) const;

    const History& history_;
    const Env& env_;
};

} // namespace ebpfvm::verifier
