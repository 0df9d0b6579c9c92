// Every tnum of few bits against the set it stands for.
#include "verifier/domains/tnum.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace ebpfvm::verifier {
namespace {

constexpr unsigned kBits = 5;
constexpr std::uint64_t kEnd = 1u << kBits;

std::vector<Tnum> all_tnums(unsigned bits = kBits) {
    std::vector<Tnum> all;
    for (std::uint64_t mask = 0; mask < (1u << bits); ++mask) {
        for (std::uint64_t value = 0; value < (1u << bits); ++value) {
            if ((value & mask) == 0) {
                all.push_back({value, mask});
            }
        }
    }
    return all;
}
std::vector<std::uint64_t> members(const Tnum& t) {
    std::vector<std::uint64_t> all;
    for (std::uint64_t x = 0; x < kEnd; ++x) {
        if (t.contains(x)) {
            all.push_back(x);
        }
    }
    return all;
}

using Abstract = std::function<Tnum(const Tnum&, const Tnum&)>;
using Concrete = std::function<std::uint64_t(std::uint64_t, std::uint64_t)>;

/// In how many cases the result is larger than the least tnum with all concrete results.
int imprecise(const Abstract& abstract, const Concrete& concrete) {
    int count = 0;
    for (const Tnum& a : all_tnums()) {
        for (const Tnum& b : all_tnums()) {
            const Tnum result = abstract(a, b);
            Tnum best = Tnum::constant(concrete(a.value, b.value));
            for (const std::uint64_t x : members(a)) {
                for (const std::uint64_t y : members(b)) {
                    best = join(best, Tnum::constant(concrete(x, y)));
                }
            }
            EXPECT_TRUE(leq(best, result)) << a.value << "/" << a.mask << ", " << b.value << "/"
                                           << b.mask << ": " << result.value << "/" << result.mask;
            count += result != best;
        }
    }
    return count;
}

#define EXPECT_BEST(function, expression)                                                          \
    EXPECT_EQ(imprecise([](const Tnum& a, const Tnum& b) { return function(a, b); },               \
                        [](std::uint64_t x, std::uint64_t y) { return expression; }),              \
              0)

TEST(Tnum, SumsDifferencesAndBitwiseOperationsAreTheBest) {
    EXPECT_BEST(add, x + y);
    EXPECT_BEST(sub, x - y);
    EXPECT_BEST(bit_and, x & y);
    EXPECT_BEST(bit_or, x | y);
    EXPECT_BEST(bit_xor, x ^ y);
}

TEST(Tnum, ProductsAreSoundAndNearlyTheBest) {
    const int count = imprecise([](const Tnum& a, const Tnum& b) { return mul(a, b); },
                                [](std::uint64_t x, std::uint64_t y) { return x * y; });
    EXPECT_LE(count, 243 * 243 / 10);
}

TEST(Tnum, ProductsOfUnknownUpperBitsKeepTheLowerOnes) {
    const Tnum upper{5, ~std::uint64_t{0xff}};
    EXPECT_EQ(mul(upper, Tnum::constant(12)), (Tnum{60, ~std::uint64_t{0x3ff}}));
    EXPECT_EQ(mul(Tnum::unknown(), Tnum::constant(24)), (Tnum{0, ~std::uint64_t{7}}));
    EXPECT_EQ(mul(Tnum::unknown(), Tnum::unknown()), Tnum::unknown());
    EXPECT_EQ(mul(Tnum::unknown(), Tnum::constant(0)), Tnum::constant(0));
}

TEST(Tnum, MeetIsTheIntersection) {
    for (const Tnum& a : all_tnums()) {
        for (const Tnum& b : all_tnums()) {
            Tnum met = a;
            const bool possible = meet(met, b);
            bool any = false;
            for (std::uint64_t x = 0; x < kEnd; ++x) {
                const bool common = a.contains(x) && b.contains(x);
                any |= common;
                EXPECT_EQ(common, possible && met.contains(x));
            }
            EXPECT_EQ(possible, any);
            EXPECT_EQ(leq(a, b), join(a, b) == b);
        }
    }
}

TEST(Tnum, AroundIsTheCommonPrefix) {
    for (std::uint64_t min = 0; min < kEnd; ++min) {
        Tnum best = Tnum::constant(min);
        for (std::uint64_t max = min; max < kEnd; ++max) {
            best = join(best, Tnum::constant(max));
            EXPECT_EQ(Tnum::around(min, max), best);
        }
    }
    EXPECT_TRUE(Tnum::around(0, 2).contains(3)); // no interval
    EXPECT_EQ(Tnum::around(0, ~std::uint64_t{0}), Tnum::unknown());
}

TEST(Tnum, MembersOnEitherSideAreTheNearest) {
    for (const unsigned shift : {0u, 59u}) { // at both ends of the word
        for (const Tnum& small : all_tnums()) {
            const Tnum t = lsh(small, shift);
            for (std::uint64_t x = 0; x < kEnd; ++x) {
                std::optional<std::uint64_t> above;
                std::optional<std::uint64_t> below;
                for (const std::uint64_t member : members(small)) {
                    below = member <= x ? std::optional(member << shift) : below;
                    above = member >= x && !above ? std::optional(member << shift) : above;
                }
                EXPECT_EQ(member_from(t, x << shift), above);
                EXPECT_EQ(member_up_to(t, x << shift), below);
            }
        }
    }
}

TEST(Tnum, ShiftsAndExtensionsAreExact) {
    for (const Tnum& a : all_tnums()) {
        for (const std::uint64_t x : members(a)) {
            EXPECT_TRUE(lsh(a, 60).contains(x << 60));
            EXPECT_TRUE(rsh(lsh(a, 60), 62).contains(x << 60 >> 62));
            EXPECT_TRUE(arsh(lsh(a, 60), 61).contains(std::uint64_t(std::int64_t(x << 60) >> 61)));
            EXPECT_TRUE(truncate(3, a).contains(x & 7));
            EXPECT_TRUE(byteswap(16, lsh(a, 6)).contains(ebpfvm::byteswap(std::uint16_t(x << 6))));
        }
    }
    EXPECT_EQ(sign_extend(8, Tnum{0x80, 0x01}), (Tnum{~std::uint64_t{0x7f}, 1}));
    EXPECT_EQ(sign_extend(8, Tnum{0, 0x80}), (Tnum{0, ~std::uint64_t{0x7f}}));
    EXPECT_EQ(Tnum::constant(0).trailing_zeros(), 64u);
    EXPECT_EQ((Tnum{8, 0x30}).trailing_zeros(), 3u);
}

} // namespace
} // namespace ebpfvm::verifier
