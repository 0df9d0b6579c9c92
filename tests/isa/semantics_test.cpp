// Corner cases of each operation, picked by hand from RFC 9669. Other layers rely on these.
#include "isa/semantics.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::isa::semantics {
namespace {

constexpr std::uint32_t kMin32 = 0x8000'0000;
constexpr std::uint32_t kMax32 = 0xffff'ffff; // -1
constexpr std::uint64_t kMin64 = std::uint64_t{1} << 63;
constexpr std::uint64_t kMax64 = ~std::uint64_t{0}; // -1

// A 32-bit operand; keeps the width of a call visible.
constexpr std::uint32_t w(std::uint64_t value) {
    return std::uint32_t(value);
}
constexpr std::uint64_t r(std::uint64_t value) {
    return value;
}

TEST(Semantics, AddSubAndMulWrapAround) {
    EXPECT_EQ(Add{}(kMax32, w(1)), 0u);
    EXPECT_EQ(Add{}(kMax64, r(1)), 0u);
    EXPECT_EQ(Sub{}(w(0), w(1)), kMax32);
    EXPECT_EQ(Sub{}(r(0), r(1)), kMax64);
    EXPECT_EQ(Mul{}(kMax32, kMax32), 1u);
    EXPECT_EQ(Mul{}(kMax64, kMax64), 1u);
    EXPECT_EQ(Mul{}(kMin64, kMax64), kMin64);
    EXPECT_EQ(Mul{}(std::uint16_t{0xffff}, std::uint16_t{0xffff}), 1u);
}

TEST(Semantics, DivisionByZeroIsZero) {
    EXPECT_EQ(Div{}(w(7), w(0)), 0u);
    EXPECT_EQ(Div{}(r(7), r(0)), 0u);
    EXPECT_EQ(Sdiv{}(kMin32, w(0)), 0u);
    EXPECT_EQ(Sdiv{}(kMin64, r(0)), 0u);
}

TEST(Semantics, ModuloByZeroKeepsTheDividend) {
    EXPECT_EQ(Mod{}(w(7), w(0)), 7u);
    EXPECT_EQ(Mod{}(kMax64, r(0)), kMax64);
    EXPECT_EQ(Smod{}(kMin32, w(0)), kMin32);
    EXPECT_EQ(Smod{}(kMin64, r(0)), kMin64);
}

TEST(Semantics, UnsignedDivisionSeesNoSign) {
    EXPECT_EQ(Div{}(kMax32, w(2)), 0x7fff'ffffu);
    EXPECT_EQ(Div{}(r(10), w(0) - r(1)), 0u);
    EXPECT_EQ(Mod{}(kMax32, w(16)), 15u);
    EXPECT_EQ(Mod{}(r(10), kMax64), 10u);
}

TEST(Semantics, SignedDivisionTruncatesTowardZero) {
    EXPECT_EQ(Sdiv{}(w(-7), w(2)), w(-3));
    EXPECT_EQ(Sdiv{}(w(7), w(-2)), w(-3));
    EXPECT_EQ(Sdiv{}(r(-7), r(-2)), 3u);
    EXPECT_EQ(Sdiv{}(r(-1), r(2)), 0u);
}

TEST(Semantics, SignedModuloTakesTheSignOfTheDividend) {
    EXPECT_EQ(Smod{}(w(-13), w(3)), w(-1));
    EXPECT_EQ(Smod{}(w(13), w(-3)), 1u);
    EXPECT_EQ(Smod{}(r(-13), r(-3)), r(-1));
}

TEST(Semantics, TheSmallestNumberDividedByMinusOneWraps) {
    EXPECT_EQ(Sdiv{}(kMin32, kMax32), kMin32);
    EXPECT_EQ(Sdiv{}(kMin64, kMax64), kMin64);
    EXPECT_EQ(Smod{}(kMin32, kMax32), 0u);
    EXPECT_EQ(Smod{}(kMin64, kMax64), 0u);
    EXPECT_EQ(Sdiv{}(r(kMin32), r(kMax32)), 0u) << "no sign at 64 bits";
}

TEST(Semantics, ShiftCountsAreTakenModuloTheWidth) {
    EXPECT_EQ(Lsh{}(w(1), w(31)), kMin32);
    EXPECT_EQ(Lsh{}(w(1), w(32)), 1u);
    EXPECT_EQ(Lsh{}(r(1), r(32)), r(1) << 32);
    EXPECT_EQ(Lsh{}(r(1), r(64)), 1u);
    EXPECT_EQ(Lsh{}(r(1), kMax64), kMin64);
    EXPECT_EQ(Rsh{}(kMin32, w(33)), 0x4000'0000u);
    EXPECT_EQ(Rsh{}(kMin64, r(63)), 1u);
    EXPECT_EQ(Rsh{}(kMin64, r(64)), kMin64);
    EXPECT_EQ(Lsh{}(std::uint8_t{0x81}, std::uint8_t{9}), 2u);
    EXPECT_EQ(Rsh{}(std::uint8_t{0x81}, std::uint8_t{9}), 0x40u);
}

TEST(Semantics, ArithmeticShiftCopiesTheSign) {
    EXPECT_EQ(Arsh{}(kMin32, w(31)), kMax32);
    EXPECT_EQ(Arsh{}(kMin64, r(63)), kMax64);
    EXPECT_EQ(Arsh{}(w(0x7fff'ffff), w(30)), 1u);
    EXPECT_EQ(Arsh{}(kMin32, w(32)), kMin32);
    EXPECT_EQ(Arsh{}(r(kMin32), r(31)), 1u) << "no sign at 64 bits";
}

TEST(Semantics, BitwiseOperationsActOnEveryBit) {
    EXPECT_EQ(Or{}(w(0b0011), w(0b0101)), 0b0111u);
    EXPECT_EQ(And{}(w(0b0011), w(0b0101)), 0b0001u);
    EXPECT_EQ(Xor{}(w(0b0011), w(0b0101)), 0b0110u);
    EXPECT_EQ(Xor{}(kMax64, r(1)), kMax64 - 1);
}

TEST(Semantics, MoveTakesTheSource) {
    EXPECT_EQ(Mov{}(w(1), w(2)), 2u);
    EXPECT_EQ(Mov{}(r(1), kMax64), kMax64);
}

TEST(Semantics, NegationWraps) {
    EXPECT_EQ(Neg{}(w(1)), kMax32);
    EXPECT_EQ(Neg{}(kMin32), kMin32);
    EXPECT_EQ(Neg{}(kMin64), kMin64);
    EXPECT_EQ(Neg{}(r(0)), 0u);
}

TEST(Semantics, SignExtensionLooksAtTheLowBitsOnly) {
    EXPECT_EQ(SignExtend<8>{}(w(0xff7f)), 0x7fu);
    EXPECT_EQ(SignExtend<8>{}(w(0x0080)), 0xffff'ff80u);
    EXPECT_EQ(SignExtend<16>{}(r(0x8000)), 0xffff'ffff'ffff'8000u);
    EXPECT_EQ(SignExtend<32>{}(r(kMin32)), 0xffff'ffff'8000'0000u);
    EXPECT_EQ(SignExtend<32>{}(r(0xffff'ffff'7fff'ffff)), 0x7fff'ffffu);
}

TEST(Semantics, ByteSwapsTruncateToTheirWidth) {
    constexpr std::uint64_t kBytes = 0x1122'3344'5566'7788;
    EXPECT_EQ(Bswap16{}(kBytes), 0x8877u);
    EXPECT_EQ(Bswap32{}(kBytes), 0x8877'6655u);
    EXPECT_EQ(Bswap64{}(kBytes), 0x8877'6655'4433'2211u);
    EXPECT_EQ(truncate<16>(kBytes), 0x7788u);
    EXPECT_EQ(truncate<64>(kBytes), kBytes);
}

TEST(Semantics, ExactlyOneOfToLeAndToBeSwaps) {
    constexpr std::uint64_t kBytes = 0x1122'3344'5566'7788;
    const bool little = std::endian::native == std::endian::little;
    EXPECT_EQ(Le16{}(kBytes), little ? 0x7788u : 0x8877u);
    EXPECT_EQ(Le32{}(kBytes), little ? 0x5566'7788u : 0x8877'6655u);
    EXPECT_EQ(Le64{}(kBytes), little ? kBytes : 0x8877'6655'4433'2211u);
    EXPECT_EQ(Be16{}(kBytes), little ? 0x8877u : 0x7788u);
    EXPECT_EQ(Be32{}(kBytes), little ? 0x8877'6655u : 0x5566'7788u);
    EXPECT_EQ(Be64{}(kBytes), little ? 0x8877'6655'4433'2211u : kBytes);
}

// The truth of a comparison for dst below, equal to and above src.
template <class Cmp, class U>
void expect_order(U below, U above, bool lt, bool eq, bool gt) {
    EXPECT_EQ(Cmp{}(below, above), lt);
    EXPECT_EQ(Cmp{}(above, above), eq);
    EXPECT_EQ(Cmp{}(above, below), gt);
}

TEST(Semantics, UnsignedComparisonsPutMinusOneLast) {
    expect_order<Jlt>(w(1), kMax32, true, false, false);
    expect_order<Jle>(w(1), kMax32, true, true, false);
    expect_order<Jgt>(r(1), kMax64, false, false, true);
    expect_order<Jge>(r(1), kMax64, false, true, true);
}

TEST(Semantics, SignedComparisonsPutMinusOneBeforeZero) {
    expect_order<Jslt>(kMax32, w(1), true, false, false);
    expect_order<Jsle>(kMax64, r(0), true, true, false);
    expect_order<Jsgt>(kMin32, w(0), false, false, true);
    expect_order<Jsge>(kMin64, kMax64, false, true, true);
}

TEST(Semantics, TheSignOfAComparisonIsThatOfItsWidth) {
    EXPECT_TRUE(Jslt{}(kMin32, w(0)));
    EXPECT_FALSE(Jslt{}(r(kMin32), r(0)));
}

TEST(Semantics, EqualityAndTestOfBitsLookAtEveryBit) {
    expect_order<Jeq>(r(1), kMin64 + 1, false, true, false);
    expect_order<Jne>(r(1), kMin64 + 1, true, false, true);
    EXPECT_TRUE(Jset{}(kMin64, kMax64));
    EXPECT_FALSE(Jset{}(w(5), w(2)));
}

TEST(Semantics, AtomicsChangeMemory) {
    std::uint32_t word = kMax32;
    AtomicAdd{}(&word, w(2));
    EXPECT_EQ(word, 1u);
    std::uint64_t mem = 0b0011;
    AtomicOr{}(&mem, r(0b0101));
    EXPECT_EQ(mem, 0b0111u);
    AtomicAnd{}(&mem, r(0b1110));
    EXPECT_EQ(mem, 0b0110u);
    AtomicXor{}(&mem, r(0b0101));
    EXPECT_EQ(mem, 0b0011u);
}

TEST(Semantics, FetchesReturnWhatMemoryHeldBefore) {
    std::uint64_t mem = 0b0011;
    EXPECT_EQ(FetchAdd{}(&mem, r(1), r(99)), 0b0011u);
    EXPECT_EQ(FetchOr{}(&mem, r(0b0011), r(99)), 0b0100u);
    EXPECT_EQ(FetchAnd{}(&mem, r(0b0110), r(99)), 0b0111u);
    EXPECT_EQ(FetchXor{}(&mem, r(0b1111), r(99)), 0b0110u);
    EXPECT_EQ(Xchg{}(&mem, r(5), r(99)), 0b1001u);
    EXPECT_EQ(mem, 5u);
}

TEST(Semantics, CompareAndExchangeStoresOnlyIfMemoryIsAsExpected) {
    std::uint32_t mem = 5;
    EXPECT_EQ(Cmpxchg{}(&mem, w(7), w(6)), 5u);
    EXPECT_EQ(mem, 5u);
    EXPECT_EQ(Cmpxchg{}(&mem, w(7), w(5)), 5u);
    EXPECT_EQ(mem, 7u);
}

} // namespace
} // namespace ebpfvm::isa::semantics
