// How precise the numeric domain is: claims in the manner of the kernel's selftests reg_bounds,
// verifier_bounds and verifier_subreg, and where it does better.
#include "verifier/abstract_values.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::verifier {
namespace {

using isa::AluOp;
using isa::JmpOp;
using isa::Width;

constexpr std::uint64_t kMax = ~std::uint64_t{0};
constexpr std::uint64_t kSign = std::uint64_t{1} << 63;
const Scalar kAny = Scalar::unknown();

Scalar number(std::uint64_t value) {
    return Scalar::constant(value);
}
Scalar alu(AluOp op, const Scalar& dst, const Scalar& src, Width width = Width::W64) {
    return apply(op, width, dst, src);
}
Scalar alu(AluOp op, const Scalar& dst, std::uint64_t src, Width width = Width::W64) {
    return apply(op, width, dst, number(src));
}
/// dst on the edge of a comparison with a constant.
Scalar when(JmpOp op, Outcome outcome, Scalar dst, std::uint64_t imm, Width width = Width::W64) {
    Scalar src = number(imm);
    EXPECT_TRUE(assume(op, outcome, width, dst, src));
    return dst;
}
Scalar taken(JmpOp op, const Scalar& dst, std::uint64_t imm, Width width = Width::W64) {
    return when(op, Outcome::Taken, dst, imm, width);
}
Scalar not_taken(JmpOp op, const Scalar& dst, std::uint64_t imm, Width width = Width::W64) {
    return when(op, Outcome::NotTaken, dst, imm, width);
}
template <class T>
Range<T> range(std::type_identity_t<T> min, std::type_identity_t<T> max) {
    return {min, max};
}
constexpr auto u = range<std::uint64_t>;
constexpr auto s = range<std::int64_t>;
constexpr auto u32 = range<std::uint32_t>;
constexpr auto s32 = range<std::int32_t>;

TEST(Scalar, ConstructorsKnowEveryPart) {
    EXPECT_TRUE(kAny.is_unknown());
    EXPECT_EQ(number(kMax).s64, s(-1, -1));
    EXPECT_EQ(number(kMax).s32, s32(-1, -1));
    EXPECT_TRUE(number(7).is_constant() && number(7).value() == 7);
    EXPECT_EQ(Scalar::of_bits(64), kAny);
    for (unsigned n = 1; n < 64; ++n) {
        EXPECT_EQ(Scalar::of_bits(n), Scalar::in(0, low_mask(n))) << n;
    }
    const Scalar port = Scalar::in(1024, 65535);
    EXPECT_EQ(port.s32, s32(1024, 65535));
    EXPECT_EQ(port.bits, (Tnum{0, 0xffff}));
    const Scalar error = Scalar::in_signed(-4095, -1);
    EXPECT_EQ(error.u64, u(kMax - 4094, kMax));
    EXPECT_EQ(error.u32, u32(0xffff'f001, 0xffff'ffff));
    EXPECT_EQ(error.bits, (Tnum{~std::uint64_t{0xfff}, 0xfff}));
}

TEST(Reduce, UnsignedRangeAcrossTheSignMeetsASignedOne) {
    // The negative words of s64 lie outside u64.
    Scalar value = kAny;
    value.u64 = {1, kSign + 5};
    value.s64 = {-10, 100};
    ASSERT_TRUE(reduce(value));
    EXPECT_EQ(value, Scalar::in(1, 100));
    // The non-negative ones do.
    value = kAny;
    value.u64 = {50, kMax - 4};
    value.s64 = {-10, 20};
    ASSERT_TRUE(reduce(value));
    EXPECT_EQ(value, Scalar::in_signed(-10, -5));
    // Both pieces stay, their outer bounds tighten.
    value = kAny;
    value.u64 = {3, kMax};
    value.s64 = {-2, 100};
    ASSERT_TRUE(reduce(value));
    EXPECT_EQ(value.u64, u(3, kMax));
    EXPECT_EQ(value.s64, s(-2, 100));
    // None is left.
    value = kAny;
    value.u64 = {200, kSign};
    value.s64 = {0, 100};
    EXPECT_FALSE(reduce(value));
}

TEST(Reduce, HalvesFollowFromWordsAndBack) {
    EXPECT_EQ(Scalar::in(0x1'0000'0005, 0x1'0000'0020).u32, u32(5, 0x20));
    EXPECT_EQ(Scalar::in(0x0'ffff'fffe, 0x1'0000'0020).s32, s32(-2, 0x20));
    EXPECT_EQ(Scalar::in_signed(-3, 7).s32, s32(-3, 7));
    Scalar value = Scalar::in(0x1'0000'0000, 0x1'ffff'ffff);
    value.u32 = {16, 32};
    ASSERT_TRUE(reduce(value));
    EXPECT_EQ(value, Scalar::in(0x1'0000'0010, 0x1'0000'0020));
    // Upper halves differ: the bounds still move to the next word whose low half fits.
    value = Scalar::in(0x1'0000'0100, 0x3'0000'0005);
    value.u32 = {16, 32};
    ASSERT_TRUE(reduce(value));
    EXPECT_EQ(value.u64, u(0x2'0000'0010, 0x2'0000'0020));
    value = Scalar::in_signed(INT32_MIN, INT32_MAX);
    value.s32 = {-4, 9};
    ASSERT_TRUE(reduce(value));
    EXPECT_EQ(value.s64, s(-4, 9));
}

TEST(Reduce, BoundsMoveToMembersOfTheTnum) {
    Scalar value = Scalar::in(5, 21);
    value.bits = {0, ~std::uint64_t{7}}; // aligned to 8
    ASSERT_TRUE(reduce(value));
    EXPECT_EQ(value.u64, u(8, 16));
    value = Scalar::in(9, 15);
    value.bits = {0, ~std::uint64_t{7}};
    EXPECT_FALSE(reduce(value));
    value = Scalar::in_signed(-13, 13);
    value.bits = {0, ~std::uint64_t{3}};
    ASSERT_TRUE(reduce(value));
    EXPECT_EQ(value.s64, s(-12, 12));
    EXPECT_EQ(value.s32, s32(-12, 12));
}

TEST(Jump, BoundsOfTheOtherSignFollow) {
    EXPECT_EQ(taken(JmpOp::Jlt, kAny, 100), Scalar::in(0, 99));
    EXPECT_EQ(not_taken(JmpOp::Jgt, kAny, 100), Scalar::in(0, 100));
    EXPECT_EQ(taken(JmpOp::Jgt, kAny, kSign), Scalar::in(kSign + 1, kMax));
    const Scalar non_negative = taken(JmpOp::Jsge, kAny, 0);
    EXPECT_EQ(non_negative.u64, u(0, kSign - 1));
    EXPECT_EQ(taken(JmpOp::Jsle, non_negative, 9), Scalar::in(0, 9));
    EXPECT_EQ(taken(JmpOp::Jslt, kAny, 0), Scalar::in(kSign, kMax));
}

TEST(Jump, BothOperandsAreRefined) {
    Scalar length = kAny;
    Scalar limit = Scalar::in(10, 1500);
    ASSERT_TRUE(assume(JmpOp::Jle, Outcome::Taken, Width::W64, length, limit));
    EXPECT_EQ(length, Scalar::in(0, 1500));
    Scalar index = Scalar::in(20, 40);
    Scalar size = Scalar::in(0, 64);
    ASSERT_TRUE(assume(JmpOp::Jlt, Outcome::Taken, Width::W64, index, size));
    EXPECT_EQ(size, Scalar::in(21, 64));
    Scalar a = Scalar::in(5, 20);
    Scalar b = Scalar::in_signed(-5, 10);
    ASSERT_TRUE(assume(JmpOp::Jne, Outcome::NotTaken, Width::W64, a, b));
    EXPECT_EQ(a, Scalar::in(5, 10));
    EXPECT_EQ(b, a);
}

TEST(Jump, HalfComparisonsRefineTheWord) {
    // w1 < 10 after w1 = w1: the word is the half.
    const Scalar zero_extended = alu(AluOp::Mov, kAny, kAny, Width::W32);
    EXPECT_EQ(taken(JmpOp::Jlt, zero_extended, 10, Width::W32), Scalar::in(0, 9));
    EXPECT_EQ(taken(JmpOp::Jsgt, zero_extended, 5, Width::W32), Scalar::in(6, 0x7fff'ffff));
    // w1 < 10, then w1 = w1 (zero extension keeps what the comparison said of the half).
    const Scalar compared = taken(JmpOp::Jlt, kAny, 10, Width::W32);
    EXPECT_EQ(compared.u32, u32(0, 9));
    EXPECT_EQ(compared.bits, (Tnum{0, 0xffff'ffff'0000'000f}));
    EXPECT_EQ(alu(AluOp::Mov, kAny, compared, Width::W32), Scalar::in(0, 9));
    // Signed halves of small negative words.
    const Scalar small = Scalar::in_signed(-100, 100);
    EXPECT_EQ(taken(JmpOp::Jslt, small, 0, Width::W32), Scalar::in_signed(-100, -1));
    EXPECT_EQ(taken(JmpOp::Jeq, kAny, 7, Width::W32).bits, (Tnum{7, 0xffff'ffff'0000'0000}));
}

TEST(Jump, DifferentMovesBoundsAtTheirEnds) {
    EXPECT_EQ(taken(JmpOp::Jne, Scalar::in(0, 10), 0), Scalar::in(1, 10));
    EXPECT_EQ(not_taken(JmpOp::Jeq, Scalar::in(0, 10), 10), Scalar::in(0, 9));
    EXPECT_EQ(taken(JmpOp::Jne, Scalar::in(0, 1), 0), number(1));
    EXPECT_EQ(taken(JmpOp::Jne, Scalar::in_signed(-7, 0), 0), Scalar::in_signed(-7, -1));
    EXPECT_EQ(taken(JmpOp::Jne, kAny, 0).u64, u(1, kMax));
    EXPECT_EQ(taken(JmpOp::Jne, kAny, kSign).s64.min, std::int64_t(kSign + 1));
    EXPECT_EQ(taken(JmpOp::Jne, Scalar::in(0, 10), 0, Width::W32), Scalar::in(1, 10));
    // The next member of a tnum, not merely the next number.
    const Scalar aligned = alu(AluOp::And, kAny, 0x38);
    EXPECT_EQ(taken(JmpOp::Jne, aligned, 0).u64, u(8, 0x38));
    Scalar edge = number(0); // the constant on the left
    Scalar other = Scalar::in(0, 3);
    ASSERT_TRUE(assume(JmpOp::Jne, Outcome::Taken, Width::W64, edge, other));
    EXPECT_EQ(other, Scalar::in(1, 3));
}

TEST(Jump, JsetLearnsBitsOnBothEdges) {
    EXPECT_EQ(taken(JmpOp::Jset, kAny, 8).bits, (Tnum{8, ~std::uint64_t{8}}));
    EXPECT_EQ(not_taken(JmpOp::Jset, kAny, 7).bits, (Tnum{0, ~std::uint64_t{7}}));
    EXPECT_EQ(not_taken(JmpOp::Jset, kAny, 0xffff'0000, Width::W32).u32, u32(0, 0xffff));
    EXPECT_EQ(not_taken(JmpOp::Jset, Scalar::in(0, 20), ~std::uint64_t{7}), Scalar::in(0, 7));
    EXPECT_EQ(taken(JmpOp::Jset, Scalar::in(0, 31), 0xf0),
              Scalar::in(16, 31)); // one candidate left
    EXPECT_EQ(taken(JmpOp::Jset, kAny, 0xc).u64, u(4, kMax));
    EXPECT_EQ(decide(JmpOp::Jset, Width::W64, Scalar::in(0, 7), number(8)), Outcome::NotTaken);
    EXPECT_EQ(decide(JmpOp::Jset, Width::W64, Scalar::in(8, 11), number(8)), Outcome::Taken);
    EXPECT_EQ(decide(JmpOp::Jset, Width::W64, Scalar::in(1, 7), number(7)), Outcome::Taken);
    EXPECT_EQ(decide(JmpOp::Jset, Width::W64, Scalar::in(0, 7), number(7)), std::nullopt);
}

TEST(Jump, DecidedByEitherViewOrTheBits) {
    const auto decided = [](JmpOp op, const Scalar& dst, const Scalar& src,
                            Width width = Width::W64) { return decide(op, width, dst, src); };
    EXPECT_EQ(decided(JmpOp::Jgt, Scalar::in(5, 9), Scalar::in(0, 4)), Outcome::Taken);
    EXPECT_EQ(decided(JmpOp::Jgt, Scalar::in(5, 9), Scalar::in(0, 5)), std::nullopt);
    EXPECT_EQ(decided(JmpOp::Jge, Scalar::in(5, 9), Scalar::in(0, 5)), Outcome::Taken);
    EXPECT_EQ(decided(JmpOp::Jslt, Scalar::in_signed(-9, -1), Scalar::in(0, 9)), Outcome::Taken);
    EXPECT_EQ(decided(JmpOp::Jlt, Scalar::in_signed(-9, -1), Scalar::in(0, 9)), Outcome::NotTaken);
    EXPECT_EQ(decided(JmpOp::Jeq, Scalar::in(0, 4), Scalar::in(5, 9)), Outcome::NotTaken);
    const Scalar even = alu(AluOp::Lsh, kAny, 1);
    EXPECT_EQ(decided(JmpOp::Jeq, even, alu(AluOp::Or, kAny, 1)), Outcome::NotTaken);
    EXPECT_EQ(decided(JmpOp::Jne, even, number(3)), Outcome::Taken);
    EXPECT_EQ(decided(JmpOp::Jeq, number(3), number(3)), Outcome::Taken);
    // Only the halves tell the words apart.
    const Scalar half = taken(JmpOp::Jlt, kAny, 10, Width::W32);
    EXPECT_EQ(decided(JmpOp::Jeq, half, taken(JmpOp::Jgt, kAny, 11, Width::W32)),
              Outcome::NotTaken);
    EXPECT_EQ(decided(JmpOp::Jgt, half, number(9), Width::W32), Outcome::NotTaken);
    EXPECT_EQ(decided(JmpOp::Jgt, half, number(9)), std::nullopt);
}

TEST(Jump, ImpossibleEdgesAreSaidToBe) {
    Scalar dst = Scalar::in(0, 10);
    Scalar src = number(10);
    EXPECT_FALSE(assume(JmpOp::Jgt, Outcome::Taken, Width::W64, dst, src));
    dst = number(3);
    src = number(3);
    EXPECT_FALSE(assume(JmpOp::Jne, Outcome::Taken, Width::W32, dst, src));
    dst = Scalar::in(1, 7);
    src = number(7);
    EXPECT_FALSE(assume(JmpOp::Jset, Outcome::NotTaken, Width::W64, dst, src));
}

TEST(Arithmetic, SumsAreArcs) {
    EXPECT_EQ(alu(AluOp::Add, Scalar::in(0, 10), 5), Scalar::in(5, 15));
    EXPECT_EQ(alu(AluOp::Add, Scalar::in(kMax - 10, kMax), 20), Scalar::in(9, 19)); // all wrap
    EXPECT_EQ(alu(AluOp::Add, Scalar::in(0, 10), kMax - 4).s64, s(-5, 5));          // some do
    EXPECT_EQ(alu(AluOp::Add, Scalar::in_signed(-5, 5), kSign).u64, u(kSign - 5, kSign + 5));
    EXPECT_EQ(alu(AluOp::Sub, Scalar::in(0, 10), Scalar::in(0, 3)).s64, s(-3, 10));
    EXPECT_EQ(alu(AluOp::Sub, number(0), Scalar::in(1, 4)), Scalar::in_signed(-4, -1));
    EXPECT_EQ(alu(AluOp::Add, Scalar::in(0xffff'fff0, 0xffff'ffff), 16, Width::W32),
              Scalar::in(0, 15));
    EXPECT_EQ(alu(AluOp::Add, Scalar::in(0x7fff'fff0, 0x7fff'ffff), 16, Width::W32),
              Scalar::in(0x8000'0000, 0x8000'000f));
    // Of an unknown word the half stays known.
    EXPECT_EQ(alu(AluOp::Add, taken(JmpOp::Jlt, kAny, 10, Width::W32), 5).u32, u32(5, 14));
    EXPECT_EQ(negate(Width::W64, Scalar::in(3, 9)), Scalar::in_signed(-9, -3));
    EXPECT_EQ(negate(Width::W64, Scalar::in_signed(-2, 9)).s64, s(-9, 2));
}

TEST(Arithmetic, ProductsAreArcs) {
    EXPECT_EQ(alu(AluOp::Mul, Scalar::in(2, 5), Scalar::in(3, 7)).u64, u(6, 35));
    EXPECT_EQ(alu(AluOp::Mul, Scalar::in_signed(-3, 5), 4).s64, s(-12, 20));
    EXPECT_EQ(alu(AluOp::Mul, Scalar::in_signed(-3, 5), number(kMax)).s64, s(-5, 3));
    EXPECT_EQ(alu(AluOp::Mul, Scalar::in(kMax - 1, kMax), 2).s64, s(-4, -2)); // all wrap
    const Scalar offset = alu(AluOp::Mul, Scalar::in(0, 15), 24);
    EXPECT_EQ(offset.u64, u(0, 360));
    EXPECT_EQ(offset.bits.trailing_zeros(), 3u);
}

TEST(Arithmetic, BitwiseOperationsBoundTheirResults) {
    EXPECT_EQ(alu(AluOp::And, kAny, 0xff), Scalar::of_bits(8));
    EXPECT_EQ(alu(AluOp::And, Scalar::in(0, 5), kAny), Scalar::in(0, 5));
    EXPECT_EQ(alu(AluOp::And, Scalar::in(0x17e, 0x181), 0xfff).u64, u(0x17e, 0x181));
    EXPECT_EQ(alu(AluOp::And, Scalar::in(0x1005, 0x1009), 0xff), Scalar::in(5, 9));
    EXPECT_EQ(alu(AluOp::Or, Scalar::in(0, 7), 16), Scalar::in(16, 23));
    EXPECT_EQ(alu(AluOp::Or, Scalar::in(4, 9), Scalar::in(2, 3)).u64, u(6, 11));
    EXPECT_EQ(alu(AluOp::Xor, Scalar::in(16, 20), Scalar::in(0, 3)).u64, u(16, 23));
    // A mask of all ones or none, made by an arithmetic shift.
    const Scalar mask = alu(AluOp::Arsh, kAny, 63);
    EXPECT_EQ(mask.s64, s(-1, 0));
    EXPECT_EQ(alu(AluOp::And, mask, Scalar::in(0, 100)), Scalar::in(0, 100));
    EXPECT_EQ(alu(AluOp::Or, mask, Scalar::in(0, 100)).s64, s(-128, 127));
    EXPECT_EQ(alu(AluOp::And, Scalar::in_signed(-5, 5), Scalar::in_signed(-3, 3)).s64, s(-8, 7));
}

TEST(Arithmetic, ShiftPairsExtendSigns) {
    const Scalar low = taken(JmpOp::Jsge, taken(JmpOp::Jsle, kAny, 50, Width::W32), kMax - 9,
                             Width::W32); // s32 in [-10, 50], the high half unknown
    const Scalar shifted = alu(AluOp::Lsh, low, 32);
    EXPECT_EQ(alu(AluOp::Arsh, shifted, 32), Scalar::in_signed(-10, 50));
    EXPECT_EQ(sign_extend(32, Width::W64, low), Scalar::in_signed(-10, 50));
    EXPECT_EQ(alu(AluOp::Rsh, alu(AluOp::Lsh, Scalar::in(3, 9), 32), 32), Scalar::in(3, 9));
    EXPECT_EQ(alu(AluOp::Arsh, alu(AluOp::Lsh, kAny, 32), 32).s64, s(INT32_MIN, INT32_MAX));
    EXPECT_EQ(sign_extend(8, Width::W64, kAny).s64, s(-128, 127));
    EXPECT_EQ(sign_extend(8, Width::W64, Scalar::in(0x7e, 0x7f)), Scalar::in(0x7e, 0x7f));
    EXPECT_EQ(sign_extend(8, Width::W32, Scalar::in(0xfe, 0xff)),
              Scalar::in(0xffff'fffe, 0xffff'ffff));
    EXPECT_EQ(sign_extend(16, Width::W64, Scalar::in_signed(-7, 3)), Scalar::in_signed(-7, 3));
}

TEST(Arithmetic, ShiftsByRangesAreBounded) {
    EXPECT_EQ(alu(AluOp::Lsh, number(1), Scalar::in(0, 4)).u64, u(1, 16));
    EXPECT_EQ(alu(AluOp::Rsh, kAny, Scalar::in(56, 63)).u64, u(0, 255));
    EXPECT_EQ(alu(AluOp::Rsh, Scalar::in(64, 128), Scalar::in(2, 4)).u64, u(4, 32));
    EXPECT_EQ(alu(AluOp::Arsh, Scalar::in_signed(-64, 32), Scalar::in(2, 4)).s64, s(-16, 8));
    EXPECT_EQ(alu(AluOp::Lsh, Scalar::in(1, 3), 64 + 2).u64, u(4, 12)); // counts wrap
    EXPECT_EQ(alu(AluOp::Rsh, kAny, 40).u64, u(0, 0xff'ffff));
}

TEST(Arithmetic, DivisionsShrink) {
    EXPECT_EQ(alu(AluOp::Div, Scalar::in(10, 100), 10), Scalar::in(1, 10));
    EXPECT_EQ(alu(AluOp::Div, kAny, 1000).u64.max, kMax / 1000);
    EXPECT_EQ(alu(AluOp::Div, Scalar::in(10, 100), Scalar::in(2, 5)).u64, u(2, 50));
    EXPECT_EQ(alu(AluOp::Div, Scalar::in(10, 100), Scalar::in(0, 5)).u64, u(0, 100));
    EXPECT_EQ(alu(AluOp::Div, kAny, 0), number(0));
    EXPECT_EQ(alu(AluOp::Mod, kAny, 10), Scalar::in(0, 9));
    EXPECT_EQ(alu(AluOp::Mod, kAny, 16), Scalar::of_bits(4));
    EXPECT_EQ(alu(AluOp::Mod, Scalar::in(0, 9), 10), Scalar::in(0, 9));
    EXPECT_EQ(alu(AluOp::Mod, Scalar::in(103, 106), 10), Scalar::in(3, 6));
    EXPECT_EQ(alu(AluOp::Mod, Scalar::in(0, 99), 0), Scalar::in(0, 99)); // x % 0 == x
    EXPECT_EQ(alu(AluOp::Mod, kAny, Scalar::in(1, 64)), Scalar::in(0, 63));
    EXPECT_EQ(alu(AluOp::Sdiv, Scalar::in_signed(-100, 50), 10).s64, s(-10, 5));
    EXPECT_EQ(alu(AluOp::Sdiv, Scalar::in_signed(-100, 50), kMax).s64, s(-50, 100));
    EXPECT_EQ(alu(AluOp::Smod, kAny, 10).s64, s(-9, 9));
    EXPECT_EQ(alu(AluOp::Smod, Scalar::in(0, 1000), number(std::uint64_t(-10))), Scalar::in(0, 9));
}

TEST(Arithmetic, HalfOperationsZeroExtend) {
    for (const Alu& op : kAluOps) {
        EXPECT_LE(alu(op.op, kAny, kAny, Width::W32).u64.max, 0xffff'ffffu) << op.name;
        EXPECT_LE(alu(op.op, kAny, Scalar::in(3, 5), Width::W32).u64.max, 0xffff'ffffu) << op.name;
    }
    EXPECT_EQ(alu(AluOp::Arsh, kAny, 31, Width::W32).s32, s32(-1, 0));
}

TEST(Bytes, NarrowAccessesKeepWhatTheyCan) {
    EXPECT_EQ(truncate(8, Scalar::in(0, 300)), Scalar::of_bits(8));
    EXPECT_EQ(truncate(8, Scalar::in(0x1fe, 0x1ff)), Scalar::in(0xfe, 0xff));
    EXPECT_EQ(truncate(16, Scalar::in(5, 9)), Scalar::in(5, 9));
    EXPECT_EQ(truncate(32, Scalar::in_signed(-2, -1)), Scalar::in(0xffff'fffe, 0xffff'ffff));
    EXPECT_EQ(bytes_of(number(0x1122'3344'5566'7788), 2, 4), number(0x3344'5566));
    EXPECT_EQ(bytes_of(Scalar::in(0, 0xffff), 2, 2), number(0));
    EXPECT_EQ(byteswap(16, number(0x1234)), number(0x3412));
    EXPECT_EQ(byteswap(32, Scalar::of_bits(8)).bits, (Tnum{0, 0xff00'0000}));
    EXPECT_EQ(byteswap(64, kAny), kAny);
    EXPECT_EQ(byteswap(16, kAny), Scalar::of_bits(16));
}

TEST(Widen, UnstableBoundsJumpToThresholds) {
    constexpr std::uint64_t kThresholds[] = {64, 1500, std::uint64_t(-8)};
    const Scalar first = Scalar::in(0, 1);
    Scalar wide = widen(first, Scalar::in(0, 2), kThresholds);
    EXPECT_EQ(wide.u64, u(0, 64));
    EXPECT_EQ(wide.s64, s(0, 64));
    EXPECT_EQ(widen(wide, Scalar::in(0, 60), kThresholds), wide);
    wide = widen(wide, Scalar::in(0, 65), kThresholds);
    EXPECT_EQ(wide.u64, u(0, 1500));
    EXPECT_EQ(widen(wide, Scalar::in(0, 1501), kThresholds).s64, s(0, INT64_MAX));
    EXPECT_EQ(widen(number(0), number(std::uint64_t(-1)), kThresholds).s64, s(-8, 0));
    // Alignment survives, what a counter cannot reach stays zero.
    wide = widen(number(0), number(4), kThresholds);
    EXPECT_EQ(wide.bits, (Tnum{0, 0x7c}));
}

TEST(Project, ForgetsWhatTheDomainCannotExpress) {
    const Scalar value = Scalar::in(5, 9);
    EXPECT_EQ(project(value, NumericDomain::Tnum), Scalar::of_bits(4));
    Scalar aligned = alu(AluOp::And, kAny, 0x38);
    EXPECT_EQ(project(aligned, NumericDomain::Intervals).bits, (Tnum{0, 0x3f}));
    EXPECT_EQ(project(aligned, NumericDomain::Intervals).u64, u(0, 0x38));
    EXPECT_EQ(project(aligned, NumericDomain::Constants), Scalar::unknown());
    EXPECT_EQ(project(number(7), NumericDomain::Constants), number(7));
}

} // namespace
} // namespace ebpfvm::verifier
