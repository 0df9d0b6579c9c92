// Why a program was rejected, in notes and advice that speak of the case at hand.
#pragma once

#include "verifier/replay.hpp"

namespace ebpfvm::verifier {

/// Fills notes, path and help of a diagnostic that has its slug, insn and message.
void explain(const History& history, Diagnostic& diagnostic);

} // namespace ebpfvm::verifier
