// The dense operation numbers and what the encoding of each demands, all from tables/insn.def.
#pragma once

#include "ebpfvm/insn.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace ebpfvm::isa {

/// Every operation with its width and operand form: Add32Imm, Ldxb, FetchAdd64, Jeq64Reg, Exit...
enum class Op : std::uint8_t {
#define EBPFVM_ALU(name, ...) name##32Imm, name##32Reg, name##64Imm, name##64Reg,
#define EBPFVM_NEG(name, ...) name##32, name##64,
#define EBPFVM_MOVSX(name, ...) name,
#define EBPFVM_SWAP(name, ...) name,
#define EBPFVM_JMP(name, ...) name##32Imm, name##32Reg, name##64Imm, name##64Reg,
#define EBPFVM_LOAD(name, ...) name,
#define EBPFVM_STORE(name, ...) name##Imm, name##Reg,
#define EBPFVM_ATOMIC(name, ...) name##32, name##64,
#define EBPFVM_ATOMIC_FETCH(name, ...) name##32, name##64,
#define EBPFVM_LOAD_ACQUIRE(name, ...) name,
#define EBPFVM_STORE_RELEASE(name, ...) name,
#define EBPFVM_LDDW(name, ...) name,
#define EBPFVM_LDPKT(name, ...) name,
#define EBPFVM_CONTROL(name, ...) name,
#include "ebpfvm/tables/insn.def"
};

inline constexpr unsigned kOpCount = 0
#define EBPFVM_ALU(...) +4
#define EBPFVM_NEG(...) +2
#define EBPFVM_MOVSX(...) +1
#define EBPFVM_SWAP(...) +1
#define EBPFVM_JMP(...) +4
#define EBPFVM_LOAD(...) +1
#define EBPFVM_STORE(...) +2
#define EBPFVM_ATOMIC(...) +2
#define EBPFVM_ATOMIC_FETCH(...) +2
#define EBPFVM_LOAD_ACQUIRE(...) +1
#define EBPFVM_STORE_RELEASE(...) +1
#define EBPFVM_LDDW(...) +1
#define EBPFVM_LDPKT(...) +1
#define EBPFVM_CONTROL(...) +1
#include "ebpfvm/tables/insn.def"
    ;

/// Which operands an instruction has; decides how it is written and read as text.
enum class Shape : std::uint8_t {
    AluImm,       ///< dst op= imm
    AluReg,       ///< dst op= src
    Neg,          ///< dst = -dst
    Movsx,        ///< dst = (sN)src
    Swap,         ///< dst = be16 dst
    JmpImm,       ///< if dst op imm goto off
    JmpReg,       ///< if dst op src goto off
    Load,         ///< dst = *(T *)(src + off)
    StoreImm,     ///< *(T *)(dst + off) = imm
    StoreReg,     ///< *(T *)(dst + off) = src
    Atomic,       ///< lock *(T *)(dst + off) op= src
    AtomicFetch,  ///< src = atomic_fetch_op((T *)(dst + off), src); xchg and cmpxchg likewise
    LoadAcquire,  ///< dst = load_acquire((T *)(src + off))
    StoreRelease, ///< store_release((T *)(dst + off), src)
    Lddw,         ///< dst = imm64 ll, or map(imm) and kin
    LdAbs,        ///< r0 = *(T *)skb[imm]
    LdInd,        ///< r0 = *(T *)skb[src + imm]
    Ja,           ///< goto off
    Jal,          ///< gotol imm
    MayGoto,      ///< may_goto off
    CallHelper,   ///< call imm
    CallLocal,    ///< call pc+imm
    CallKfunc,    ///< call kfunc imm (off: index of the BTF it is in)
    Callx,        ///< callx dst
    CallxImm,     ///< callx, register number in imm
    Exit,         ///< exit
    AddrSpaceCast ///< dst = addr_space_cast(src, imm >> 16, imm & 0xffff)
};

