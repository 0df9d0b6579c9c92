// From a rejection to a Diagnostic: where it is, how the program got there, what to do.
#pragma once

#include "verifier/env.hpp"

namespace ebpfvm::verifier {

[[nodiscard]] Diagnostic diagnose(const Env& env);
[[nodiscard]] Verdict verdict_of(Slug slug);

} // namespace ebpfvm::verifier
