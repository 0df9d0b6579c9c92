// Lattice operations of the product and the mutual refinement of its parts.
#include "verifier/domains/scalar.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

using u32 = std::uint32_t;
using s32 = std::int32_t;
using u64 = std::uint64_t;
using s64 = std::int64_t;

constexpr u64 kLow = 0xffff'ffff;
constexpr u64 kHigh = ~kLow;

/// The words whose low half lies in `half`, which is reduced.
struct LowHalf {
    const Bounds<u32>& half;

    [[nodiscard]] bool contains(u64 x) const {
        return half.u.contains(u32(x)) && half.s.contains(s32(u32(x)));
    }
};
std::optional<u64> member_from(const LowHalf& set, u64 x) {
    const Bounds<u32>& half = set.half;
    const u64 high = x & kHigh;
    const u32 low = u32(x);
    if (low < half.u.min) {
        return high | half.u.min;
    }
    if (low > half.u.max) {
        return high == kHigh ? std::nullopt : std::optional((high + kLow + 1) | half.u.min);
    }
    // Between the non-negative and the negative halves of a range that has both.
    return half.s.contains(s32(low)) ? x : high | u32(half.s.min);
}
std::optional<u64> member_up_to(const LowHalf& set, u64 x) {
    const Bounds<u32>& half = set.half;
    const Bounds<u32> mirrored{{~half.u.max, ~half.u.min}, {~half.s.max, ~half.s.min}};
    const std::optional<u64> found = member_from(LowHalf{mirrored}, ~x);
    return found ? std::optional(~*found) : std::nullopt;
}

/// Moves both ends of [min, max] inwards to members of `set`, a Tnum or LowHalf. Returns false if
/// there are none between; the range is then of no use.
template <class Set, class T>
bool shrink(const Set& set, T& min, T& max) {
    const std::optional<u64> first = member_from(set, u64(min));
    const std::optional<u64> last = member_up_to(set, u64(max));
    if (!first || !last) {
        return false;
    }
    min = T(*first);
    max = T(*last);
    return *first <= *last;
}

template <class U, class Set>
[[gnu::noinline]] bool move_to_members(Bounds<U>& b, const Set& set) {
    using S = typename Bounds<U>::S;
    if (has_one_sign(b)) {
        if (!shrink(set, b.u.min, b.u.max)) {
            return false;
        }
        b.s = {S(b.u.min), S(b.u.max)};
        return true;
    }
    // Two pieces: the non-negative [u.min, s.max] and the negative [s.min, u.max].
    U last_positive = U(b.s.max);
    U first_negative = U(b.s.min);
    const bool positive = shrink(set, b.u.min, last_positive);
    const bool negative = shrink(set, first_negative, b.u.max);
    if (!positive && !negative) {
        return false;
    }
    b.u = {positive ? b.u.min : first_negative, negative ? b.u.max : last_positive};
    b.s = {negative ? S(first_negative) : S(b.u.min), positive ? S(last_positive) : S(b.u.max)};
    return true;
}

enum class Change : std::uint8_t { None, Some, Empty };

/// Moves the bounds inwards to members of `set`. `b` is reduced before and after.
template <class U, class Set>
[[gnu::always_inline]] inline Change narrow(Bounds<U>& b, const Set& set) {
    if (set.contains(b.u.min) && set.contains(b.u.max) &&
        (has_one_sign(b) || (set.contains(U(b.s.min)) && set.contains(U(b.s.max))))) {
        return Change::None;
    }
    return move_to_members(b, set) ? Change::Some : Change::Empty;
}

/// What an arc of fewer than 2^32 words says about their low halves.
bool narrow_half(Bounds<u32>& half, u64 first, u64 last) {
    return last - first > kLow || meet(half, Bounds<u32>::arc(u32(first), u32(last)));
}

/// One round of refinement, and whether another may find more.
///
/// In this order a round misses nothing but what follows from its last change of `word`: the ends
/// of ranges are members of the old bits and of the prefixes, hence of the new bits.
[[gnu::always_inline]] inline Change reduce_round(Tnum& bits, Bounds<u64>& word,
                                                  Bounds<u32>& half) {
    if (!reduce(word) || (~bits.mask != 0 && narrow(word, bits) == Change::Empty) ||
        !narrow_half(half, word.u.min, word.u.max) ||
        (!has_one_sign(word) && !narrow_half(half, u64(word.s.min), u64(word.s.max))) ||
        !reduce(half) || (~bits.mask != 0 && narrow(half, truncate(32, bits)) == Change::Empty)) {
        return Change::Empty;
    }
    const bool had_bits = ~bits.mask != 0;
    Change change = half == Bounds<u32>::unknown() ? Change::None : narrow(word, LowHalf{half});
    if (change == Change::Some && !had_bits && word.u.max - word.u.min > kLow &&
        u64(word.s.max) - u64(word.s.min) > kLow) {
        change = Change::None;
    }
    // A range of both signs says nothing about any bit.
    if (has_one_sign(word) && !meet(bits, Tnum::around(word.u.min, word.u.max))) {
        return Change::Empty;
    }
    if (has_one_sign(half)) {
        const Tnum around_half = Tnum::around(half.u.min, half.u.max);
        if (!meet(bits, {around_half.value, around_half.mask | kHigh})) {
            return Change::Empty;
        }
    }
    return change;
}

