// Inclusive ranges of one integer type, and the pair of an unsigned and a signed one.
#pragma once

#include "verifier/domains/lattice.hpp"

#include <algorithm>
#include <concepts>
#include <limits>
#include <type_traits>

namespace ebpfvm::verifier {

/// [min, max], never empty: min <= max.
template <class T>
struct Range {
    T min, max;

    static constexpr Range unknown() {
        return {std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
    }
    static constexpr Range constant(T v) { return {v, v}; }

    [[nodiscard]] constexpr bool is_constant() const { return min == max; }
    [[nodiscard]] constexpr bool contains(T v) const { return min <= v && v <= max; }

    constexpr bool operator==(const Range&) const = default;
};

template <class T>
[[nodiscard]] constexpr bool leq(const Range<T>& a, const Range<T>& b) {
    return b.min <= a.min && a.max <= b.max;
}
template <class T>
[[nodiscard]] constexpr Range<T> join(const Range<T>& a, const Range<T>& b) {
    return {std::min(a.min, b.min), std::max(a.max, b.max)};
}
template <class T>
[[nodiscard]] constexpr bool disjoint(const Range<T>& a, const Range<T>& b) {
    return a.max < b.min || b.max < a.min;
}
template <class T>
[[nodiscard]] constexpr bool meet(Range<T>& a, const Range<T>& b) {
    a = {std::max(a.min, b.min), std::min(a.max, b.max)};
    return a.min <= a.max;
}
static_assert(Lattice<Range<unsigned>> && Lattice<Range<int>>);

template <class U>
inline constexpr unsigned kWidth = unsigned(std::numeric_limits<U>::digits);

/// The same words seen unsigned and signed. Each is an arc of the circle of residues: the unsigned
/// one does not cross 0, the signed one does not cross the sign boundary.
template <std::unsigned_integral U>
struct Bounds {
    using S = std::make_signed_t<U>;
    static constexpr U kSign = U(U{1} << (kWidth<U> - 1));

    Range<U> u;
    Range<S> s;

    static constexpr Bounds unknown() { return {Range<U>::unknown(), Range<S>::unknown()}; }
    static constexpr Bounds of(Range<U> u) { return {u, Range<S>::unknown()}; }
    static constexpr Bounds of_signed(Range<S> s) { return {Range<U>::unknown(), s}; }
    /// The residues from `first` up to `last`, which may be the smaller number. Selects numbers,
    /// not ranges, which would go through memory in the hottest path of all.
    static constexpr Bounds arc(U first, U last) {
        constexpr Bounds kAll = unknown();
        const bool is_range = first <= last;
        const bool is_signed_range = S(first) <= S(last);
        return {{is_range ? first : kAll.u.min, is_range ? last : kAll.u.max},
                {is_signed_range ? S(first) : kAll.s.min, is_signed_range ? S(last) : kAll.s.max}};
    }

    constexpr bool operator==(const Bounds&) const = default;
};

/// Whether both ranges of a reduced value are one and the same arc.
template <class U>
[[nodiscard]] constexpr bool has_one_sign(const Bounds<U>& b) {
    using S = typename Bounds<U>::S;
    return S(b.u.min) <= S(b.u.max);
}

template <class U>
[[nodiscard]] constexpr bool meet(Bounds<U>& a, const Bounds<U>& b) {
    const bool unsigned_left = meet(a.u, b.u);
    return meet(a.s, b.s) && unsigned_left;
}

/// Refines the two views by each other, exactly. Returns false if no word satisfies both.
///
/// Within the non-negative and within the negative words both orders agree, so the views are
/// intersected there, half by half, and then put together again in either order.
template <class U>
[[nodiscard]] constexpr bool reduce(Bounds<U>& b) {
    using S = typename Bounds<U>::S;
    constexpr U kSign = Bounds<U>::kSign;
    if (has_one_sign(b)) {
        if (!meet(b.s, {S(b.u.min), S(b.u.max)})) {
            return false;
        }
        b.u = {U(b.s.min), U(b.s.max)};
        return true;
    }
    if (U(b.s.min) <= U(b.s.max)) {
        if (!meet(b.u, {U(b.s.min), U(b.s.max)})) {
            return false;
        }
        b.s = {S(b.u.min), S(b.u.max)};
        return true;
    }
    const U last_positive = std::min(U(kSign - 1), U(b.s.max));
    const U first_negative = std::max(kSign, U(b.s.min));
    const bool positive = b.u.min <= last_positive;
    const bool negative = first_negative <= b.u.max;
    if (!positive && !negative) {
        return false;
    }
    b.u = {positive ? b.u.min : first_negative, negative ? b.u.max : last_positive};
    b.s = {negative ? S(first_negative) : S(b.u.min), positive ? S(last_positive) : S(b.u.max)};
    return true;
}

} // namespace ebpfvm::verifier
