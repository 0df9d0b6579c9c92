#include "jit/opt/target.hpp"

#include "jit/find_code.hpp"

#include <bit>

namespace ebpfvm::jit::opt {

namespace {

constexpr Constraints constraints_of(Kind kind) {
    switch (kind) {
    case Kind::Sub:
        return {.late = 2};
    case Kind::MulHigh:
    case Kind::Udiv:
    case Kind::Umod:
    case Kind::Sdiv:
    case Kind::Smod:
        return {.clobbers = 1U << kRax | 1U << kRdx,
                .late = 2,
                .is_made_late = true,
                .result_hint = std::int8_t(kind == Kind::Udiv || kind == Kind::Sdiv ? kRax : kRdx)};
    case Kind::Select:
        return {.late = 7}; // compared while, or moved after, the result is begun
    case Kind::Exchange:
        return {.late = 3};
    case Kind::Fetch:
    case Kind::CompareExchange:
        return {.clobbers = 1U << kRax, .late = 7, .is_made_late = true, .result_hint = kRax};
    case Kind::CallHelper:
    case Kind::CallThunk:
    case Kind::CallLocal:
    case Kind::TailCall:
        return {.clobbers = kCallClobbers, .is_made_late = true, .result_hint = kRax};
    case Kind::Find:
        return {.clobbers = kFindClobbers, .is_made_late = true, .result_hint = kRax};
    default: // of two arguments, either may be in the result's register
        return {};
    }
}

Constraints constraints_of_shift(const Function& fn, const Node& node, const Cpu& cpu) {
    if (fn.is_const(node.args[1]) && fn[node.args[1]].block == kNoBlock) {
        return {};
    }
    if (cpu.has_bmi2) {
        return {.late = 2};
    }
    return {.clobbers = 1U << kRcx, .late = 3};
}

} // namespace

Constraints constraints_of(const Function& fn, const Node& node, const Cpu& cpu) {
    static constexpr auto kConstraints = by_kind([](Kind kind) { return constraints_of(kind); });
    if (node.kind >= Kind::Shl && node.kind <= Kind::Rotl) {
        return constraints_of_shift(fn, node, cpu);
    }
    if (node.kind == Kind::Fetch && node.alu == isa::AluOp::Add) {
        return {.late = 3};
    }
    return kConstraints[std::size_t(node.kind)];
}

// lea and shl are fast.
std::uint32_t latency_of_factor(std::uint64_t factor) {
    return factor == 1                                                                ? 0
           : factor == 3 || factor == 5 || factor == 9 || std::has_single_bit(factor) ? 1
                                                                                      : 3;
}

std::uint32_t latency_of(const Function& fn, const Node& node) {
    switch (node.kind) {
    case Kind::Mul:
        return fn.is_const(node.args[1]) ? latency_of_factor(fn.value_of(node.args[1])) : 3;
    case Kind::MulHigh:
        return 4;
    case Kind::Load:
        return 5;
    case Kind::Udiv:
    case Kind::Umod:
    case Kind::Sdiv:
    case Kind::Smod:
        return 15;
    case Kind::Select:
    case Kind::Bswap:
        return 2;
    default:
        return 1;
    }
}

} // namespace ebpfvm::jit::opt
