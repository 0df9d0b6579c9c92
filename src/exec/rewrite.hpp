// What makes a verified program's slots ready to run without checks.
#pragma once

#include "exec/code.hpp"
#include "isa/decode.hpp"

namespace ebpfvm::exec {

/// Context accesses become accesses to the host's struct and packet; local calls get to know how
/// much stack to clear. `code` holds the slots of `insns`, all else resolved. Errors: those of
/// resolve_verified().
[[nodiscard]] Expected<void> rewrite_verified(const prog::VerifiedProgram& program,
                                              const isa::DecodedProgram& insns,
                                              const Bindings& bindings, Code& code);

} // namespace ebpfvm::exec
