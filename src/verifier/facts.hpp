// Facts: what all paths agree on, insn by insn.
#pragma once

#include "ebpfvm/facts.hpp"
#include "verifier/env.hpp"

#include <memory>

namespace ebpfvm::verifier {

/// Of a program that exploration in `env` has accepted; `entries` are the states it began with.
/// nullptr if the program does something that cannot be followed by joins (a callback that differs
/// from path to path).
[[nodiscard]] std::shared_ptr<const Facts>
collect_facts(Env& env, const std::vector<std::pair<State, std::uint32_t>>& entries);

} // namespace ebpfvm::verifier
