// Bytes as a value tree, by the BTF type they have.
#pragma once

#include "cli/json.hpp"
#include "ebpfvm/btf.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace ebpfvm::cli {

/// Integers, bools and floats as numbers, enumerators by name, structs and unions as objects,
/// arrays as arrays, text in char arrays as a string, bytes in unsigned char arrays and pointers as
/// hex. Whatever BTF does not describe (id 0, `btf` nullptr, a type that needs more bytes) is hex.
[[nodiscard]] Json value_of(const Btf* btf, std::uint32_t type_id,
                            std::span<const std::byte> bytes);

/// Numbers added up, member by member and element by element; nullopt if the values are not alike
/// or hold something else than integers.
[[nodiscard]] std::optional<Json> sum_of(const Json::Array& values);

} // namespace ebpfvm::cli
