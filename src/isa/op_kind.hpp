// Operations without their width and operand form, for code that treats all forms of one alike.
#pragma once

#include <cstdint>

namespace ebpfvm::isa {

enum class Width : std::uint8_t { W32, W64 };

/// Add, Sub, ... Mov, Arsh.
enum class AluOp : std::uint8_t {
#define EBPFVM_ALU(name, ...) name,
#include "ebpfvm/tables/insn.def"
};

/// Jeq, Jgt, ...
enum class JmpOp : std::uint8_t {
#define EBPFVM_JMP(name, ...) name,
#include "ebpfvm/tables/insn.def"
};

} // namespace ebpfvm::isa
