// What conditional jumps say about their operands.
#include "verifier/domains/scalar.hpp"

#include <utility>

namespace ebpfvm::verifier {
namespace {

using isa::JmpOp;
using isa::Width;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

/// What holds between dst and src on an edge; the comparisons with greater have their operands
/// swapped.
enum class Relation : std::uint8_t {
    Equal,
    Different,
    SharesBits,
    SharesNone,
    Less,
    LessEqual,
    SignedLess,
    SignedLessEqual
};

struct Ordered {
    Relation relation;
    bool swapped;
};

Ordered relation(JmpOp op, Outcome outcome) {
    const bool taken = outcome == Outcome::Taken;
    switch (op) {
    case JmpOp::Jeq:
        return {taken ? Relation::Equal : Relation::Different, false};
    case JmpOp::Jne:
        return {taken ? Relation::Different : Relation::Equal, false};
    case JmpOp::Jset:
        return {taken ? Relation::SharesBits : Relation::SharesNone, false};
    case JmpOp::Jgt:
        return {taken ? Relation::Less : Relation::LessEqual, taken};
    case JmpOp::Jge:
        return {taken ? Relation::LessEqual : Relation::Less, taken};
    case JmpOp::Jlt:
        return {taken ? Relation::Less : Relation::LessEqual, !taken};
    case JmpOp::Jle:
        return {taken ? Relation::LessEqual : Relation::Less, !taken};
    case JmpOp::Jsgt:
        return {taken ? Relation::SignedLess : Relation::SignedLessEqual, taken};
    case JmpOp::Jsge:
        return {taken ? Relation::SignedLessEqual : Relation::SignedLess, taken};
    case JmpOp::Jslt:
        return {taken ? Relation::SignedLess : Relation::SignedLessEqual, !taken};
    case JmpOp::Jsle:
        return {taken ? Relation::SignedLessEqual : Relation::SignedLess, !taken};
    }
    std::unreachable();
}

/// The parts of a scalar that a comparison at one width reads and refines.
template <class U>
struct Part {
    Tnum& bits; // of the whole word
    Range<U>& u;
    Range<std::make_signed_t<U>>& s;

