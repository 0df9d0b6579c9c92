#include "jit/opt/divide.hpp"

#include "jit/opt/simplify.hpp"

#include <bit>

namespace ebpfvm::jit::opt {
namespace {

class Divider {
  public:
    Divider(Function& fn, ValueId id) : fn_(fn), id_(id) {}

    ValueId run() {
        const Node node = fn_[id_];
        const std::uint64_t divisor = fn_.value_of(node.args[1]);
        const bool wants_quotient = node.kind == Kind::Udiv;
        if (divisor == 0) {
            return wants_quotient ? fn_.constant(0) : low(node);
        }
        if (std::has_single_bit(divisor)) {
            const auto shift = unsigned(std::countr_zero(divisor));
            return wants_quotient
                       ? emit(Kind::Shr, node.width, node.args[0], fn_.constant(shift))
                       : emit(Kind::And, node.width, node.args[0], fn_.constant(divisor - 1));
        }
        const ValueId dividend = low(node);
        const ValueId quotient =
            node.width == Width::W32 ? divide32(dividend, divisor) : divide64(dividend, divisor);
        if (wants_quotient) {
            return quotient;
        }
        const ValueId product = emit(Kind::Mul, node.width, quotient, node.args[1]);
        return emit(Kind::Sub, node.width, dividend, product);
    }

  private:
    ValueId emit(Kind kind, Width width, ValueId a, ValueId b) {
        return insert_simplified(fn_, id_, kind, width, a, b);
    }

    // The dividend with its high half zero if it has none.
    ValueId low(const Node& node) {
        if (node.width == Width::W64) {
            return node.args[0];
        }
        return insert_simplified(fn_, id_, Kind::Zext, Width::W64, node.args[0], 0, 4);
    }

    // floor(x / d) = floor(x * m / 2^(32 + l)) with m = ceil(2^(32 + l) / d) < 2^33, l = ceil(log2
    // d).
    ValueId divide32(ValueId dividend, std::uint64_t divisor) {
        const auto l = unsigned(std::bit_width(divisor - 1));
        const Wide power = static_cast<Wide>(1) << (32 + l);
        auto magic = std::uint64_t((power + divisor - 1) / divisor);
        unsigned shift = 32 + l;
        while ((magic & 1) == 0) {
            magic >>= 1;
            --shift;
        }
        if (fn_[dividend].bits + unsigned(std::bit_width(magic)) <= 64) {
            const ValueId product = emit(Kind::Mul, Width::W64, dividend, fn_.constant(magic));
            return shift < 64 ? emit(Kind::Shr, Width::W64, product, fn_.constant(shift))
                              : fn_.constant(0);
        }
        return emit(Kind::MulHigh, Width::W64, dividend, fn_.constant(magic << (64 - shift)));
    }

    // The same with 64 bits; m may need one bit more than there are.
    ValueId divide64(ValueId dividend, std::uint64_t divisor) {
        const auto zeros = unsigned(std::countr_zero(divisor));
        if (zeros > 0) { // an odd divisor of a smaller number: m fits
            const ValueId less = emit(Kind::Shr, Width::W64, dividend, fn_.constant(zeros));
            return divide_bits(less, divisor >> zeros, 64 - zeros);
        }
        return divide_bits(dividend, divisor, 64);
    }

    ValueId divide_bits(ValueId dividend, std::uint64_t divisor, unsigned bits) {
        const auto l = unsigned(std::bit_width(divisor - 1));
        // ceil(2^(bits + l) / d) - 2^bits, without leaving 128 bits: 2^l - d < 2^l.
        const Wide power = static_cast<Wide>(1) << l;
        const Wide excess = ((power - divisor) << bits) / divisor + 1;
        if (bits < 64) { // m = 2^bits + excess < 2^(bits + 1) <= 2^64
            const auto magic = std::uint64_t((static_cast<Wide>(1) << bits) + excess);
            const ValueId high =
                emit(Kind::MulHigh, Width::W64, dividend, fn_.constant(magic << (63 - bits)));
            // x * m * 2^(63 - bits) / 2^64 = x * m / 2^(bits + 1)
            return emit(Kind::Shr, Width::W64, high, fn_.constant(l - 1));
        }
        // q = floor((t + (x - t) / 2) / 2^(l - 1)) with t = floor(x * excess / 2^64)
        const ValueId t =
            emit(Kind::MulHigh, Width::W64, dividend, fn_.constant(std::uint64_t(excess)));
        const ValueId rest = emit(Kind::Sub, Width::W64, dividend, t);
        const ValueId half = emit(Kind::Shr, Width::W64, rest, fn_.constant(1));
        const ValueId sum = emit(Kind::Add, Width::W64, t, half);
        return emit(Kind::Shr, Width::W64, sum, fn_.constant(l - 1));
    }

    Function& fn_;
    ValueId id_;
};

} // namespace

ValueId divide_by_constant(Function& fn, ValueId id) {
    return Divider(fn, id).run();
}

} // namespace ebpfvm::jit::opt
