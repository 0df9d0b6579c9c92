// Rules for each kind of node, applied until none makes it simpler.
#include "jit/opt/simplify.hpp"

#include "jit/opt/conditions.hpp"
#include "jit/opt/divide.hpp"
#include "jit/opt/fold.hpp"
#include "jit/opt/known_bits.hpp"
#include "jit/opt/rewriter.hpp"
#include "support/bits.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

class Simplifier : Rewriter {
  public:
    Simplifier(Function& fn, ValueId id) : Rewriter(fn, id) {}

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

    // An operation of 32 bits on two values sees no more of them.
    void look_at_low_halves() {
        if (is_64()) {
            return;
        }
        for (const unsigned i : {0U, 1U}) {
            set_arg(i, low_part(fn_, arg_id(i), 32));
            if (is_const(i) && const_arg(i) >> 32 != 0) {
                set_arg(i, fn_.constant(std::uint32_t(const_arg(i))));
            }
        }
    }

    ValueId binary() {
        const Kind kind = node().kind;
        look_at_low_halves();
        if (is_const(0) && is_const(1)) {
            return fn_.constant(fold(kind, node().width, const_arg(0), const_arg(1)));
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
        return rotate();
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
        if (const ValueId low = low_part(fn_, arg_id(0), 64 - unsigned(std::countl_zero(c)));
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
        return rotate();
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
        return rotate();
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
            return id_;
        }
        const std::uint64_t count = fn_.value_of(shl.args[1]);
        if (count + fn_.value_of(shr.args[1]) != bits_in(shl.width)) {
            return id_;
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
            set_arg(1, low_part(fn_, arg_id(1), is_64() ? 6 : 5));
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
            return fn_.constant(fold(node(), const_arg(0)));
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
                set_arg(0, low_part(fn_, arg_id(0), 32));
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
        set_arg(0, low_part(fn_, arg_id(0), seen));
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
        set_arg(0, low_part(fn_, arg_id(0), seen));
        return id_;
    }

    ValueId bswap() {
        if (node().size == 1) {
            return become_zext(arg_id(0), 1);
        }
        set_arg(0, low_part(fn_, arg_id(0), 8U * node().size));
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
        if (const auto known = verdict(fn_, node())) {
            return arg_id(*known ? 2 : 3);
        }
        return id_;
    }

    // Constant part of an address into imm.
    ValueId memory() {
        if (node().kind == Kind::Store) {
            set_arg(2, low_part(fn_, arg_id(2), 8U * node().size));
        } else if (is_const(0)) {
            if (const auto value = fold_load(fn_, node())) {
                return fn_.constant(*value);
            }
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

    void compare() {
        if (is_const(0) && !is_const(1)) {
            std::swap(node().args[0], node().args[1]);
            node().cond = swap(node().cond);
            changed_ = true;
        }
        look_at_low_halves();
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
            if (const auto known = verdict(fn_, node())) { // prune() removes the other edge
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
};

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

ValueId simplify(Function& fn, ValueId id) {
    return Simplifier(fn, id).run();
}

} // namespace ebpfvm::jit::opt