    static constexpr u64 kMask = low_mask(kWidth<U>);
};

Part<u64> part(Scalar& s, u64) {
    return {s.bits, s.u64, s.s64};
}
Part<u32> part(Scalar& s, u32) {
    return {s.bits, s.u32, s.s32};
}

template <class T>
bool make_less(Range<T>& a, Range<T>& b) {
    if (a.min >= b.max) {
        return false;
    }
    a.max = std::min(a.max, T(b.max - 1));
    b.min = std::max(b.min, T(a.min + 1));
    return true;
}
template <class T>
bool make_less_equal(Range<T>& a, Range<T>& b) {
    a.max = std::min(a.max, b.max);
    b.min = std::max(b.min, a.min);
    return a.min <= a.max && b.min <= b.max;
}
template <class T>
bool exclude(Range<T>& range, T value) {
    if (range.is_constant()) {
        return range.min != value;
    }
    range.min = T(range.min + (range.min == value));
    range.max = T(range.max - (range.max == value));
    return true;
}

template <class U>
bool make_equal(Part<U> a, Part<U> b) {
    const Tnum b_bits{b.bits.value & Part<U>::kMask, b.bits.mask | ~Part<U>::kMask};
    const Tnum a_bits{a.bits.value & Part<U>::kMask, a.bits.mask | ~Part<U>::kMask};
    if (!meet(a.u, b.u) || !meet(a.s, b.s) || !meet(a.bits, b_bits) || !meet(b.bits, a_bits)) {
        return false;
    }
    b.u = a.u;
    b.s = a.s;
    return true;
}
template <class U>
bool exclude_constant(Part<U> a, Part<U> b) {
    if ((b.bits.mask & Part<U>::kMask) != 0) {
        return true;
    }
    const U value = U(b.bits.value);
    return exclude(a.u, value) && exclude(a.s, std::make_signed_t<U>(value));
}
template <class U>
bool make_share_bits(Part<U> a, Part<U> b) {
    const u64 shared = a.bits.max() & b.bits.max() & Part<U>::kMask;
    if (shared == 0) {
        return false;
    }
    const u64 lowest = shared & (~shared + 1);
    for (const Part<U>& p : {a, b}) {
        if (shared == lowest) {
            p.bits = {p.bits.value | lowest, p.bits.mask & ~lowest};
        }
        p.u.min = std::max(p.u.min, U(lowest));
    }
    return a.u.min <= a.u.max && b.u.min <= b.u.max;
}
template <class U>
bool make_share_none(Part<U> a, Part<U> b) {
    if ((a.bits.value & b.bits.value & Part<U>::kMask) != 0) {
        return false;
    }
    a.bits.mask &= ~(b.bits.value & Part<U>::kMask);
    b.bits.mask &= ~(a.bits.value & Part<U>::kMask);
    return true;
}

template <class U>
bool refine(Relation relation, Part<U> a, Part<U> b) {
    switch (relation) {
    case Relation::Equal:
        return make_equal(a, b);
    case Relation::Different:
        return exclude_constant(a, b) && exclude_constant(b, a);
    case Relation::SharesBits:
        return make_share_bits(a, b);
    case Relation::SharesNone:
        return make_share_none(a, b);
    case Relation::Less:
        return make_less(a.u, b.u);
    case Relation::LessEqual:
        return make_less_equal(a.u, b.u);
    case Relation::SignedLess:
        return make_less(a.s, b.s);
    case Relation::SignedLessEqual:
        return make_less_equal(a.s, b.s);
    }
    std::unreachable();
}

using Decision = std::optional<Outcome>;

Decision inverse(Decision d) {
    return d ? Decision(*d == Outcome::Taken ? Outcome::NotTaken : Outcome::Taken) : d;
}

/// Whether a < b.
template <class T>
Decision less(const Range<T>& a, const Range<T>& b) {
    if (a.max < b.min) {
        return Outcome::Taken;
    }
    return a.min >= b.max ? Decision(Outcome::NotTaken) : std::nullopt;
}
template <class U>
Decision equal(const Scalar& a, const Scalar& b) {
    const Bounds<U> x = bounds<U>(a);
    const Bounds<U> y = bounds<U>(b);
    if (disjoint(x.u, y.u) || disjoint(x.s, y.s) ||
        ((a.bits.value ^ b.bits.value) & ~a.bits.mask & ~b.bits.mask & low_mask(kWidth<U>)) != 0) {
        return Outcome::NotTaken;
    }
    return x.u.is_constant() && x.u == y.u ? Decision(Outcome::Taken) : std::nullopt;
}
template <class U>
Decision share_bits(const Scalar& a, const Scalar& b) {
    const Tnum x = truncate(kWidth<U>, a.bits);
    const Tnum y = truncate(kWidth<U>, b.bits);
    if ((x.max() & y.max()) == 0) {
        return Outcome::NotTaken;
    }
    // Either a one in common, or all bits that one may have and of which it has at least one.
    const bool always = (x.value & y.value) != 0 ||
                        (bounds<U>(a).u.min > 0 && (x.max() & ~y.value) == 0) ||
                        (bounds<U>(b).u.min > 0 && (y.max() & ~x.value) == 0);
    return always ? Decision(Outcome::Taken) : std::nullopt;
}

template <class U>
Decision decide(JmpOp op, const Scalar& dst, const Scalar& src) {
    const Bounds<U> x = bounds<U>(dst);
    const Bounds<U> y = bounds<U>(src);
    switch (op) {
    case JmpOp::Jeq:
        return equal<U>(dst, src);
    case JmpOp::Jne:
        return inverse(equal<U>(dst, src));
    case JmpOp::Jset:
        return share_bits<U>(dst, src);
    case JmpOp::Jgt:
        return less(y.u, x.u);
    case JmpOp::Jge:
        return inverse(less(x.u, y.u));
    case JmpOp::Jlt:
        return less(x.u, y.u);
    case JmpOp::Jle:
        return inverse(less(y.u, x.u));
    case JmpOp::Jsgt:
        return less(y.s, x.s);
    case JmpOp::Jsge:
        return inverse(less(x.s, y.s));
    case JmpOp::Jslt:
        return less(x.s, y.s);
    case JmpOp::Jsle:
        return inverse(less(y.s, x.s));
    }
    std::unreachable();
}

} // namespace

std::optional<Outcome> decide(JmpOp op, Width width, const Scalar& dst, const Scalar& src) {
    if (width == Width::W32) {
        return decide<u32>(op, dst, src);
    }
    const Decision word = decide<u64>(op, dst, src);
    if (word || (op != JmpOp::Jeq && op != JmpOp::Jne)) {
        return word;
    }
    // Words with different low halves differ; with equal ones they need not be equal.
    const Decision half = equal<u32>(dst, src);
    if (half != Outcome::NotTaken) {
        return std::nullopt;
    }
    return op == JmpOp::Jeq ? Outcome::NotTaken : Outcome::Taken;
}

bool assume(JmpOp op, Outcome outcome, Width width, Scalar& dst, Scalar& src) {
    const Ordered order = relation(op, outcome);
    Scalar& a = order.swapped ? src : dst;
    Scalar& b = order.swapped ? dst : src;
    if (width == Width::W64 && order.relation == Relation::Equal) {
        if (!meet(a, b)) {
            return false;
        }
        b = a;
        return true;
    }
    const bool possible = width == Width::W64
                              ? refine(order.relation, part(a, u64{}), part(b, u64{}))
                              : refine(order.relation, part(a, u32{}), part(b, u32{}));
    return possible && reduce(a) && reduce(b);
}

} // namespace ebpfvm::verifier