/// The shape of each operation, by its number.
inline constexpr std::array<Shape, kOpCount> kShapes = {
#define EBPFVM_ALU(...) Shape::AluImm, Shape::AluReg, Shape::AluImm, Shape::AluReg,
#define EBPFVM_NEG(...) Shape::Neg, Shape::Neg,
#define EBPFVM_MOVSX(...) Shape::Movsx,
#define EBPFVM_SWAP(...) Shape::Swap,
#define EBPFVM_JMP(...) Shape::JmpImm, Shape::JmpReg, Shape::JmpImm, Shape::JmpReg,
#define EBPFVM_LOAD(...) Shape::Load,
#define EBPFVM_STORE(...) Shape::StoreImm, Shape::StoreReg,
#define EBPFVM_ATOMIC(...) Shape::Atomic, Shape::Atomic,
#define EBPFVM_ATOMIC_FETCH(...) Shape::AtomicFetch, Shape::AtomicFetch,
#define EBPFVM_LOAD_ACQUIRE(...) Shape::LoadAcquire,
#define EBPFVM_STORE_RELEASE(...) Shape::StoreRelease,
#define EBPFVM_LDDW(...) Shape::Lddw,
#define EBPFVM_LDPKT(name, code, shape, ...) Shape::shape,
#define EBPFVM_CONTROL(name, code, shape, ...) Shape::shape,
#include "ebpfvm/tables/insn.def"
};
[[nodiscard]] constexpr Shape shape_of(Op op) {
    return kShapes[unsigned(op)];
}

/// Bytes that an operation loads, stores or changes in memory; 0 if it accesses none (or the
/// packet: LD_ABS and LD_IND).
[[nodiscard]] constexpr std::uint8_t access_bytes(Op op) {
    switch (op) {
#define EBPFVM_LOAD(name, code, type, text)                                                        \
    case Op::name:                                                                                 \
        return sizeof(type);
#define EBPFVM_STORE(name, size, type, text)                                                       \
    case Op::name##Imm:                                                                            \
    case Op::name##Reg:                                                                            \
        return sizeof(type);
#define EBPFVM_ATOMIC(name, ...)                                                                   \
    case Op::name##32:                                                                             \
        return 4;                                                                                  \
    case Op::name##64:                                                                             \
        return 8;
#define EBPFVM_ATOMIC_FETCH EBPFVM_ATOMIC
#define EBPFVM_LOAD_ACQUIRE EBPFVM_LOAD
#define EBPFVM_STORE_RELEASE EBPFVM_LOAD
#include "ebpfvm/tables/insn.def"
    default: // the others have only registers
        return 0;
    }
}

/// What a field of the encoding may hold.
enum class Field : std::uint8_t {
    Fixed,  ///< exactly the row's value; zero for a reserved field
    Operand ///< anything; a register must be r0..r10
};

/// One operation's encoding. `*_value` is the required value where the field is Fixed.
struct OpInfo {
    Op op;
    std::string_view name; ///< "Add32Imm"
    Shape shape;
    bool is_64; ///< operates on (or compares, or stores) 64-bit values
    std::uint8_t code;
    Field dst, src, off, imm;
    std::uint8_t src_value;
    std::int16_t off_value;
    std::int32_t imm_value;
    std::string_view text;
};

/// The row of an operation.
[[nodiscard]] const OpInfo& info(Op op);

/// All rows, in the order of Op.
[[nodiscard]] const std::array<OpInfo, kOpCount>& all_ops();

/// The row of that shape and text, e.g. AluImm and "s/="; nullptr if there is none. Shapes that
/// exist in one width only have is_64 set.
[[nodiscard]] const OpInfo* find_op(Shape shape, std::string_view text, bool is_64 = true);

/// True for the shapes whose target is another insn of the same subprogram.
[[nodiscard]] constexpr bool is_jump(Shape shape) {
    return shape == Shape::JmpImm || shape == Shape::JmpReg || shape == Shape::Ja ||
           shape == Shape::Jal || shape == Shape::MayGoto;
}

/// True for the shapes whose displacement is the immediate, not the offset field.
[[nodiscard]] constexpr bool has_target_in_imm(Shape shape) {
    return shape == Shape::Jal || shape == Shape::CallLocal || shape == Shape::Lddw;
}

/// Compares with r0, and puts the old value there: all other fetching operations use src.
[[nodiscard]] constexpr bool is_cmpxchg(Op op) {
    return op == Op::Cmpxchg32 || op == Op::Cmpxchg64;
}

/// True for the forms of lddw whose second immediate may be non-zero.
[[nodiscard]] bool has_second_imm(Op op);

} // namespace ebpfvm::isa
