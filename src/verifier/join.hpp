// The least state that covers two, for strategies that keep one state per place.
#pragma once

#include "verifier/env.hpp"

namespace ebpfvm::verifier {

enum class JoinResult : std::uint8_t { Same, Changed };

/// Makes `into` cover `from` too. With thresholds (not empty) what grows is widened, so that repeated
/// joins come to an end. References and locks that differ are forgotten: see is_joinable().
JoinResult join(Env& env, State& into, const State& from,
                std::span<const std::uint64_t> thresholds, bool widens);

/// Same chain of calls, references and lock?
[[nodiscard]] bool is_joinable(const State& a, const State& b);

} // namespace ebpfvm::verifier
