// What each insn makes of its operands' values, wherever they come from.
#pragma once

#include "exec/code.hpp"
#include "exec/memory.hpp"
#include "isa/semantics.hpp"

#include <type_traits>

namespace ebpfvm::interp {

/// The operand type of an opcode class: 7 is ALU64, 4 is ALU.
template <int kClass>
using OperandOf = std::conditional_t<kClass == 7, std::uint64_t, std::uint32_t>;

/// What arithmetic, or a load, puts in its dst.
template <isa::Op>
std::uint64_t compute(const exec::Slot& at, std::uint64_t dst, std::uint64_t src) = delete;
/// Does it jump?
template <isa::Op>
bool jumps(const exec::Slot& at, std::uint64_t dst, std::uint64_t src) = delete;
/// Does the store.
template <isa::Op>
void store(const exec::Slot& at, std::uint64_t dst, std::uint64_t src) = delete;

// clang-format off
#define EBPFVM_COMPUTE(op, value)                                                                  \
    template <>                                                                                    \
    inline std::uint64_t compute<isa::Op::op>([[maybe_unused]] const exec::Slot& at,               \
                                              [[maybe_unused]] std::uint64_t dst,                  \
                                              [[maybe_unused]] std::uint64_t src) { return value; }
#define EBPFVM_ALU(name, ...)                                                                      \
    EBPFVM_COMPUTE(name##32Imm, isa::semantics::name{}(std::uint32_t(dst), std::uint32_t(at.imm))) \
    EBPFVM_COMPUTE(name##32Reg, isa::semantics::name{}(std::uint32_t(dst), std::uint32_t(src)))    \
    EBPFVM_COMPUTE(name##64Imm, isa::semantics::name{}(dst, std::uint64_t(at.imm)))                \
    EBPFVM_COMPUTE(name##64Reg, isa::semantics::name{}(dst, src))
#define EBPFVM_NEG(name, ...)                                                                      \
    EBPFVM_COMPUTE(name##32, isa::semantics::name{}(std::uint32_t(dst)))                           \
    EBPFVM_COMPUTE(name##64, isa::semantics::name{}(dst))
#define EBPFVM_MOVSX(name, cls, bits, text)                                                        \
    EBPFVM_COMPUTE(name, isa::semantics::SignExtend<bits>{}(OperandOf<cls>(src)))
#define EBPFVM_SWAP(name, ...) EBPFVM_COMPUTE(name, isa::semantics::name{}(dst))
#define EBPFVM_LOAD(name, code, T, text)                                                           \
    template <>                                                                                    \
    EBPFVM_PROGRAM_MEMORY inline std::uint64_t compute<isa::Op::name>(                             \
        const exec::Slot& at, std::uint64_t, std::uint64_t src) {                                  \
        return exec::load_as<T>(src + std::uint64_t(std::int64_t(at.off)));                        \
    }
#define EBPFVM_STORE_OF(op, T, value)                                                              \
    template <>                                                                                    \
    EBPFVM_PROGRAM_MEMORY inline void store<isa::Op::op>(                                          \
        const exec::Slot& at, std::uint64_t dst, [[maybe_unused]] std::uint64_t src) {             \
        exec::store_as<T>(dst + std::uint64_t(std::int64_t(at.off)), value);                       \
    }
#define EBPFVM_STORE(name, size_bits, T, text)                                                     \
    EBPFVM_STORE_OF(name##Imm, T, std::uint64_t(at.imm))                                           \
    EBPFVM_STORE_OF(name##Reg, T, src)
#define EBPFVM_JUMPS(op, condition)                                                                \
    template <>                                                                                    \
    inline bool jumps<isa::Op::op>([[maybe_unused]] const exec::Slot& at, std::uint64_t dst,       \
                                   [[maybe_unused]] std::uint64_t src) { return condition; }
#define EBPFVM_JMP(name, ...)                                                                      \
    EBPFVM_JUMPS(name##32Imm, isa::semantics::name{}(std::uint32_t(dst), std::uint32_t(at.imm)))   \
    EBPFVM_JUMPS(name##32Reg, isa::semantics::name{}(std::uint32_t(dst), std::uint32_t(src)))      \
    EBPFVM_JUMPS(name##64Imm, isa::semantics::name{}(dst, std::uint64_t(at.imm)))                  \
    EBPFVM_JUMPS(name##64Reg, isa::semantics::name{}(dst, src))
#include "ebpfvm/tables/insn.def"
#undef EBPFVM_COMPUTE
#undef EBPFVM_STORE_OF
#undef EBPFVM_JUMPS
// clang-format on

} // namespace ebpfvm::interp
