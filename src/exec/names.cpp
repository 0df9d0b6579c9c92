// Names of faults and of memory, as users see them.
#include "ebpfvm/run.hpp"

#include <utility>

namespace ebpfvm {

std::string_view name_of(FaultKind kind) {
    switch (kind) {
    case FaultKind::OutOfBounds:
        return "out-of-bounds";
    case FaultKind::ReadOnly:
        return "read-only";
    case FaultKind::WriteOnly:
        return "write-only";
    case FaultKind::Misaligned:
        return "misaligned";
    case FaultKind::StaleMapValue:
        return "stale-map-value";
    case FaultKind::BadCtxAccess:
        return "bad-ctx-access";
    case FaultKind::BadHelperArg:
        return "bad-helper-arg";
    case FaultKind::BadCallTarget:
        return "bad-call-target";
    case FaultKind::CallDepth:
        return "call-depth";
    case FaultKind::BudgetExhausted:
        return "budget-exhausted";
    case FaultKind::HelperAbort:
        return "helper-abort";
    case FaultKind::UnreleasedRef:
        return "unreleased-ref";
    }
    std::unreachable();
}

std::string_view name_of(MemoryClass memory_class) {
    switch (memory_class) {
    case MemoryClass::None:
        return "no known region";
    case MemoryClass::Stack:
        return "stack";
    case MemoryClass::Ctx:
        return "ctx";
    case MemoryClass::Packet:
        return "packet";
    case MemoryClass::MapValue:
        return "map value";
    case MemoryClass::Helper:
        return "helper memory";
    }
    std::unreachable();
}

} // namespace ebpfvm
