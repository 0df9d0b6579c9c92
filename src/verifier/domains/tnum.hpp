// Tristate numbers: what is known about each bit of a value (Vishwanathan et al., CGO 2022).
#pragma once

#include "support/bits.hpp"
#include "verifier/domains/lattice.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

namespace ebpfvm::verifier {

/// A bit is unknown where `mask` is set and equal to that of `value` elsewhere; value & mask == 0.
///
/// A tnum is no interval: around(0, 2) also contains 3, and of its members only the smallest
/// (`value`) and the largest (`max()`) bound it.
struct Tnum {
    std::uint64_t value, mask;

    static constexpr Tnum constant(std::uint64_t v) { return {v, 0}; }
    static constexpr Tnum unknown() { return {0, ~std::uint64_t{0}}; }
    /// Any value of the low `n` bits.
    static constexpr Tnum of_bits(unsigned n) { return {0, low_mask(n)}; }
    /// The least tnum that contains [min, max]: their common prefix.
    static constexpr Tnum around(std::uint64_t min, std::uint64_t max) {
        const std::uint64_t differ = low_mask(unsigned(std::bit_width(min ^ max)));
        return {min & ~differ, differ};
    }

    [[nodiscard]] constexpr bool is_constant() const { return mask == 0; }
    [[nodiscard]] constexpr bool contains(std::uint64_t v) const { return (v & ~mask) == value; }
    [[nodiscard]] constexpr std::uint64_t max() const { return value | mask; }
    /// How many low bits are known to be zero; 64 for the constant zero.
    [[nodiscard]] constexpr unsigned trailing_zeros() const {
        return unsigned(std::countr_zero(max()));
    }

