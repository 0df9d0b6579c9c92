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

// Only an empty operand gives an empty result: any answer will do. What comes back is built in
// place, since copying a cache line that was just written in pieces stalls.

Scalar reduced(const Tnum& bits, const Bounds<u64>& word, const Bounds<u32>& half) {
    Scalar s{bits, word.u, word.s, half.u, half.s};
    if (!reduce(s)) {
        s = Scalar::unknown();
    }
    return s;
}
Scalar zero_extended(const Tnum& bits, const Bounds<u32>& half) {
    Scalar s{bits, {}, {}, half.u, half.s};
    if (!reduce_zero_extended(s)) {
        s = Scalar::of_bits(32);
    }
    return s;
}
Scalar from_view(const View<u64>& v) {
    return reduced(v.bits, v.range, Bounds<u32>::unknown());
}
Scalar from_view(const View<u32>& v) {
    return zero_extended(v.bits, v.range);
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

template <class U>
View<U> divide_signed(const View<U>& dst, const View<U>& src) {
    return {Tnum::of_bits(kWidth<U>), sdiv(dst.range, src.range)};
}

/// A multiple of 2^n as divisor leaves the low n bits of the dividend in the remainder.
template <class U>
Tnum remainder_bits(const View<U>& dst, const View<U>& src) {
    const u64 kept = low_mask(src.bits.trailing_zeros());
    const u64 lost = ~kept & low_mask(kWidth<U>);
    return {dst.bits.value & kept, (dst.bits.mask & kept) | lost};
}
template <class U>
View<U> remainder(const View<U>& dst, const View<U>& src) {
    return {remainder_bits(dst, src), mod(dst.range, src.range)};
}
template <class U>
View<U> remainder_signed(const View<U>& dst, const View<U>& src) {
    return {remainder_bits(dst, src), smod(dst.range, src.range)};
}

/// Operations whose low half of the result depends on the low halves of the operands alone. `f` is
/// what they do to bits and to the bounds of either width.
template <class F>
[[gnu::always_inline]] inline Scalar by_parts(Width width, const Scalar& dst, const Scalar& src,
                                              F f) {
    if (width == Width::W32) {
        return zero_extended(f(dst.bits, src.bits), f(bounds<u32>(dst), bounds<u32>(src)));
    }
    const Bounds<u64> word = f(bounds<u64>(dst), bounds<u64>(src));
    Bounds<u32> half = Bounds<u32>::unknown();
    // Of operands below 2^31 the low half of the result has no bounds but those of the word.
    if (dst.u64.max > low_mask(31) || src.u64.max > low_mask(31)) {
        half = f(bounds<u32>(dst), bounds<u32>(src));
    }
    return reduced(f(dst.bits, src.bits), word, half);
}

/// All others. `f` computes a View from Views of one width.
template <class F>
Scalar by_views(Width width, const Scalar& dst, const Scalar& src, F f) {
    return width == Width::W32 ? from_view(f(view<u32>(dst), view<u32>(src)))
                               : from_view(f(view<u64>(dst), view<u64>(src)));
}

Scalar shift_left(Width width, const Scalar& dst, const Scalar& src) {
    if (width == Width::W32) {
        return from_view(shift_left(view<u32>(dst), counts_of(view<u32>(src))));
    }
    const Counts counts = counts_of(view<u64>(src));
    const View<u64> word = shift_left(view<u64>(dst), counts);
    if (counts.max < 32) {
        return reduced(word.bits, word.range, lsh(bounds<u32>(dst), counts));
    }
    if (counts.min < 32) {
        return from_view(word);
    }
    // The high half goes, so the low one may stand for the word, in both of its views.
    const Bounds<u64> zero_extended{{dst.u32.min, dst.u32.max}, {dst.u32.min, dst.u32.max}};
    const Bounds<u64> sign_extended = Bounds<u64>::of_signed({dst.s32.min, dst.s32.max});
    return from_view({word.bits, both(both(word.range, lsh(zero_extended, counts)),
                                      lsh(sign_extended, counts))});
}

} // namespace

Scalar apply(AluOp op, Width width, const Scalar& dst, const Scalar& src) {
    if (dst.is_constant() && src.is_constant()) {
        return Scalar::constant(width == Width::W64 ? fold(op, dst.value(), src.value())
                                                    : fold(op, u32(dst.value()), u32(src.value())));
    }
    switch (op) {
    case AluOp::Add:
        return by_parts(width, dst, src, [](const auto& a, const auto& b) { return add(a, b); });
    case AluOp::Sub:
        return by_parts(width, dst, src, [](const auto& a, const auto& b) { return sub(a, b); });
    case AluOp::Mul:
        return by_parts(width, dst, src, [](const auto& a, const auto& b) { return mul(a, b); });
    case AluOp::Or:
        return by_parts(width, dst, src, [](const auto& a, const auto& b) { return bit_or(a, b); });
    case AluOp::And:
        return by_parts(width, dst, src,
                        [](const auto& a, const auto& b) { return bit_and(a, b); });
    case AluOp::Xor:
        return by_parts(width, dst, src,
                        [](const auto& a, const auto& b) { return bit_xor(a, b); });
    case AluOp::Mov:
        return width == Width::W64 ? src : truncate(32, src);
    case AluOp::Div:
        return by_views(width, dst, src, [](const auto& a, const auto& b) { return divide(a, b); });
    case AluOp::Sdiv:
        return by_views(width, dst, src,
                        [](const auto& a, const auto& b) { return divide_signed(a, b); });
    case AluOp::Mod:
        return by_views(width, dst, src,
                        [](const auto& a, const auto& b) { return remainder(a, b); });
    case AluOp::Smod:
        return by_views(width, dst, src,
                        [](const auto& a, const auto& b) { return remainder_signed(a, b); });
    case AluOp::Lsh:
        return shift_left(width, dst, src);
    case AluOp::Rsh:
        return by_views(width, dst, src,
                        [](const auto& a, const auto& b) { return shift_right(a, counts_of(b)); });
    case AluOp::Arsh:
        return by_views(width, dst, src, [](const auto& a, const auto& b) {
            return shift_right_signed(a, counts_of(b));
        });
    }
    std::unreachable();
}

Scalar negate(Width width, const Scalar& s) {
    return apply(AluOp::Sub, width, Scalar::constant(0), s);
}

Scalar sign_extend(unsigned from_bits, Width width, const Scalar& s) {
    const Tnum bits = sign_extend(from_bits, s.bits);
    const unsigned count = 32 - from_bits;
    Bounds<u32> half = lsh(bounds<u32>(s), count);
    half = reduce(half) ? arsh(half, Counts{count, count}) : Bounds<u32>::unknown();
    if (width == Width::W32) {
        return zero_extended(bits, half);
    }
    return reduced(bits, Bounds<u64>::of_signed({half.s.min, half.s.max}), half);
}

Scalar truncate(unsigned bits, const Scalar& s) {
    if (bits == 64 || s.u64.max <= low_mask(bits)) {
        return s;
    }
    return zero_extended(truncate(bits, s.bits),
                         bits == 32 ? bounds<u32>(s) : low_bits(bits, bounds<u32>(s)));
}

Scalar byteswap(unsigned bits, const Scalar& s) {
    return reduced(byteswap(bits, s.bits), Bounds<u64>::unknown(), Bounds<u32>::unknown());
}

Scalar bytes_of(const Scalar& s, unsigned byte_off, unsigned size) {
    return truncate(size * 8, apply(AluOp::Rsh, Width::W64, s, Scalar::constant(byte_off * 8)));
}

} // namespace ebpfvm::verifier
