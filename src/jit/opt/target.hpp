// What the machine's insns want of their operands: allocate() and emit() must agree on it.
#pragma once

#include "jit/jit.hpp"
#include "jit/opt/ir.hpp"

namespace ebpfvm::jit::opt {

// Registers by x86's numbers.
inline constexpr unsigned kRax = 0;
inline constexpr unsigned kRcx = 1;
inline constexpr unsigned kRdx = 2;
inline constexpr unsigned kRbx = 3;
inline constexpr unsigned kRsp = 4;
inline constexpr unsigned kRbp = 5;
inline constexpr unsigned kRsi = 6;
inline constexpr unsigned kRdi = 7;
inline constexpr unsigned kMachineRegs = 16;
/// Free between insns, for moves: r11.
inline constexpr unsigned kScratch = 11;
/// What Anchor says: r12.
inline constexpr unsigned kAnchorReg = 12;

inline constexpr std::uint32_t kCallClobbers =
    1U << kRax | 1U << kRcx | 1U << kRdx | 1U << kRsi | 1U << kRdi | 1U << 8 | 1U << 9 | 1U << 10;
inline constexpr std::uint32_t kSavedByCallee =
    1U << kRbx | 1U << kRbp | 1U << 12 | 1U << 13 | 1U << 14 | 1U << 15;
/// r1..r5 of a call, of helpers and subprograms alike; thunks and helpers get the RunState before.
inline constexpr std::array<std::uint8_t, 5> kArgRegs = {kRsi, kRdx, kRcx, 8, 9};

/// Is it there when the function is entered?
[[nodiscard]] inline bool is_param(const Function& fn, const Node& node) {
    return node.kind == Kind::Param || (node.kind == Kind::HostCtx && fn.anchor == Anchor::None);
}
[[nodiscard]] inline std::uint8_t param_reg(const Function& fn, const Node& node) {
    return fn.anchor == Anchor::None ? std::uint8_t(kRdi) : kArgRegs[std::size_t(node.imm) - 1];
}

/// What an insn does to registers besides making its value.
struct Constraints {
    std::uint32_t clobbers = 0; ///< bits; what it reads may still be in them
    std::uint8_t late = 0;      ///< arguments (bits) that must not share a register with the result
    bool is_made_late = false;  ///< the result may be in a register that is clobbered
    std::int8_t result_hint = -1;
};
[[nodiscard]] Constraints constraints_of(const Function& fn, const Node& node, const Cpu& cpu);

[[nodiscard]] inline bool is_imm32(std::int64_t value) {
    return value == std::int32_t(value);
}

/// Is a Const or Frame written into the insn, so that it needs no register? Not for lists.
[[nodiscard]] inline bool takes_imm(const Function& fn, const Node& node, unsigned arg) {
    if (fn[node.args[arg]].kind == Kind::Frame) {
        return node.kind == Kind::Return || (arg == 0 && is_access(node.kind));
    }
    const auto value = std::int64_t(fn.value_of(node.args[arg]));
    const bool fits =
        is_imm32(value) || (node.width == Width::W32 && std::uint64_t(value) <= 0xffff'ffff);
    switch (node.kind) {
    case Kind::Add:
    case Kind::Or:
    case Kind::Xor:
    case Kind::Mul:
        return arg == 1 && fits;
    case Kind::And: // the upper half of an immediate of 32 bits may be zero, too
        return arg == 1 && (fits || std::uint64_t(value) <= 0xffff'ffff);
    case Kind::Sub:
    case Kind::Shl:
    case Kind::Shr:
    case Kind::Sar:
    case Kind::Rotl:
        return arg == 0 ? !fn.is_const(node.args[1]) : node.kind != Kind::Sub || fits;
    case Kind::Branch:
        return arg == 1 && fits;
    case Kind::Select:
        return (arg == 1 && fits) || arg == 3 ||
               (arg == 2 && value == 1 && fn.is_const(node.args[3], 0)); // setcc
    case Kind::Store:
        return arg == 2 && (is_imm32(value) || node.size < 8);
    case Kind::Return:
        return true;
    default:
        return false;
    }
}

/// How many cycles it takes, more or less, until the value is there.
[[nodiscard]] std::uint32_t latency_of(const Function& fn, const Node& node);
/// Of a multiplication by a constant.
[[nodiscard]] std::uint32_t latency_of_factor(std::uint64_t factor);

} // namespace ebpfvm::jit::opt
