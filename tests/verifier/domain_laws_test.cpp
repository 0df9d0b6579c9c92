// Lattice laws of the numeric domain, and its soundness: what an operation computes from any
// members of its operands is a member of what the domain says. Exhaustive around each wrap-around
// point.
#include "verifier/abstract_values.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace ebpfvm::verifier {
namespace {

using isa::Width;
namespace semantics = isa::semantics;

/// Calls check(a, b) for many pairs until one fails: windows exhaustively, then random ones.
void for_all_pairs(const std::function<void(const Sample&, const Sample&)>& check) {
    const std::vector<Sample> all = windows(Density::All);
    std::vector<Sample> some = windows(Density::Some);
    for (const std::uint64_t base : {24, 56}) { // shift counts around both widths
        for (Sample& sample : window(base, Density::Some)) {
            some.push_back(std::move(sample));
        }
    }
    for (const Sample& a : all) {
        for (const Sample& b : some) {
            check(a, b);
            check(b, a);
            if (testing::Test::HasFailure()) {
                return;
            }
        }
    }
    RandomSamples random(1);
    for (int i = 0; i < 50'000 && !testing::Test::HasFailure(); ++i) {
        check(random.next(), random.next());
    }
}

void for_all(const std::function<void(const Sample&)>& check) {
    for (const Sample& sample : windows(Density::All)) {
        check(sample);
    }
    RandomSamples random(2);
    for (int i = 0; i < 100'000 && !testing::Test::HasFailure(); ++i) {
        check(random.next());
    }
}

bool is_well_formed(const Scalar& s) {
    return (s.bits.value & s.bits.mask) == 0 && s.u64.min <= s.u64.max && s.s64.min <= s.s64.max &&
           s.u32.min <= s.u32.max && s.s32.min <= s.s32.max;
}

TEST(DomainLaws, ReduceKeepsEveryMember) {
    for_all([](const Sample& a) {
        Scalar reduced = a.set;
        ASSERT_TRUE(reduce(reduced) && is_well_formed(reduced)) << text(a.set);
        EXPECT_TRUE(leq(reduced, a.set)) << text(a.set) << text(reduced);
        Scalar twice = reduced;
        EXPECT_TRUE(reduce(twice) && twice == reduced) << text(reduced) << text(twice);
        for (const std::uint64_t x : a.members) {
            ASSERT_TRUE(reduced.contains(x)) << text(a.set) << " lost " << std::hex << x;
        }
        EXPECT_FALSE(a.members.empty());
    });
}

TEST(DomainLaws, ReduceFindsTheBestBoundsOfAWindow) {
    for (const Sample& a : windows(Density::All)) {
        Scalar best = Scalar::constant(a.members[0]);
        for (const std::uint64_t x : a.members) {
            best = join(best, Scalar::constant(x));
        }
        EXPECT_EQ(a.set, best);
    }
}

TEST(DomainLaws, JoinIsTheLeastUpperBound) {
    for_all_pairs([](const Sample& a, const Sample& b) {
        const Scalar joined = join(a.set, b.set);
        ASSERT_TRUE(leq(a.set, joined) && leq(b.set, joined)) << text(a.set) << text(b.set);
        ASSERT_EQ(joined, join(b.set, a.set));
        ASSERT_EQ(leq(a.set, b.set), joined == b.set) << text(a.set) << text(b.set);
        ASSERT_TRUE(leq(joined, Scalar::unknown()));
    });
}

TEST(DomainLaws, MeetIsALowerBoundWithAllCommonMembers) {
    for_all_pairs([](const Sample& a, const Sample& b) {
        Scalar met = a.set;
        const bool possible = meet(met, b.set);
        ASSERT_TRUE(!possible || (leq(met, a.set) && leq(met, b.set) && is_well_formed(met)));
        for (const std::uint64_t x : a.members) {
            ASSERT_TRUE(!b.set.contains(x) || (possible && met.contains(x)))
                << text(a.set) << text(b.set) << std::hex << x;
        }
    });
}

constexpr NumericDomain kDomains[] = {
#define EBPFVM_DOMAIN(name, text) NumericDomain::name,
#include "ebpfvm/tables/domains.def"
};

TEST(DomainLaws, ProjectionForgetsButKeepsEveryMember) {
    for_all([](const Sample& a) {
        EXPECT_EQ(project(a.set, NumericDomain::Product), a.set);
        for (const NumericDomain domain : kDomains) {
            const Scalar kept = project(a.set, domain);
            ASSERT_EQ(project(kept, domain), kept) << text(a.set) << text(kept);
            for (const std::uint64_t x : a.members) {
                ASSERT_TRUE(kept.contains(x)) << text(a.set) << text(kept);
            }
        }
    });
}

TEST(DomainLaws, WideningIsAnUpperBoundAndEnds) {
    constexpr std::uint64_t kThresholds[] = {0,      1,           7,          64,   1500,
                                             0xffff, 0x7fff'ffff, ~0ull - 99, ~0ull};
    for_all_pairs([&](const Sample& a, const Sample& b) {
        const Scalar wide = widen(a.set, b.set, kThresholds);
        ASSERT_TRUE(leq(a.set, wide) && leq(b.set, wide)) << text(a.set) << text(b.set);
        ASSERT_TRUE(is_well_formed(wide));
        ASSERT_EQ(widen(wide, a.set, kThresholds), wide);
    });
    RandomSamples random(3);
    for (int round = 0; round < 100; ++round) {
        Scalar limit = random.next().set;
        int steps = 0;
        for (int i = 0; i < 1000; ++i) {
            const Scalar next = widen(limit, random.next().set, kThresholds);
            steps += next != limit;
            limit = next;
        }
        EXPECT_LE(steps, 100);
    }
}

TEST(DomainLaws, ArithmeticIsSound) {
    for_all_pairs([](const Sample& a, const Sample& b) {
        for (const Alu& alu : kAluOps) {
            for (const Width width : kWidths) {
                const Scalar result = apply(alu.op, width, a.set, b.set);
                ASSERT_TRUE(is_well_formed(result)) << alu.name << text(a.set) << text(b.set);
                for (const std::uint64_t x : a.members) {
                    for (const std::uint64_t y : b.members) {
                        if (!result.contains(alu(width, x, y))) {
                            FAIL() << alu.name << (width == Width::W64 ? "64 " : "32 ")
                                   << text(a.set) << text(b.set) << std::hex << " has " << x << ","
                                   << y << " not in " << text(result);
                        }
                    }
                }
            }
        }
    });
}

TEST(DomainLaws, JumpsAreSound) {
    for_all_pairs([](const Sample& a, const Sample& b) {
        for (const Jmp& jmp : kJmpOps) {
            for (const Width width : kWidths) {
                const std::optional<Outcome> decided = decide(jmp.op, width, a.set, b.set);
                Scalar dst[] = {a.set, a.set}; // by outcome
                Scalar src[] = {b.set, b.set};
                bool possible[2];
                for (const Outcome outcome : {Outcome::NotTaken, Outcome::Taken}) {
                    const auto i = std::size_t(outcome);
                    possible[i] = assume(jmp.op, outcome, width, dst[i], src[i]);
                    ASSERT_TRUE(!possible[i] || (leq(dst[i], a.set) && leq(src[i], b.set) &&
                                                 is_well_formed(dst[i]) && is_well_formed(src[i])))
                        << jmp.name << text(a.set) << text(b.set);
                    ASSERT_FALSE(possible[i] && decided && *decided != outcome);
                }
                for (const std::uint64_t x : a.members) {
                    for (const std::uint64_t y : b.members) {
                        const Outcome outcome = jmp(width, x, y);
                        const auto i = std::size_t(outcome);
                        if ((decided && *decided != outcome) || !possible[i] ||
                            !dst[i].contains(x) || !src[i].contains(y)) {
                            FAIL() << jmp.name << (width == Width::W64 ? "64 " : "32 ")
                                   << text(a.set) << text(b.set) << std::hex << " has " << x << ","
                                   << y << " not in " << text(dst[i]) << text(src[i]);
                        }
                    }
                }
            }
        }
    });
}

struct Unary {
    const char* name;
    std::function<Scalar(const Scalar&)> abstract;
    std::function<std::uint64_t(std::uint64_t)> concrete;
};

template <unsigned From>
Unary extension(Width width) {
    return {"sign_extend", [=](const Scalar& s) { return sign_extend(From, width, s); },
            [=](std::uint64_t x) {
                return width == Width::W64 ? semantics::SignExtend<From>{}(x)
                                           : semantics::SignExtend<From>{}(std::uint32_t(x));
            }};
}
template <unsigned Bits>
Unary swap() {
    return {"byteswap", [](const Scalar& s) { return byteswap(Bits, s); },
            [](std::uint64_t x) { return semantics::Bswap<Bits>{}(x); }};
}
template <unsigned Bits>
Unary truncation() {
    return {"truncate", [](const Scalar& s) { return truncate(Bits, s); },
            [](std::uint64_t x) { return semantics::truncate<Bits>(x); }};
}

std::vector<Unary> unary_operations() {
    std::vector<Unary> all = {{"negate64", [](const Scalar& s) { return negate(Width::W64, s); },
                               [](std::uint64_t x) { return semantics::Neg{}(x); }},
                              {"negate32", [](const Scalar& s) { return negate(Width::W32, s); },
                               [](std::uint64_t x) { return semantics::Neg{}(std::uint32_t(x)); }},
                              extension<8>(Width::W32),
                              extension<16>(Width::W32),
                              extension<8>(Width::W64),
                              extension<16>(Width::W64),
                              extension<32>(Width::W64),
                              swap<16>(),
                              swap<32>(),
                              swap<64>(),
                              truncation<8>(),
                              truncation<16>(),
                              truncation<32>(),
                              truncation<64>()};
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned off = 0; off + size <= 8; ++off) {
            all.push_back({"bytes_of", [=](const Scalar& s) { return bytes_of(s, off, size); },
                           [=](std::uint64_t x) { return (x >> (8 * off)) & low_mask(8 * size); }});
        }
    }
    return all;
}

TEST(DomainLaws, UnaryOperationsAreSound) {
    const std::vector<Unary> operations = unary_operations();
    for_all([&](const Sample& a) {
        for (const Unary& unary : operations) {
            const Scalar result = unary.abstract(a.set);
            ASSERT_TRUE(is_well_formed(result)) << unary.name << text(a.set);
            for (const std::uint64_t x : a.members) {
                ASSERT_TRUE(result.contains(unary.concrete(x)))
                    << unary.name << text(a.set) << std::hex << " has " << x << " not in "
                    << text(result);
            }
        }
    });
}

} // namespace
} // namespace ebpfvm::verifier
