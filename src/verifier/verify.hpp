// verify() for engines: besides the report, the program as one that may run without checks.
#pragma once

#include "ebpfvm/verifier.hpp"
#include "prog/verified_program.hpp"

namespace ebpfvm::verifier {

/// `program` is one of `object`. If it is accepted, `verified` is set unless null.
[[nodiscard]] Report judge(const Object& object, const Program& program,
                           const VerifierOptions& options,
                           std::optional<prog::VerifiedProgram>* verified);

} // namespace ebpfvm::verifier
