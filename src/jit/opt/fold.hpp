// What operations compute of constants, by the definitions that the interpreter uses.
#pragma once

#include "jit/opt/ir.hpp"

#include <cstdint>
#include <optional>

namespace ebpfvm::jit::opt {

/// Of an operation on two values: is_binary().
[[nodiscard]] std::uint64_t fold(Kind kind, Width width, std::uint64_t a, std::uint64_t b);
/// Of one on a single value: is_unary().
[[nodiscard]] std::uint64_t fold(const Node& node, std::uint64_t a);

/// What a load at a constant address gets, if nobody can change it.
[[nodiscard]] std::optional<std::uint64_t> fold_load(const Function& fn, const Node& load);

} // namespace ebpfvm::jit::opt
