// What each arithmetic operation does to a scalar. The definitions at both widths are one.
#include "isa/semantics.hpp"
#include "verifier/domains/bounds_alu.hpp"
#include "verifier/domains/scalar.hpp"

#include <utility>

namespace ebpfvm::verifier {
namespace {

using isa::AluOp;
using isa::Width;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

/// An operand or result at one width. The bits above the width are zero.
template <class U>
struct View {
    Tnum bits;
    Bounds<U> range;
};

template <class U>
View<U> view(const Scalar& s) {
    return {truncate(kWidth<U>, s.bits), bounds<U>(s)};
}

Scalar reduced(Scalar s) {
    return reduce(s) ? s : Scalar::unknown(); // only an empty operand gives an empty result
}
Scalar from_view(const View<u64>& v) {
    return {v.bits, v.range.u, v.range.s, Range<u32>::unknown(), Bounds<u32>::unknown().s};
}
Scalar from_view(const View<u32>& v) {
    return {truncate(32, v.bits),
            {v.range.u.min, v.range.u.max},
            {0, std::int64_t(v.range.u.max)},
            v.range.u,
            v.range.s};
}

template <class U>
U fold(AluOp op, U dst, U src) {
    switch (op) {
#define EBPFVM_ALU(name, ...)                                                                      \
    case AluOp::name:                                                                              \
        return isa::semantics::name{}(dst, src);
#include "ebpfvm/tables/insn.def"
    }
    std::unreachable();
}

template <class U>
Counts counts_of(const View<U>& src) {
    constexpr unsigned kMask = kWidth<U> - 1;
    const Range<U>& u = src.range.u;
    Counts counts{unsigned(src.bits.value) & kMask, unsigned(src.bits.max()) & kMask};
    if (u.min / kWidth<U> == u.max / kWidth<U>) {
        counts = {std::max(counts.min, unsigned(u.min) & kMask),
                  std::min(counts.max, unsigned(u.max) & kMask)};
    }
    return counts.min <= counts.max ? counts : Counts{0, kMask};
}

/// The join of shift(count) over all counts.
template <class Shift>
Tnum shift_bits(Counts counts, Shift shift) {
    Tnum result = shift(counts.min);
    for (unsigned count = counts.min + 1; count <= counts.max && ~result.mask != 0; ++count) {
        result = join(result, shift(count));
    }
    return result;
}

/// Left shifts by at least half the word depend on the low half alone.
Bounds<u64> lsh_half(const Bounds<u32>& half, unsigned count) {
    const Bounds<u64> word{{half.u.min, half.u.max}, {half.s.min, half.s.max}};
    return both(lsh(Bounds<u64>::arc(word.u.min, word.u.max), count),
                lsh(Bounds<u64>::arc(u64(word.s.min), u64(word.s.max)), count));
}

template <class U>
View<U> shift_left(const View<U>& dst, Counts counts) {
    return {truncate(kWidth<U>, shift_bits(counts, [&](unsigned n) { return lsh(dst.bits, n); })),
            lsh(dst.range, counts)};
}
template <class U>
View<U> shift_right(const View<U>& dst, Counts counts) {
    return {shift_bits(counts, [&](unsigned n) { return rsh(dst.bits, n); }),
            rsh(dst.range, counts)};
}
template <class U>
View<U> shift_right_signed(const View<U>& dst, Counts counts) {
    const Tnum bits = sign_extend(kWidth<U>, dst.bits);
    return {truncate(kWidth<U>, shift_bits(counts, [&](unsigned n) { return arsh(bits, n); })),
            arsh(dst.range, counts)};
}

template <class U>
View<U> divide(const View<U>& dst, const View<U>& src) {
    const Tnum quotient = src.bits.is_constant() && std::has_single_bit(src.bits.value)
                              ? rsh(dst.bits, unsigned(std::countr_zero(src.bits.value)))
                              : Tnum::of_bits(kWidth<U>);
    return {quotient, div(dst.range, src.range)};
}

/// A multiple of 2^n as divisor leaves the low n bits of the dividend in the remainder.
template <class U>
Tnum remainder_bits(const View<U>& dst, const View<U>& src) {
    const u64 kept = low_mask(src.bits.trailing_zeros());
    const u64 lost = ~kept & low_mask(kWidth<U>);
    return {dst.bits.value & kept, (dst.bits.mask & kept) | lost};
}

/// Bounds of the operations that act on the low half of a word as on a word of its own.
template <class U>
Bounds<U> ring_bounds(AluOp op, const Bounds<U>& dst, const Bounds<U>& src) {
    switch (op) {
    case AluOp::Add:
        return add(dst, src);
    case AluOp::Sub:
        return sub(dst, src);
    case AluOp::Mul:
        return mul(dst, src);
    case AluOp::Or:
        return bit_or(dst, src);
    case AluOp::And:
        return bit_and(dst, src);
    case AluOp::Xor:
        return bit_xor(dst, src);
    case AluOp::Mov:
        return src;
    case AluOp::Div:
    case AluOp::Sdiv:
    case AluOp::Mod:
    case AluOp::Smod:
    case AluOp::Lsh:
    case AluOp::Rsh:
    case AluOp::Arsh:
        return Bounds<U>::unknown();
    }
    std::unreachable();
}

template <class U>
View<U> transfer(AluOp op, const View<U>& dst, const View<U>& src) {
    const Bounds<U> range = ring_bounds(op, dst.range, src.range);
    switch (op) {
    case AluOp::Add:
        return {add(dst.bits, src.bits), range};
    case AluOp::Sub:
        return {sub(dst.bits, src.bits), range};
    case AluOp::Mul:
        return {mul(dst.bits, src.bits), range};
    case AluOp::Or:
        return {bit_or(dst.bits, src.bits), range};
    case AluOp::And:
        return {bit_and(dst.bits, src.bits), range};
    case AluOp::Xor:
        return {bit_xor(dst.bits, src.bits), range};
    case AluOp::Mov:
        return src;
    case AluOp::Div:
        return divide(dst, src);
    case AluOp::Sdiv:
        return {Tnum::of_bits(kWidth<U>), sdiv(dst.range, src.range)};
    case AluOp::Mod:
        return {remainder_bits(dst, src), mod(dst.range, src.range)};
    case AluOp::Smod:
        return {remainder_bits(dst, src), smod(dst.range, src.range)};
    case AluOp::Lsh:
        return shift_left(dst, counts_of(src));
    case AluOp::Rsh:
        return shift_right(dst, counts_of(src));
    case AluOp::Arsh:
        return shift_right_signed(dst, counts_of(src));
    }
    std::unreachable();
}

Scalar apply_word(AluOp op, const Scalar& dst, const Scalar& src) {
    Scalar result = from_view(transfer(op, view<u64>(dst), view<u64>(src)));
    Bounds<u32> half = Bounds<u32>::unknown();
    if (op == AluOp::Lsh) {
        const Counts counts = counts_of(view<u64>(src));
        if (counts.max < 32) {
            half = lsh(bounds<u32>(dst), counts);
        } else if (counts.min == counts.max) {
            const Bounds<u64> word =
                both(bounds<u64>(result), lsh_half(bounds<u32>(dst), counts.min));
            result.u64 = word.u;
            result.s64 = word.s;
        }
    } else {
        half = ring_bounds(op, bounds<u32>(dst), bounds<u32>(src));
    }
    result.u32 = half.u;
    result.s32 = half.s;
    return reduced(result);
}

} // namespace

Scalar apply(AluOp op, Width width, const Scalar& dst, const Scalar& src) {
    if (dst.is_constant() && src.is_constant()) {
        return Scalar::constant(width == Width::W64 ? fold(op, dst.value(), src.value())
                                                    : fold(op, u32(dst.value()), u32(src.value())));
    }
    if (width == Width::W64) {
        return op == AluOp::Mov ? src : apply_word(op, dst, src);
    }
    return reduced(from_view(transfer(op, view<u32>(dst), view<u32>(src))));
}

Scalar negate(Width width, const Scalar& s) {
    return apply(AluOp::Sub, width, Scalar::constant(0), s);
}

Scalar sign_extend(unsigned from_bits, Width width, const Scalar& s) {
    const unsigned count = (width == Width::W64 ? 64 : 32) - from_bits;
    const Scalar by = Scalar::constant(count);
    return apply(AluOp::Arsh, width, apply(AluOp::Lsh, width, s, by), by);
}

Scalar truncate(unsigned bits, const Scalar& s) {
    if (bits == 64) {
        return s;
    }
    if (bits == 32) {
        return reduced(from_view(view<u32>(s)));
    }
    const Scalar by = Scalar::constant(32 - bits);
    return apply(AluOp::Rsh, Width::W32, apply(AluOp::Lsh, Width::W32, s, by), by);
}

Scalar byteswap(unsigned bits, const Scalar& s) {
    Scalar result = Scalar::of_bits(bits);
    result.bits = byteswap(bits, s.bits);
    return reduced(result);
}

Scalar bytes_of(const Scalar& s, unsigned byte_off, unsigned size) {
    return truncate(size * 8, apply(AluOp::Rsh, Width::W64, s, Scalar::constant(byte_off * 8)));
}

} // namespace ebpfvm::verifier
