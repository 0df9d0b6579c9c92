// BTF type information: a bounds-checked reader, and the questions loaders and verifiers ask.
#pragma once

#include "ebpfvm/error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ebpfvm {

/// The kernel's numbers (BTF_KIND_*).
enum class BtfKind : std::uint8_t {
    Void = 0,
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    Datasec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
};

/// "int", "ptr", "struct"...
[[nodiscard]] std::string_view name_of(BtfKind kind);

} // namespace ebpfvm
