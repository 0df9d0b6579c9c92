// `ebpfvm verify --facts`: what the verifier found out, beside each insn.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/facts.hpp"
#include "ebpfvm/object.hpp"

#include <string>

namespace ebpfvm::cli {

/// One line per reachable insn: its text, and the live registers whose value is known to some
/// extent.
[[nodiscard]] std::string facts_text(const Object& object, const Program& program,
                                     const Facts& facts, const Style& style);

/// "r1=ctx r2=0..255 fp-8=17": what is known before one insn.
[[nodiscard]] std::string insn_facts_text(const Object& object, const InsnFacts& facts);

/// "map_value(counts)+0..60", "17", "0..255"
[[nodiscard]] std::string describe(const Object& object, const ValueFact& fact);

} // namespace ebpfvm::cli
