#include "jit/opt/simplify.hpp"

#include "isa/semantics.hpp"
#include "jit/opt/divide.hpp"
#include "support/bits.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

namespace sem = isa::semantics;

unsigned bits_in(Width width) {
    return width == Width::W64 ? 64 : 32;
}

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

std::uint64_t sign_extend(std::uint64_t value, unsigned bytes) {
    const unsigned shift = 64 - 8 * bytes;
    return std::uint64_t(std::int64_t(value << shift) >> shift);
}

std::uint64_t compute(const Node& node, std::uint64_t a) {
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

bool is_binary(Kind kind) {
    return kind >= Kind::Add && kind <= Kind::Smod;
}
bool is_unary(Kind kind) {
    return kind >= Kind::Neg && kind <= Kind::Bswap;
}

class Simplifier {
  public:
    Simplifier(Function& fn, ValueId id) : fn_(fn), id_(id) {}

    ValueId run() {
        // Each step makes the node simpler, or is the last.
        for (;;) {
            changed_ = false;
            const ValueId other = step();
            if (other != id_) {
                return other;
            }
            if (!changed_) {
                node().bits = bits_of(fn_, node());
                node().settled = hash_of(node());
                return id_;
            }
        }
    }

  private:
    [[nodiscard]] Node& node() { return fn_[id_]; }
    [[nodiscard]] const Node& arg(unsigned i) { return fn_[node().args[i]]; }
    [[nodiscard]] ValueId arg_id(unsigned i) { return node().args[i]; }
    [[nodiscard]] bool is_const(unsigned i) { return fn_.is_const(arg_id(i)); }
    [[nodiscard]] std::uint64_t const_arg(unsigned i) { return fn_.value_of(arg_id(i)); }
    [[nodiscard]] bool is_64() { return node().width == Width::W64; }
    [[nodiscard]] unsigned width() { return bits_in(node().width); }
    [[nodiscard]] std::uint64_t width_mask() { return low_mask(width()); }

    // Becomes another operation on the same or other arguments.
    ValueId become(Kind kind, ValueId a, ValueId b = 0, unsigned size = 0) {
        Node& changed = node();
        changed.kind = kind;
        changed.args = {a, b, 0, 0};
        changed.size = std::uint8_t(size);
        changed_ = true;
        return id_;
    }
    ValueId become_zext(ValueId a, unsigned bytes) {
        node().width = Width::W64;
        return become(Kind::Zext, a, 0, bytes);
    }
    // The value itself, as an operation of this width leaves it.
    ValueId as_result(ValueId value) {
        if (is_64() || fn_[value].bits <= 32) {
            return value;
        }
        return become_zext(value, 4);
    }
    void set_arg(unsigned i, ValueId value) {
        if (node().args[i] != value) {
            node().args[i] = value;
            changed_ = true;
        }
    }

    ValueId step() {
        const Kind kind = node().kind;
        if (is_binary(kind)) {
            return binary();
        }
        if (is_unary(kind)) {
            return unary();
        }
        switch (kind) {
        case Kind::Load:
        case Kind::Store:
            return memory();
        case Kind::Select:
            return select();
        case Kind::Branch:
            compare();
            return id_;
        default:
            return id_;
        }
    }

    // What an operation on the low `bits` bits alone sees of a value.
    ValueId low_part(ValueId value, unsigned bits) {
        for (;;) {
            const Node& of = fn_[value];
            if (of.kind == Kind::Zext && 8U * of.size >= bits) {
                value = of.args[0];
            } else if (of.kind == Kind::Sext && 8U * of.size >= bits) {
                value = of.args[0];
            } else if (of.kind == Kind::And && fn_.is_const(of.args[1]) &&
                       (~fn_.value_of(of.args[1]) & low_mask(bits)) == 0 &&
                       (of.width == Width::W64 || bits <= 32)) {
                value = of.args[0];
            } else {
                return value;
            }
        }
    }

    ValueId binary() {
        const Kind kind = node().kind;
        if (!is_64()) {
            set_arg(0, low_part(arg_id(0), 32));
            set_arg(1, low_part(arg_id(1), 32));
            if (is_const(0) && const_arg(0) >> 32 != 0) {
                set_arg(0, fn_.constant(std::uint32_t(const_arg(0))));
            }
            if (is_const(1) && const_arg(1) >> 32 != 0) {
                set_arg(1, fn_.constant(std::uint32_t(const_arg(1))));
            }
        }
        if (is_const(0) && is_const(1)) {
            const std::uint64_t a = const_arg(0);
            const std::uint64_t b = const_arg(1);
            return fn_.constant(
                is_64() ? compute<std::uint64_t>(kind, a, b)
                        : compute<std::uint32_t>(kind, std::uint32_t(a), std::uint32_t(b)));
        }
        if (is_commutative(kind) && is_const(0)) {
            std::swap(node().args[0], node().args[1]);
        }
        switch (kind) {
        case Kind::Add:
            return add();
        case Kind::Sub:
            return sub();
        case Kind::Mul:
            return mul();
        case Kind::And:
            return bit_and();
        case Kind::Or:
            return bit_or();
        case Kind::Xor:
            return bit_xor();
        case Kind::Shl:
        case Kind::Shr:
        case Kind::Sar:
        case Kind::Rotl:
            return shift();
        case Kind::Udiv:
        case Kind::Umod:
            return divide();
        default:
            return id_;
        }
    }

    ValueId add() {
        if (is_const(1)) {
            const std::uint64_t c = const_arg(1);
            if (c == 0) {
                return as_result(arg_id(0));
            }
            if (is_64() && arg(0).kind == Kind::Frame && is_near(arg(0).imm + std::int64_t(c))) {
                Node frame = arg(0);
                frame.imm += std::int64_t(c);
                return insert_simplified(fn_, id_, frame);
            }
            if (arg(0).kind == Kind::Add && arg(0).width == node().width &&
                fn_.is_const(arg(0).args[1])) {
                const std::uint64_t sum = fn_.value_of(arg(0).args[1]) + c;
                return become(Kind::Add, arg(0).args[0], fn_.constant(sum & width_mask()));
            }
        }
        if (const ValueId rotated = rotate(); rotated != 0) {
            return rotated;
        }
        return id_;
    }

    // Within reach of an insn's displacement, whatever the size of the frame.
    static bool is_near(std::int64_t off) {
        constexpr std::int64_t kReach = 1 << 20;
        return off > -kReach && off < kReach;
    }

    ValueId sub() {
        if (arg_id(0) == arg_id(1)) {
            return fn_.constant(0);
        }
        if (is_const(1)) {
            return become(Kind::Add, arg_id(0), fn_.constant((0 - const_arg(1)) & width_mask()));
        }
        if (is_const(0) && const_arg(0) == 0) {
            return become(Kind::Neg, arg_id(1));
        }
        return id_;
    }

    ValueId mul() {
        if (!is_const(1)) {
            return id_;
        }
        const std::uint64_t c = const_arg(1);
        if (c == 0) {
            return fn_.constant(0);
        }
        if (c == 1) {
            return as_result(arg_id(0));
        }
        if (std::has_single_bit(c)) {
            return become(Kind::Shl, arg_id(0), fn_.constant(unsigned(std::countr_zero(c))));
        }
        return id_;
    }

    ValueId bit_and() {
        if (arg_id(0) == arg_id(1)) {
            return as_result(arg_id(0));
        }
        if (!is_const(1)) {
            return id_;
        }
        const std::uint64_t c = const_arg(1);
        if (c == 0) {
            return fn_.constant(0);
        }
        if ((~c & low_mask(std::min<unsigned>(arg(0).bits, width()))) == 0) {
            return as_result(arg_id(0));
        }
        if (arg(0).kind == Kind::And && fn_.is_const(arg(0).args[1])) {
            node().width = Width::W64;
            return become(Kind::And, arg(0).args[0],
                          fn_.constant(fn_.value_of(arg(0).args[1]) & c));
        }
        if (c == 0xff || c == 0xffff || c == 0xffff'ffff) {
            return become_zext(arg_id(0), unsigned(std::countr_one(c)) / 8);
        }
        if (const ValueId low = low_part(arg_id(0), 64 - unsigned(std::countl_zero(c)));
            low != arg_id(0)) {
            node().width = Width::W64; // c has no bit above those that are seen
            return become(Kind::And, low, arg_id(1));
        }
        return id_;
    }

    ValueId bit_or() {
        if (arg_id(0) == arg_id(1) || (is_const(1) && const_arg(1) == 0)) {
            return as_result(arg_id(0));
        }
        if (const ValueId rotated = rotate(); rotated != 0) {
            return rotated;
        }
        return id_;
    }

    ValueId bit_xor() {
        if (arg_id(0) == arg_id(1)) {
            return fn_.constant(0);
        }
        if (is_const(1) && const_arg(1) == 0) {
            return as_result(arg_id(0));
        }
        if (is_const(1) && const_arg(1) == width_mask()) {
            return become(Kind::Not, arg_id(0));
        }
        if (const ValueId rotated = rotate(); rotated != 0) {
            return rotated;
        }
        return id_;
    }

    // (x << c) op (x >> (width - c)), where op is +, | or ^.
    ValueId rotate() {
        const Node& left = arg(0);
        const Node& right = arg(1);
        const Node& shl = left.kind == Kind::Shl ? left : right;
        const Node& shr = left.kind == Kind::Shl ? right : left;
        if (shl.kind != Kind::Shl || shr.kind != Kind::Shr || shl.width != shr.width ||
            shl.args[0] != shr.args[0] || !fn_.is_const(shl.args[1]) ||
            !fn_.is_const(shr.args[1])) {
            return 0;
        }
        const std::uint64_t count = fn_.value_of(shl.args[1]);
        if (count + fn_.value_of(shr.args[1]) != bits_in(shl.width)) {
            return 0;
        }
        const ValueId value = shl.args[0];
        node().width = shl.width;
        return become(Kind::Rotl, value, fn_.constant(count));
    }

    ValueId shift() {
        const unsigned mask = width() - 1;
        if (is_const(0) && const_arg(0) == 0) {
            return arg_id(0);
        }
        if (!is_const(1)) {
            // Only the low bits of the count matter.
            set_arg(1, low_part(arg_id(1), is_64() ? 6 : 5));
            return id_;
        }
        const unsigned count = unsigned(const_arg(1)) & mask;
        if (count != const_arg(1)) {
            set_arg(1, fn_.constant(count));
        }
        if (count == 0) {
            return as_result(arg_id(0));
        }
        const unsigned seen = std::min<unsigned>(arg(0).bits, width());
        const Kind kind = node().kind;
        if (kind == Kind::Rotl) {
            return id_;
        }
        if (kind == Kind::Sar && seen < width()) { // not negative
            return become(Kind::Shr, arg_id(0), arg_id(1));
        }
        if (kind == Kind::Shr && seen <= count) {
            return fn_.constant(0);
        }
        if (kind == Kind::Shr) {
            shift_out();
        }
        const Node inner = arg(0);
        const bool is_nested = (inner.kind == Kind::Shl || inner.kind == Kind::Shr) &&
                               inner.width == node().width && fn_.is_const(inner.args[1]);
        if (!is_nested) {
            return id_;
        }
        const unsigned before = unsigned(fn_.value_of(inner.args[1]));
        if (inner.kind == kind) {
            if (before + count >= width()) {
                return fn_.constant(0); // Sar of Sar is none of these
            }
            return become(kind, inner.args[0], fn_.constant(before + count));
        }
        if (kind == Kind::Shr && before == count) {
            return become_and(inner.args[0], width_mask() >> count);
        }
        if (kind == Kind::Shl && before == count) { // x >> c << c
            return become_and(inner.args[0], width_mask() & ~low_mask(count));
        }
        if (kind == Kind::Sar && before == count && (width() - count) % 8 == 0 &&
            std::has_single_bit(width() - count)) {
            return become(Kind::Sext, inner.args[0], 0, (width() - count) / 8);
        }
        if (kind == Kind::Shr && before < count &&
            std::min<unsigned>(fn_[inner.args[0]].bits, width()) + before <= width()) {
            return become(Kind::Shr, inner.args[0], fn_.constant(count - before));
        }
        return id_;
    }

    // (x ^ y) >> c, where nothing of y is left then.
    void shift_out() {
        const Node& inner = arg(0);
        if ((inner.kind != Kind::Xor && inner.kind != Kind::Or) || inner.width != node().width) {
            return;
        }
        for (const unsigned i : {0U, 1U}) {
            if (fn_[inner.args[i]].bits <= const_arg(1)) {
                set_arg(0, inner.args[1 - i]);
                return;
            }
        }
    }

    ValueId become_and(ValueId value, std::uint64_t mask) {
        return become(Kind::And, value, fn_.constant(mask));
    }

    ValueId divide() {
        if (is_64() && arg(0).bits <= 32 && arg(1).bits <= 32) {
            node().width = Width::W32;
            changed_ = true;
            return id_;
        }
        return is_const(1) ? divide_by_constant(fn_, id_) : id_;
    }

    ValueId unary() {
        if (is_const(0)) {
            return fn_.constant(compute(node(), const_arg(0)));
        }
        switch (node().kind) {
        case Kind::Zext:
            return zext();
        case Kind::Sext:
            return sext();
        case Kind::Bswap:
            return bswap();
        case Kind::Neg:
        case Kind::Not:
            if (!is_64()) {
                set_arg(0, low_part(arg_id(0), 32));
            }
            if (arg(0).kind == node().kind && arg(0).width == node().width) {
                return as_result(arg(0).args[0]);
            }
            return id_;
        default:
            return id_;
        }
    }

    ValueId zext() {
        const unsigned seen = 8U * node().size;
        if (arg(0).bits <= seen) {
            return arg_id(0);
        }
        set_arg(0, low_part(arg_id(0), seen));
        if (arg(0).kind == Kind::And && fn_.is_const(arg(0).args[1])) {
            const std::uint64_t mask = fn_.value_of(arg(0).args[1]) & low_mask(seen);
            node().width = Width::W64;
            return become_and(arg(0).args[0], mask);
        }
        return id_;
    }

    ValueId sext() {
        const unsigned seen = 8U * node().size;
        if (arg(0).bits < seen) {
            return arg_id(0);
        }
        set_arg(0, low_part(arg_id(0), seen));
        return id_;
    }

    ValueId bswap() {
        if (node().size == 1) {
            return become_zext(arg_id(0), 1);
        }
        set_arg(0, low_part(arg_id(0), 8U * node().size));
        if (arg(0).kind == Kind::Bswap && arg(0).size == node().size) {
            const ValueId value = arg(0).args[0];
            return node().size == 8 ? value : become_zext(value, node().size);
        }
        return id_;
    }

    ValueId select() {
        compare();
        if (arg_id(2) == arg_id(3)) {
            return arg_id(2);
        }
        if (const auto known = verdict()) {
            return arg_id(*known ? 2 : 3);
        }
        return id_;
    }

    // Constant part of an address into imm.
    ValueId memory() {
        if (node().kind == Kind::Store) {
            set_arg(2, low_part(arg_id(2), 8U * node().size));
        } else if (const ValueId value = frozen(); value != 0) {
            return value;
        }
        if (arg(0).kind == Kind::Add && arg(0).width == Width::W64 &&
            fn_.is_const(arg(0).args[1])) {
            const std::int64_t sum = node().imm + std::int64_t(fn_.value_of(arg(0).args[1]));
            if (sum == std::int32_t(sum)) {
                node().imm = sum;
                set_arg(0, arg(0).args[0]);
            }
        }
        return id_;
    }

    // What a load at a constant address gets, if nobody can change it.
    ValueId frozen() {
        const bool is_fixed = is_const(0) && arg_id(1) == 0 && !node().is_ordered;
        const auto bytes =
            is_fixed ? fn_.code->frozen_bytes(const_arg(0) + std::uint64_t(node().imm), node().size)
                     : std::nullopt;
        if (!bytes) {
            return 0;
        }
        const unsigned unused = 64 - 8U * node().size;
        return fn_.constant(
            node().is_signed ? std::uint64_t(std::int64_t(*bytes << unused) >> unused) : *bytes);
    }

    // Addresses: a constant, perhaps with something added that does not make it wrap.
    bool is_not_null(const Node& node) const {
        if (node.kind != Kind::Add || node.width != Width::W64 || !fn_.is_const(node.args[1])) {
            return node.kind == Kind::Frame;
        }
        const unsigned bits = fn_[node.args[0]].bits;
        const std::uint64_t begin = fn_.value_of(node.args[1]);
        return bits < 64 && begin != 0 && begin <= ~low_mask(bits);
    }

    // What the condition of a Branch or Select is known to be.
    std::optional<bool> verdict() {
        const Node& at = node();
        if (is_const(0) && is_const(1)) {
            return holds(at.cond, at.width, const_arg(0), const_arg(1));
        }
        if (arg_id(0) == arg_id(1) && at.cond != Cond::Set && at.cond != Cond::NotSet) {
            return holds(at.cond, at.width, 0, 0);
        }
        if (!is_const(1)) {
            return std::nullopt;
        }
        const std::uint64_t c = const_arg(1);
        const std::uint64_t max = low_mask(std::min<unsigned>(arg(0).bits, width()));
        switch (at.cond) {
        case Cond::Eq:
        case Cond::Ne:
            if (c == 0 && is_64() && is_not_null(arg(0))) {
                return at.cond == Cond::Ne;
            }
            return c > max ? std::optional(at.cond == Cond::Ne) : std::nullopt;
        case Cond::Ult:
        case Cond::Uge:
            return c > max  ? std::optional(at.cond == Cond::Ult)
                   : c == 0 ? std::optional(at.cond == Cond::Uge)
                            : std::nullopt;
        case Cond::Ule:
        case Cond::Ugt:
            return c >= max ? std::optional(at.cond == Cond::Ule) : std::nullopt;
        case Cond::Set:
        case Cond::NotSet:
            return (c & max) == 0 ? std::optional(at.cond == Cond::NotSet) : std::nullopt;
        default:
            return std::nullopt;
        }
    }

    void compare() {
        if (is_const(0) && !is_const(1)) {
            std::swap(node().args[0], node().args[1]);
            node().cond = swap(node().cond);
            changed_ = true;
        }
        if (!is_64()) {
            for (const unsigned i : {0U, 1U}) {
                set_arg(i, low_part(arg_id(i), 32));
                if (is_const(i) && const_arg(i) >> 32 != 0) {
                    set_arg(i, fn_.constant(std::uint32_t(const_arg(i))));
                }
            }
        }
        const bool is_signed = node().cond >= Cond::Slt && node().cond <= Cond::Sge;
        const unsigned most = is_signed ? 31 : 32;
        if (is_64() && arg(0).bits <= most && arg(1).bits <= most) {
            node().width = Width::W32;
            changed_ = true;
        }
        if (is_const(1) && const_arg(1) == 0) {
            compare_with_zero();
        }
        if (node().kind == Kind::Branch) {
            if (const auto known = verdict()) { // prune() removes the other edge
                set_outcome(fn_, id_, *known);
            }
        }
    }

    void compare_with_zero() {
        Node& at = node();
        if (at.cond == Cond::Ule || at.cond == Cond::Ugt) { // of unsigned numbers
            at.cond = at.cond == Cond::Ule ? Cond::Eq : Cond::Ne;
            changed_ = true;
        }
        if (at.cond != Cond::Eq && at.cond != Cond::Ne) {
            return;
        }
        const Node tested = arg(0);
        if (tested.kind == Kind::And && (tested.width == at.width || tested.bits <= 32)) {
            at.cond = at.cond == Cond::Eq ? Cond::NotSet : Cond::Set;
            at.width = tested.width;
            at.args[0] = tested.args[0];
            at.args[1] = tested.args[1];
            changed_ = true;
        }
    }

    Function& fn_;
    ValueId id_;
    bool changed_ = false;
};

} // namespace