    constexpr bool operator==(const Tnum&) const = default;
};

[[nodiscard]] constexpr bool leq(const Tnum& a, const Tnum& b) {
    return (a.mask & ~b.mask) == 0 && b.contains(a.value);
}
[[nodiscard]] constexpr Tnum join(const Tnum& a, const Tnum& b) {
    const std::uint64_t mask = a.mask | b.mask | (a.value ^ b.value);
    return {a.value & ~mask, mask};
}
[[nodiscard]] constexpr bool disjoint(const Tnum& a, const Tnum& b) {
    return ((a.value ^ b.value) & ~a.mask & ~b.mask) != 0;
}
[[nodiscard]] constexpr bool meet(Tnum& a, const Tnum& b) {
    if (disjoint(a, b)) {
        return false;
    }
    a = {a.value | b.value, a.mask & b.mask};
    return true;
}
static_assert(Lattice<Tnum>);

/// The smallest member >= x.
[[nodiscard]] constexpr std::optional<std::uint64_t> member_from(const Tnum& t, std::uint64_t x) {
    const std::uint64_t wrong = (x ^ t.value) & ~t.mask;
    if (wrong == 0) {
        return x;
    }
    // Everything from the highest wrong bit down is to be replaced by the least possible; if x was
    // too large there, an unknown bit above must first go from 0 to 1.
    const std::uint64_t below = low_mask(unsigned(std::bit_width(wrong)));
    const std::uint64_t top = below ^ (below >> 1);
    if ((t.value & top) != 0) {
        return (x & t.mask & ~below) | t.value;
    }
    const std::uint64_t filled = x | ~t.mask | below; // adding 1 carries into such a bit
    if (filled == ~std::uint64_t{0}) {
        return std::nullopt;
    }
    return ((filled + 1) & t.mask) | t.value;
}
/// The largest member <= x: the same question about the complements.
[[nodiscard]] constexpr std::optional<std::uint64_t> member_up_to(const Tnum& t, std::uint64_t x) {
    const std::optional<std::uint64_t> found = member_from({~t.max(), t.mask}, ~x);
    return found ? std::optional(~*found) : std::nullopt;
}

// Arithmetic modulo 2^64. A bit of a sum is known if both operands' bits are and the carry into it
// is the same for the smallest and for the largest operands.

[[nodiscard]] constexpr Tnum add(const Tnum& a, const Tnum& b) {
    const std::uint64_t least = a.value + b.value;
    const std::uint64_t most = a.max() + b.max();
    const std::uint64_t mask = (least ^ most) | a.mask | b.mask;
    return {least & ~mask, mask};
}
[[nodiscard]] constexpr Tnum sub(const Tnum& a, const Tnum& b) {
    const std::uint64_t least = a.value - b.max();
    const std::uint64_t most = a.max() - b.value;
    const std::uint64_t mask = (least ^ most) | a.mask | b.mask;
    return {least & ~mask, mask};
}
[[nodiscard]] constexpr Tnum bit_and(const Tnum& a, const Tnum& b) {
    const std::uint64_t value = a.value & b.value;
    return {value, (a.max() & b.max()) & ~value};
}
[[nodiscard]] constexpr Tnum bit_or(const Tnum& a, const Tnum& b) {
    const std::uint64_t value = a.value | b.value;
    return {value, (a.mask | b.mask) & ~value};
}
[[nodiscard]] constexpr Tnum bit_xor(const Tnum& a, const Tnum& b) {
    const std::uint64_t mask = a.mask | b.mask;
    return {(a.value ^ b.value) & ~mask, mask};
}

[[nodiscard]] constexpr Tnum lsh(const Tnum& a, unsigned count) { // count in 0..63
    return {a.value << count, a.mask << count};
}
[[nodiscard]] constexpr Tnum rsh(const Tnum& a, unsigned count) {
    return {a.value >> count, a.mask >> count};
}
[[nodiscard]] constexpr Tnum arsh(const Tnum& a, unsigned count) { // an unknown sign spreads
    return {std::uint64_t(std::int64_t(a.value) >> count),
            std::uint64_t(std::int64_t(a.mask) >> count)};
}
[[nodiscard]] constexpr Tnum truncate(unsigned bits, const Tnum& a) {
    return {a.value & low_mask(bits), a.mask & low_mask(bits)};
}
[[nodiscard]] constexpr Tnum sign_extend(unsigned bits, const Tnum& a) { // bits in 1..64
    return arsh(lsh(a, 64 - bits), 64 - bits);
}
[[nodiscard]] constexpr Tnum byteswap(unsigned bits, const Tnum& a) { // bits in {16, 32, 64}
    return rsh({ebpfvm::byteswap(a.value), ebpfvm::byteswap(a.mask)}, 64 - bits);
}

/// Long multiplication: adds a shifted `b` for each bit of `a` that is, or may be, one. Twice,
/// since neither way is always the better one: by joining both cases of an unknown bit, and by
/// keeping the product of the values apart from what the unknown bits can add to it.
[[nodiscard]] constexpr Tnum long_product(const Tnum& a, const Tnum& b) {
    Tnum joined = Tnum::constant(0);
    Tnum excess = Tnum::constant(0);
    for (std::uint64_t left = a.max(); left != 0; left &= left - 1) {
        const std::uint64_t bit = left & (~left + 1);
        const bool certain = (a.value & bit) != 0;
        const Tnum more = add(joined, {b.value * bit, b.mask * bit});
        joined = certain ? more : join(joined, more);
        excess = add(excess, {0, (certain ? b.mask : b.max()) * bit});
    }
    const Tnum apart = add(Tnum::constant(a.value * b.value), excess);
    return {joined.value | apart.value, joined.mask & apart.mask};
}

[[nodiscard]] constexpr Tnum mul(const Tnum& a, const Tnum& b) {
    if (a.max() == 0 || b.max() == 0) {
        return Tnum::constant(0);
    }
    // If one operand is unknown from bit p up, so is the product from p plus the least power of two
    // in the other: an odd factor permutes the residues. Only the bits below need work.
    const auto unknown_from = [](const Tnum& t) { return 64 - unsigned(std::countl_one(t.mask)); };
    const unsigned known =
        std::min(unknown_from(a) + b.trailing_zeros(), unknown_from(b) + a.trailing_zeros());
    const Tnum low_a = truncate(known, a);
    const Tnum low_b = truncate(known, b);
    const bool a_is_short = std::popcount(low_a.max()) <= std::popcount(low_b.max());
    const Tnum& shorter = a_is_short ? low_a : low_b;
    const Tnum& longer = a_is_short ? low_b : low_a;
    Tnum product = long_product(shorter, longer);
    if (std::popcount(shorter.max()) > 2) { // two terms leave nothing to improve
        const Tnum other = long_product(longer, shorter);
        product = {product.value | other.value, product.mask & other.mask};
    }
    const std::uint64_t lost = ~low_mask(known);
    return {product.value & ~lost, product.mask | lost};
}

} // namespace ebpfvm::verifier
