#include "jit/opt/known_bits.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {

std::uint8_t bits_of(const Function& fn, const Node& node) {
    const unsigned width = bits_in(node.width);
    const auto bits = [&](unsigned i) { return std::min<unsigned>(fn[node.args[i]].bits, width); };
    const bool has_const = node.args[1] != 0 && fn.is_const(node.args[1]);
    const auto count = [&] { return unsigned(fn.value_of(node.args[1])) & (width - 1); };
    const auto result = [&]() -> unsigned {
        switch (node.kind) {
        case Kind::Const:
            return node.bits;
        case Kind::Add:
            return std::min(width, std::max(bits(0), bits(1)) + 1);
        case Kind::Mul:
            return std::min(width, bits(0) + bits(1));
        case Kind::And:
            return std::min(bits(0), bits(1));
        case Kind::Or:
        case Kind::Xor:
            return std::max(bits(0), bits(1));
        case Kind::Shl:
            return has_const ? std::min(width, bits(0) + count()) : width;
        case Kind::Shr:
            return has_const ? bits(0) - std::min(bits(0), count()) : bits(0);
        case Kind::Sar:
            return bits(0) < width ? bits(0) : width;
        case Kind::Udiv:
            return bits(0);
        case Kind::Umod:
            return has_const && fn.value_of(node.args[1]) != 0 ? std::min(bits(0), bits(1))
                                                               : bits(0);
        case Kind::Zext:
            return std::min<unsigned>(8U * node.size, fn[node.args[0]].bits);
        case Kind::Bswap:
            return 8U * node.size;
        case Kind::Select:
            return std::max(fn[node.args[2]].bits, fn[node.args[3]].bits);
        case Kind::StateField:
        case Kind::Load:
        case Kind::Fetch:
        case Kind::Exchange:
        case Kind::CompareExchange:
            return node.is_signed ? 64 : 8U * node.size;
        case Kind::Phi: {
            unsigned most = 0;
            for (const ValueId value : fn.list(node)) {
                most = std::max<unsigned>(most, fn[value].bits);
            }
            return most;
        }
        case Kind::Sub:
        case Kind::MulHigh:
        case Kind::Rotl:
        case Kind::Sdiv:
        case Kind::Smod:
        case Kind::Neg:
        case Kind::Not:
        case Kind::Sext:
            return width;
        default:
            return 64;
        }
    };
    return std::uint8_t(result());
}

} // namespace ebpfvm::jit::opt
