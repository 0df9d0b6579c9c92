// What the verifier knows about a number: the reduced product of tnum and ranges.
#pragma once

#include "ebpfvm/numeric_domain.hpp"
#include "isa/op_kind.hpp"
#include "verifier/domains/range.hpp"
#include "verifier/domains/tnum.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace ebpfvm::verifier {

/// A set of 64-bit words: those that every part contains. u32 and s32 speak of the low half.
///
/// Every function below takes and gives sets with at least one member and reduces what it returns,
/// except join and widen: the parts of a join are as tight as those of its operands, and reducing a
/// widened value would undo the widening.
struct Scalar {
    Tnum bits;
    Range<std::uint64_t> u64;
    Range<std::int64_t> s64;
    Range<std::uint32_t> u32;
    Range<std::int32_t> s32;

    static constexpr Scalar unknown() { return of_bits(64); }
    static constexpr Scalar constant(std::uint64_t v) {
        return {Tnum::constant(v), Range<std::uint64_t>::constant(v),
                Range<std::int64_t>::constant(std::int64_t(v)),
                Range<std::uint32_t>::constant(std::uint32_t(v)),
                Range<std::int32_t>::constant(std::int32_t(std::uint32_t(v)))};
    }
    /// All of [min, max], min <= max, unsigned.
    static Scalar in(std::uint64_t min, std::uint64_t max);
    static Scalar in_signed(std::int64_t min, std::int64_t max);
    /// Any value < 2^n, n in 1..64.
    static constexpr Scalar of_bits(unsigned n) {
        const std::uint64_t max = low_mask(n);
        return {
            Tnum::of_bits(n),
            {0, max},
            n == 64 ? Range<std::int64_t>::unknown() : Range<std::int64_t>{0, std::int64_t(max)},
            {0, std::uint32_t(max)},
            n >= 32 ? Range<std::int32_t>::unknown() : Range<std::int32_t>{0, std::int32_t(max)}};
    }

    [[nodiscard]] constexpr bool is_constant() const { return bits.is_constant(); }
    /// Only if is_constant().
    [[nodiscard]] constexpr std::uint64_t value() const { return bits.value; }
    [[nodiscard]] constexpr bool is_unknown() const { return *this == unknown(); }
    [[nodiscard]] constexpr bool contains(std::uint64_t v) const {
        return bits.contains(v) && u64.contains(v) && s64.contains(std::int64_t(v)) &&
               u32.contains(std::uint32_t(v)) && s32.contains(std::int32_t(std::uint32_t(v)));
    }

    constexpr bool operator==(const Scalar&) const = default;
};

/// Whether every value of `a` is in `b`, part by part.
[[nodiscard]] constexpr bool leq(const Scalar& a, const Scalar& b) {
    return leq(a.u64, b.u64) && leq(a.bits, b.bits) && leq(a.s64, b.s64) && leq(a.u32, b.u32) &&
           leq(a.s32, b.s32);
}
[[nodiscard]] Scalar join(const Scalar& a, const Scalar& b);
/// False if no value is in both; `a` is then of no use.
[[nodiscard]] bool meet(Scalar& a, const Scalar& b);
/// A join that reaches its limit after few steps: a bound of `older` that `newer` exceeds jumps to
/// the next of `thresholds` (ascending, each also tried as signed), then to the extreme.
[[nodiscard]] Scalar widen(const Scalar& older, const Scalar& newer,
                           std::span<const std::uint64_t> thresholds);

/// Lets every part refine the others. Returns false if nothing is left, which says that the set was
/// empty; a true says nothing.
[[nodiscard]] bool reduce(Scalar& s);
/// The same for a value whose high half is zero, as after any 32-bit operation; reads u32, s32 and
/// the low bits alone.
[[nodiscard]] bool reduce_zero_extended(Scalar& s);
/// Forgets what the domain does not keep; then what it keeps refines the rest again.
[[nodiscard]] Scalar project(const Scalar& s, NumericDomain domain);

// What an operation computes, for every value of its operands (isa/semantics.hpp). Results of
// 32-bit operations are zero extended.

[[nodiscard]] Scalar apply(isa::AluOp op, isa::Width width, const Scalar& dst, const Scalar& src);
[[nodiscard]] Scalar negate(isa::Width width, const Scalar& s);
/// movsx: the low `from_bits` in {8, 16, 32}.
[[nodiscard]] Scalar sign_extend(unsigned from_bits, isa::Width width, const Scalar& s);
/// The low 8, 16, 32 or 64 bits, zero extended: narrow stores and loads, 32-bit moves.
[[nodiscard]] Scalar truncate(unsigned bits, const Scalar& s);
/// The low 16, 32 or 64 bits with their bytes swapped, the rest zero.
[[nodiscard]] Scalar byteswap(unsigned bits, const Scalar& s);
/// The `size` bytes from `byte_off` of the value as it lies in little-endian memory: the fill of a
/// part of a spill. byte_off + size <= 8.
[[nodiscard]] Scalar bytes_of(const Scalar& s, unsigned byte_off, unsigned size);

enum class Outcome : std::uint8_t { NotTaken, Taken };
/// The outcome of a conditional jump if it is the same for all values.
[[nodiscard]] std::optional<Outcome> decide(isa::JmpOp op, isa::Width width, const Scalar& dst,
                                            const Scalar& src);
/// Narrows both operands to the values with which the jump has that outcome. Returns false if there
/// are none; the caller drops the edge. Never loses precision: on return both are at most what they
/// were. If dst and src are one register, pass copies and meet() what comes back.
[[nodiscard]] bool assume(isa::JmpOp op, Outcome outcome, isa::Width width, Scalar& dst,
                          Scalar& src);

/// The view at one width: all of the word, or its low half.
template <std::unsigned_integral U>
[[nodiscard]] constexpr Bounds<U> bounds(const Scalar& s) {
    if constexpr (sizeof(U) == 8) {
        return {s.u64, s.s64};
    } else {
        return {s.u32, s.s32};
    }
}

static_assert(Lattice<Scalar>);

} // namespace ebpfvm::verifier