/// All parts of a value below 2^31 are one range and a tnum.
bool reduce_small(Scalar& s) {
    u64 min = u64(std::max({s64(s.u64.min), s.s64.min, s64(s.u32.min), s64(s.s32.min)}));
    u64 max = u64(std::min({s64(s.u64.max), s.s64.max, s64(s.u32.max), s64(s.s32.max)}));
    if (s64(min) > s64(max) || !meet(s.bits, Tnum::around(min, max))) {
        return false;
    }
    if (!s.bits.contains(min) || !s.bits.contains(max)) {
        if (!shrink(s.bits, min, max) || !meet(s.bits, Tnum::around(min, max))) {
            return false;
        }
    }
    s.u64 = {min, max};
    s.s64 = {s64(min), s64(max)};
    s.u32 = {u32(min), u32(max)};
    s.s32 = {s32(min), s32(max)};
    return true;
}

template <class T>
Range<T> widen(const Range<T>& older, const Range<T>& newer, std::span<const u64> thresholds) {
    Range<T> wide = join(older, newer);
    const bool unstable_min = wide.min != older.min;
    const bool unstable_max = wide.max != older.max;
    if (!unstable_min && !unstable_max) {
        return wide;
    }
    Range<T> next = Range<T>::unknown();
    for (const u64 threshold : thresholds) {
        const T t = T(threshold);
        if (u64(t) != threshold) {
            continue;
        }
        if (t >= wide.max) {
            next.max = std::min(next.max, t);
        }
        if (t <= wide.min) {
            next.min = std::max(next.min, t);
        }
    }
    return {unstable_min ? next.min : wide.min, unstable_max ? next.max : wide.max};
}

/// From the lowest bit that changed up all are unknown, but those that the range fixes. Where the
/// range grows the bits must let it: from the lowest unknown bit up.
Tnum widen(const Tnum& older, const Tnum& newer, const Range<u64>& range, bool range_grew) {
    const Tnum joined = join(older, newer);
    const u64 changed = range_grew ? joined.mask : joined.mask & ~older.mask;
    const u64 above = changed == 0 ? 0 : ~(changed & (~changed + 1)) + 1;
    const u64 mask = joined.mask | (above & Tnum::around(range.min, range.max).mask);
    return {joined.value & ~mask, mask};
}

} // namespace

Scalar Scalar::in(std::uint64_t min, std::uint64_t max) {
    Scalar s = unknown();
    s.u64 = {min, max};
    return reduce(s) ? s : unknown();
}
Scalar Scalar::in_signed(std::int64_t min, std::int64_t max) {
    Scalar s = unknown();
    s.s64 = {min, max};
    return reduce(s) ? s : unknown();
}

Scalar join(const Scalar& a, const Scalar& b) {
    return {join(a.bits, b.bits), join(a.u64, b.u64), join(a.s64, b.s64), join(a.u32, b.u32),
            join(a.s32, b.s32)};
}

bool meet(Scalar& a, const Scalar& b) {
    return meet(a.bits, b.bits) && meet(a.u64, b.u64) && meet(a.s64, b.s64) && meet(a.u32, b.u32) &&
           meet(a.s32, b.s32) && reduce(a);
}

Scalar widen(const Scalar& older, const Scalar& newer, std::span<const u64> thresholds) {
    const Range<u64> u = widen(older.u64, newer.u64, thresholds);
    return {widen(older.bits, newer.bits, u, u != older.u64), u, widen(older.s64, newer.s64, thresholds),
            widen(older.u32, newer.u32, thresholds), widen(older.s32, newer.s32, thresholds)};
}

bool reduce(Scalar& s) {
    if (s.bits.is_constant()) {
        const u64 value = s.bits.value;
        if (!s.contains(value)) {
            return false;
        }
        s = Scalar::constant(value);
        return true;
    }
    if (s.u64.max <= kLow / 2) {
        return reduce_small(s);
    }
    if (s.is_unknown()) {
        return true;
    }
    Tnum bits = s.bits;
    Bounds<u64> word{s.u64, s.s64};
    Bounds<u32> half{s.u32, s.s32};
    constexpr int kMaxRounds = 5; // one or two do nearly always; stopping early costs precision
    for (int round = 0; round < kMaxRounds; ++round) {
        const Change change = reduce_round(bits, word, half);
        if (change == Change::Empty) {
            return false;
        }
        if (change == Change::None) {
            break;
        }
    }
    s = {bits, word.u, word.s, half.u, half.s};
    return true;
}

bool reduce_zero_extended(Scalar& s) {
    Bounds<u32> half{s.u32, s.s32};
    Tnum bits = truncate(32, s.bits);
    Change change = Change::Some;
    while (change == Change::Some) { // at most three times: the bits are exact after the second
        if (!reduce(half) || !meet(bits, Tnum::around(half.u.min, half.u.max))) {
            return false;
        }
        change = narrow(half, bits);
    }
    s = {bits, {half.u.min, half.u.max}, {s64(half.u.min), s64(half.u.max)}, half.u, half.s};
    return change == Change::None;
}

} // namespace ebpfvm::verifier
