// What arithmetic does to bounds, once for both widths. Nothing here knows about bits.
#pragma once

#include "verifier/domains/range.hpp"
#include "verifier/domains/tnum.hpp"

#include <bit>
#include <cstdint>

namespace ebpfvm::verifier {

/// a intersected with b, both of which hold. If they contradict each other the operands were empty:
/// what comes out is inverted, and reduce() finds nothing in it.
template <class U>
[[nodiscard]] constexpr Bounds<U> both(const Bounds<U>& a, const Bounds<U>& b) {
    return {{std::max(a.u.min, b.u.min), std::min(a.u.max, b.u.max)},
            {std::max(a.s.min, b.s.min), std::min(a.s.max, b.s.max)}};
}

/// The arc that begins at `first` and has first_length + second_length further residues.
template <class U>
[[nodiscard]] constexpr Bounds<U> sum_of_arcs(U first, U first_length, U second_length) {
    const U length = U(first_length + second_length);
    const bool is_all = length < first_length;
    return Bounds<U>::arc(is_all ? U{0} : first,
                          is_all ? std::numeric_limits<U>::max() : U(first + length));
}
template <class T, class U = std::make_unsigned_t<T>>
[[nodiscard]] constexpr U length(const Range<T>& r) {
    return U(U(r.max) - U(r.min));
}

template <class U>
[[nodiscard]] constexpr Bounds<U> add(const Bounds<U>& a, const Bounds<U>& b) {
    Bounds<U> sum = sum_of_arcs(U(a.u.min + b.u.min), length(a.u), length(b.u));
    if (!has_one_sign(a) || !has_one_sign(b)) {
        sum = both(sum, sum_of_arcs(U(U(a.s.min) + U(b.s.min)), length(a.s), length(b.s)));
    }
    return sum;
}
template <class U>
[[nodiscard]] constexpr Bounds<U> sub(const Bounds<U>& a, const Bounds<U>& b) {
    Bounds<U> difference = sum_of_arcs(U(a.u.min - b.u.max), length(a.u), length(b.u));
    if (!has_one_sign(a) || !has_one_sign(b)) {
        difference =
            both(difference, sum_of_arcs(U(U(a.s.min) - U(b.s.max)), length(a.s), length(b.s)));
    }
    return difference;
}

__extension__ typedef unsigned __int128 Uint128;
__extension__ typedef __int128 Int128;

/// Exact products as long as they differ by less than 2^width, no matter how often they wrap.
template <class U>
[[nodiscard]] constexpr Bounds<U> mul(const Bounds<U>& a, const Bounds<U>& b) {
    using Wide = std::conditional_t<sizeof(U) == 8, Uint128, std::uint64_t>;
    using SignedWide = std::conditional_t<sizeof(U) == 8, Int128, std::int64_t>;
    constexpr U kMax = std::numeric_limits<U>::max();
    const Wide least = Wide(a.u.min) * b.u.min;
    const Wide most = Wide(a.u.max) * b.u.max;
    const Bounds<U> product =
        most - least <= kMax ? Bounds<U>::arc(U(least), U(most)) : Bounds<U>::unknown();
    if (a.s.min >= 0 && b.s.min >= 0) {
        return product;
    }
    const SignedWide corners[] = {SignedWide(a.s.min) * b.s.min, SignedWide(a.s.min) * b.s.max,
                                  SignedWide(a.s.max) * b.s.min, SignedWide(a.s.max) * b.s.max};
    const auto [low, high] = std::minmax({corners[0], corners[1], corners[2], corners[3]});
    return Wide(high - low) <= kMax ? both(product, Bounds<U>::arc(U(low), U(high))) : product;
}

/// Bitwise operations on values whose upper bits all equal the sign leave them so.
template <class U>
[[nodiscard]] constexpr Range<std::make_signed_t<U>> sign_extended(const Bounds<U>& a,
                                                                   const Bounds<U>& b) {
    using S = std::make_signed_t<U>;
    U magnitude = 0;
    for (const S bound : {a.s.min, a.s.max, b.s.min, b.s.max}) {
        magnitude = U(magnitude | U(bound ^ (bound >> (kWidth<U> - 1))));
    }
    const S max = S(std::bit_width(magnitude) >= int(kWidth<U>) - 1
                        ? U(Bounds<U>::kSign - 1)
                        : U((U{1} << std::bit_width(magnitude)) - 1));
    return {S(~max), max};
}

/// The low `n` bits, n in 1..width.
template <class U>
[[nodiscard]] constexpr Bounds<U> low_bits(unsigned n, const Bounds<U>& a) {
    const U mask = U(low_mask(n));
    const auto low = [mask](U first, U last) {
        const bool wraps = U(last - first) > mask || U(first & mask) > U(last & mask);
        return wraps ? Bounds<U>::of({0, mask}) : Bounds<U>::of({U(first & mask), U(last & mask)});
    };
    return both(low(a.u.min, a.u.max), low(U(a.s.min), U(a.s.max)));
}

// x + y == (x & y) + (x | y) and |x - y| <= x ^ y <= x | y bound each by sums and differences.

template <class U>
[[nodiscard]] constexpr Bounds<U> bit_and(const Bounds<U>& a, const Bounds<U>& b) {
    if (b.u.is_constant() && (b.u.min & U(b.u.min + 1)) == 0) {
        return low_bits(unsigned(std::bit_width(b.u.min)), a);
    }
    const U sum = U(a.u.min + b.u.min);
    const U min = sum < a.u.min ? U(sum + 1) : U{0};
    return {{min, std::min(a.u.max, b.u.max)}, sign_extended(a, b)};
}
template <class U>
[[nodiscard]] constexpr U saturating_add(U a, U b) {
    const U sum = U(a + b);
    return sum < a ? std::numeric_limits<U>::max() : sum;
}
template <class U>
[[nodiscard]] constexpr Bounds<U> bit_or(const Bounds<U>& a, const Bounds<U>& b) {
    return {{std::max(a.u.min, b.u.min), saturating_add(a.u.max, b.u.max)}, sign_extended(a, b)};
}
template <class U>
[[nodiscard]] constexpr Bounds<U> bit_xor(const Bounds<U>& a, const Bounds<U>& b) {
    const U min = a.u.min > b.u.max   ? U(a.u.min - b.u.max)
                  : b.u.min > a.u.max ? U(b.u.min - a.u.max)
                                      : U{0};
    return {{min, saturating_add(a.u.max, b.u.max)}, sign_extended(a, b)};
}

/// Shift counts, already modulo the width.
struct Counts {
    unsigned min, max;
};

template <class U>
[[nodiscard]] constexpr Bounds<U> lsh(const Bounds<U>& a, unsigned count) {
    const auto shifted = [count](U first, U len) {
        return U(U(len << count) >> count) != len
                   ? Bounds<U>::unknown()
                   : sum_of_arcs(U(first << count), U(len << count), U{0});
    };
    const Bounds<U> result = shifted(a.u.min, length(a.u));
    return has_one_sign(a) ? result : both(result, shifted(U(a.s.min), length(a.s)));
}
template <class U>
[[nodiscard]] constexpr Bounds<U> lsh(const Bounds<U>& a, Counts counts) {
    using S = typename Bounds<U>::S;
    if (counts.min == counts.max) {
        return lsh(a, counts.min);
    }
    Bounds<U> result = Bounds<U>::unknown();
    if (U(U(a.u.max << counts.max) >> counts.max) == a.u.max) {
        result.u = {U(a.u.min << counts.min), U(a.u.max << counts.max)};
    }
    const auto by = [](S value, unsigned count) { return S(U(U(value) << count)); };
    if (S(by(a.s.max, counts.max) >> counts.max) == a.s.max &&
        S(by(a.s.min, counts.max) >> counts.max) == a.s.min) {
        result.s = {by(a.s.min, a.s.min < 0 ? counts.max : counts.min),
                    by(a.s.max, a.s.max < 0 ? counts.min : counts.max)};
    }
    return result;
}
template <class U>
[[nodiscard]] constexpr Bounds<U> rsh(const Bounds<U>& a, Counts counts) {
    return Bounds<U>::of({U(a.u.min >> counts.max), U(a.u.max >> counts.min)});
}
template <class U>
[[nodiscard]] constexpr Bounds<U> arsh(const Bounds<U>& a, Counts counts) {
    using S = typename Bounds<U>::S;
    return Bounds<U>::of_signed({S(a.s.min >> (a.s.min < 0 ? counts.min : counts.max)),
                                 S(a.s.max >> (a.s.max < 0 ? counts.max : counts.min))});
}

template <class U>
[[nodiscard]] constexpr Bounds<U> div(const Bounds<U>& a, const Bounds<U>& b) {
    if (b.u.max == 0) {
        return Bounds<U>::of({0, 0});
    }
    const U min = b.u.min == 0 ? U{0} : U(a.u.min / b.u.max); // x / 0 == 0
    return Bounds<U>::of({min, U(a.u.max / std::max(b.u.min, U{1}))});
}

template <class U>
[[nodiscard]] constexpr Bounds<U> sdiv(const Bounds<U>& a, const Bounds<U>& b) {
    using S = typename Bounds<U>::S;
    if (a.s.min == std::numeric_limits<S>::min() && b.s.contains(-1)) {
        return Bounds<U>::unknown(); // MIN / -1 wraps
    }
    Range<S> result{std::numeric_limits<S>::max(), std::numeric_limits<S>::min()};
    // For divisors of one sign the quotient is monotone in each operand: the corners bound it.
    const auto include = [&](S first, S last) {
        if (first > last) {
            return;
        }
        const auto [low, high] = std::minmax(
            {S(a.s.min / first), S(a.s.min / last), S(a.s.max / first), S(a.s.max / last)});
        result = {std::min(result.min, low), std::max(result.max, high)};
    };
    include(b.s.min, std::min(b.s.max, S{-1}));
    include(std::max(b.s.min, S{1}), b.s.max);
    if (b.s.contains(0) && b.u.contains(0)) {
        result = {std::min(result.min, S{0}), std::max(result.max, S{0})};
    }
    return Bounds<U>::of_signed(result);
}

template <class U>
[[nodiscard]] constexpr Bounds<U> mod(const Bounds<U>& a, const Bounds<U>& b) {
    if (a.u.max < b.u.min || b.u.max == 0) { // x % 0 == x
        return a;
    }
    if (b.u.is_constant() && a.u.min / b.u.min == a.u.max / b.u.min) {
        return Bounds<U>::of({U(a.u.min % b.u.min), U(a.u.max % b.u.min)});
    }
    return Bounds<U>::of({0, b.u.min == 0 ? a.u.max : std::min(a.u.max, U(b.u.max - 1))});
}

template <class U>
[[nodiscard]] constexpr Bounds<U> smod(const Bounds<U>& a, const Bounds<U>& b) {
    using S = typename Bounds<U>::S;
    const auto magnitude = [](S value) { return value < 0 ? U(U{0} - U(value)) : U(value); };
    const U dividend = std::max(magnitude(a.s.min), magnitude(a.s.max));
    const U divisor = std::max(magnitude(b.s.min), magnitude(b.s.max));
    if (divisor == 0) {
        return a;
    }
    // The remainder lies between 0 and the dividend, and is smaller than the divisor unless that
    // is 0.
    Range<S> result{std::min(a.s.min, S{0}), std::max(a.s.max, S{0})};
    if (b.s.min > 0 || b.s.max < 0) {
        const U least = std::min(magnitude(b.s.min), magnitude(b.s.max));
        if (dividend < least) {
            return a;
        }
        if (b.s.is_constant() && divisor <= U(std::numeric_limits<S>::max()) &&
            (a.s.min >= 0 || a.s.max <= 0) && a.s.min / S(divisor) == a.s.max / S(divisor)) {
            return Bounds<U>::of_signed({S(a.s.min % S(divisor)), S(a.s.max % S(divisor))});
        }
        const S most = S(divisor - 1); // divisor is at most 2^(width - 1)
        result = {std::max(result.min, S(-most)), std::min(result.max, most)};
    }
    return Bounds<U>::of_signed(result);
}

} // namespace ebpfvm::verifier
