// The rows of tables/insn.def as data.
#include "isa/opcode.hpp"

#include <algorithm>
#include <utility>

namespace ebpfvm::isa {
namespace {

constexpr Field kFix = Field::Fixed;
constexpr Field kOpd = Field::Operand;

consteval OpInfo row(Op op, std::string_view name, Shape shape, bool is_64, unsigned code,
                     std::array<Field, 4> fields, std::string_view text, int src_value = 0,
                     int off_value = 0, int imm_value = 0) {
    return {op,
            name,
            shape,
            is_64,
            std::uint8_t(code),
            fields[0],
            fields[1],
            fields[2],
            fields[3],
            std::uint8_t(src_value),
            std::int16_t(off_value),
            std::int32_t(imm_value),
            text};
}

// Which of dst, src, off, imm are operands.
constexpr std::array kDst{kOpd, kFix, kFix, kFix};
constexpr std::array kDstSrc{kOpd, kOpd, kFix, kFix};
constexpr std::array kDstImm{kOpd, kFix, kFix, kOpd};
constexpr std::array kDstSrcOff{kOpd, kOpd, kOpd, kFix};
constexpr std::array kDstOffImm{kOpd, kFix, kOpd, kOpd};
constexpr std::array kSrcImm{kFix, kOpd, kFix, kOpd};
constexpr std::array kOff{kFix, kFix, kOpd, kFix};
constexpr std::array kImm{kFix, kFix, kFix, kOpd};
constexpr std::array kOffImm{kFix, kFix, kOpd, kOpd};
constexpr std::array kNone{kFix, kFix, kFix, kFix};

// Operand fields of the EBPFVM_LDPKT and EBPFVM_CONTROL shapes.
consteval std::array<Field, 4> operands_of(Shape shape) {
    switch (shape) {
    case Shape::LdAbs:
    case Shape::Jal:
    case Shape::CallHelper:
    case Shape::CallLocal:
    case Shape::CallxImm:
        return kImm;
    case Shape::LdInd:
        return kSrcImm;
    case Shape::Ja:
    case Shape::MayGoto:
        return kOff;
    case Shape::CallKfunc:
        return kOffImm;
    case Shape::Callx:
        return kDst;
    case Shape::Exit:
        return kNone;
    case Shape::AddrSpaceCast:
        return {kOpd, kOpd, kFix, kOpd};
    case Shape::AluImm: // the rest have macros of their own
    case Shape::AluReg:
    case Shape::Neg:
    case Shape::Movsx:
    case Shape::Swap:
    case Shape::JmpImm:
    case Shape::JmpReg:
    case Shape::Load:
    case Shape::StoreImm:
    case Shape::StoreReg:
    case Shape::Atomic:
    case Shape::AtomicFetch:
    case Shape::LoadAcquire:
    case Shape::StoreRelease:
    case Shape::Lddw:
        break;
    }
    std::unreachable();
}

consteval int src_of(Shape shape) {
    return shape == Shape::CallLocal   ? int(CallSrc::Local)
           : shape == Shape::CallKfunc ? int(CallSrc::Kfunc)
                                       : 0;
}

constexpr std::int16_t kCastOff = 1; // BPF_ADDR_SPACE_CAST

constexpr std::array<OpInfo, kOpCount> kOps{{
#define EBPFVM_ALU(name, code, off, text)                                                          \
    row(Op::name##32Imm, #name "32Imm", Shape::AluImm, false, 0x04 | (code), kDstImm, text, 0,     \
        off),                                                                                      \
        row(Op::name##32Reg, #name "32Reg", Shape::AluReg, false, 0x0c | (code), kDstSrc, text, 0, \
            off),                                                                                  \
        row(Op::name##64Imm, #name "64Imm", Shape::AluImm, true, 0x07 | (code), kDstImm, text, 0,  \
            off),                                                                                  \
        row(Op::name##64Reg, #name "64Reg", Shape::AluReg, true, 0x0f | (code), kDstSrc, text, 0,  \
            off),
#define EBPFVM_NEG(name, code)                                                                     \
    row(Op::name##32, #name "32", Shape::Neg, false, 0x04 | (code), kDst, "-"),                    \
        row(Op::name##64, #name "64", Shape::Neg, true, 0x07 | (code), kDst, "-"),
#define EBPFVM_MOVSX(name, cls, bits, text)                                                        \
    row(Op::name, #name, Shape::Movsx, (cls) == 7, 0xb8 | (cls), kDstSrc, text, 0, bits),
#define EBPFVM_SWAP(name, code, bits, text)                                                        \
    row(Op::name, #name, Shape::Swap, true, code, kDst, text, 0, 0, bits),
#define EBPFVM_JMP(name, code, text)                                                               \
    row(Op::name##32Imm, #name "32Imm", Shape::JmpImm, false, 0x06 | (code), kDstOffImm, text),    \
        row(Op::name##32Reg, #name "32Reg", Shape::JmpReg, false, 0x0e | (code), kDstSrcOff,       \
            text),                                                                                 \
        row(Op::name##64Imm, #name "64Imm", Shape::JmpImm, true, 0x05 | (code), kDstOffImm, text), \
        row(Op::name##64Reg, #name "64Reg", Shape::JmpReg, true, 0x0d | (code), kDstSrcOff, text),
#define EBPFVM_LOAD(name, code, type, text)                                                        \
    row(Op::name, #name, Shape::Load, true, code, kDstSrcOff, text),
#define EBPFVM_STORE(name, size, type, text)                                                       \
    row(Op::name##Imm, #name "Imm", Shape::StoreImm, true, 0x62 | (size), kDstOffImm, text),       \
        row(Op::name##Reg, #name "Reg", Shape::StoreReg, true, 0x63 | (size), kDstSrcOff, text),
#define EBPFVM_ATOMIC(name, imm, text)                                                             \
    row(Op::name##32, #name "32", Shape::Atomic, false, 0xc3, kDstSrcOff, text, 0, 0, imm),        \
        row(Op::name##64, #name "64", Shape::Atomic, true, 0xdb, kDstSrcOff, text, 0, 0, imm),
#define EBPFVM_ATOMIC_FETCH(name, imm, text)                                                       \
    row(Op::name##32, #name "32", Shape::AtomicFetch, false, 0xc3, kDstSrcOff, text, 0, 0, imm),   \
        row(Op::name##64, #name "64", Shape::AtomicFetch, true, 0xdb, kDstSrcOff, text, 0, 0,      \
            imm),
#define EBPFVM_LOAD_ACQUIRE(name, code, type, text)                                                \
    row(Op::name, #name, Shape::LoadAcquire, true, code, kDstSrcOff, text, 0, 0, 0x100),
#define EBPFVM_STORE_RELEASE(name, code, type, text)                                               \
    row(Op::name, #name, Shape::StoreRelease, true, code, kDstSrcOff, text, 0, 0, 0x110),
#define EBPFVM_LDDW(name, src, hi, text)                                                           \
    row(Op::name, #name, Shape::Lddw, true, 0x18, kDstImm, text, src),
#define EBPFVM_LDPKT(name, code, shape, type, text)                                                \
    row(Op::name, #name, Shape::shape, true, code, operands_of(Shape::shape), text),
#define EBPFVM_CONTROL(name, code, shape, text)                                                    \
    row(Op::name, #name, Shape::shape, true, code, operands_of(Shape::shape), text,                \
        src_of(Shape::shape), Shape::shape == Shape::AddrSpaceCast ? kCastOff : 0),
#include "ebpfvm/tables/insn.def"
}};

consteval bool rows_are_in_enum_order() {
    for (unsigned i = 0; i < kOpCount; ++i) {
        if (unsigned(kOps[i].op) != i || kOps[i].shape != kShapes[i]) {
            return false;
        }
    }
    return true;
}
static_assert(rows_are_in_enum_order());

} // namespace

const std::array<OpInfo, kOpCount>& all_ops() {
    return kOps;
}

const OpInfo& info(Op op) {
    return kOps[unsigned(op)];
}

const OpInfo* find_op(Shape shape, std::string_view text, bool is_64) {
    const auto found = std::ranges::find_if(kOps, [&](const OpInfo& row) {
        return row.shape == shape && row.is_64 == is_64 && row.text == text;
    });
    return found == kOps.end() ? nullptr : &*found;
}

bool has_second_imm(Op op) {
    enum Hi { Zero, Value };
    return false
#define EBPFVM_LDDW(name, src, hi, text) || (op == Op::name && hi == Value)
#include "ebpfvm/tables/insn.def"
        ;
}

} // namespace ebpfvm::isa
