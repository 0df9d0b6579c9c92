#include "jit/opt/fold.hpp"

#include "isa/semantics.hpp"
#include "jit/opt/divide.hpp"
#include "support/bits.hpp"

#include <bit>
#include <limits>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

namespace sem = isa::semantics;

template <class U>
std::uint64_t compute(Kind kind, U a, U b) {
    constexpr unsigned kMask = std::numeric_limits<U>::digits - 1;
    switch (kind) {
    case Kind::Add:
        return sem::Add{}(a, b);
    case Kind::Sub:
        return sem::Sub{}(a, b);
    case Kind::Mul:
        return sem::Mul{}(a, b);
    case Kind::MulHigh:
        return U((static_cast<Wide>(a) * b) >> 64);
    case Kind::And:
        return a & b;
    case Kind::Or:
        return a | b;
    case Kind::Xor:
        return a ^ b;
    case Kind::Shl:
        return sem::Lsh{}(a, b);
    case Kind::Shr:
        return sem::Rsh{}(a, b);
    case Kind::Sar:
        return sem::Arsh{}(a, b);
    case Kind::Rotl:
        return std::rotl(a, int(b & kMask));
    case Kind::Udiv:
        return sem::Div{}(a, b);
    case Kind::Umod:
        return sem::Mod{}(a, b);
    case Kind::Sdiv:
        return sem::Sdiv{}(a, b);
    case Kind::Smod:
        return sem::Smod{}(a, b);
    default:
        std::unreachable();
    }
}

// Of the low `bytes` bytes.
std::uint64_t sign_extend(std::uint64_t value, unsigned bytes) {
    const unsigned shift = 64 - 8 * bytes;
    return std::uint64_t(std::int64_t(value << shift) >> shift);
}

} // namespace

std::uint64_t fold(Kind kind, Width width, std::uint64_t a, std::uint64_t b) {
    return width == Width::W64 ? compute<std::uint64_t>(kind, a, b)
                               : compute<std::uint32_t>(kind, std::uint32_t(a), std::uint32_t(b));
}

std::uint64_t fold(const Node& node, std::uint64_t a) {
    const std::uint64_t width_mask = low_mask(bits_in(node.width));
    switch (node.kind) {
    case Kind::Neg:
        return (0 - a) & width_mask;
    case Kind::Not:
        return ~a & width_mask;
    case Kind::Zext:
        return a & low_mask(8U * node.size);
    case Kind::Sext:
        return sign_extend(a, node.size) & width_mask;
    case Kind::Bswap:
        return byteswap(a) >> (64 - 8 * node.size);
    default:
        std::unreachable();
    }
}

std::optional<std::uint64_t> fold_load(const Function& fn, const Node& load) {
    if (!fn.is_const(load.args[0]) || load.args[1] != 0 || load.is_ordered) {
        return std::nullopt;
    }
    const std::uint64_t address = fn.value_of(load.args[0]) + std::uint64_t(load.imm);
    const auto bytes = fn.code->frozen_bytes(address, load.size);
    return bytes && load.is_signed ? sign_extend(*bytes, load.size) : bytes;
}

} // namespace ebpfvm::jit::opt
