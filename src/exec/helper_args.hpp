// Checks of a call's arguments against the prototype, for programs that no verifier has passed.
#pragma once

#include "exec/run_state.hpp"

#include <optional>
#include <string>

namespace ebpfvm::exec {

struct ArgFault {
    FaultKind kind = FaultKind::BadHelperArg;
    MemoryClass memory_class = MemoryClass::None;
    std::string reason; ///< "r2 must point to 4 readable bytes (key of map \"m\")"
};

/// Checks r1..r5 (`args`) and turns the context argument into the host's object. Nothing: all fine.
[[nodiscard]] std::optional<ArgFault> check_args(RunState& state, const HelperProto& proto,
                                                 std::uint64_t* args);

} // namespace ebpfvm::exec