namespace {

ValueId simplified(Function& fn, ValueId made) {
    const ValueId value = simplify(fn, made);
    if (value != made) {
        fn.remove(made);
    }
    return value;
}

} // namespace

ValueId insert_simplified(Function& fn, ValueId place, Node node) {
    node.slot = fn[place].slot;
    return simplified(fn, fn.insert_before(place, node));
}

ValueId insert_simplified(Function& fn, ValueId place, Kind kind, Width width, ValueId a, ValueId b,
                          unsigned size) {
    Node node;
    node.kind = kind;
    node.width = width;
    node.args = {a, b, 0, 0};
    node.size = std::uint8_t(size);
    return insert_simplified(fn, place, node);
}

ValueId append_simplified(Function& fn, BlockId block, const Node& node) {
    const ValueId made = fn.append(block, node);
    if (is_simplifiable(node.kind)) {
        return simplified(fn, made);
    }
    fn[made].bits = bits_of(fn, node);
    return made;
}

void set_outcome(Function& fn, ValueId branch, bool is_taken) {
    const ValueId zero = fn.constant(0);
    fn[branch].cond = is_taken ? Cond::Eq : Cond::Ne;
    fn[branch].args = {zero, zero, 0, 0};
}

bool holds(Cond cond, Width width, std::uint64_t a, std::uint64_t b) {
    if (width == Width::W32) {
        a = std::uint32_t(a);
        b = std::uint32_t(b);
    }
    const std::int64_t sa = width == Width::W32 ? std::int32_t(a) : std::int64_t(a);
    const std::int64_t sb = width == Width::W32 ? std::int32_t(b) : std::int64_t(b);
    switch (cond) {
    case Cond::Eq:
        return a == b;
    case Cond::Ne:
        return a != b;
    case Cond::Ult:
        return a < b;
    case Cond::Ule:
        return a <= b;
    case Cond::Ugt:
        return a > b;
    case Cond::Uge:
        return a >= b;
    case Cond::Slt:
        return sa < sb;
    case Cond::Sle:
        return sa <= sb;
    case Cond::Sgt:
        return sa > sb;
    case Cond::Sge:
        return sa >= sb;
    case Cond::Set:
        return (a & b) != 0;
    case Cond::NotSet:
        return (a & b) == 0;
    }
    std::unreachable();
}

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

ValueId simplify(Function& fn, ValueId id) {
    return Simplifier(fn, id).run();
}

} // namespace ebpfvm::jit::opt
