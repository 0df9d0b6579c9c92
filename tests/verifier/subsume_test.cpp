// Which paths count as explored: those that add nothing, and no others.
#include "verifier/judge.hpp"

namespace ebpfvm::test {
namespace {

// Two paths meet at `merge`: one after `first`, explored first, and one after `second`. r9 is a map
// value, r8 an unknown number; r6 and r7 are free.
Judged meeting(std::string_view first, std::string_view second, std::string_view then) {
    return judge(fmt::format("r9 = map_value(0, 0) ll\n"
                             "r8 = *(u64 *)(r9 +0)\n"
                             "r6 = 0\n"
                             "r7 = 0\n"
                             "r1 = *(u64 *)(r9 +8)\n"
                             "if r1 == 0 goto second\n"
                             "{}"
                             "r1 = 0\n"
                             "goto merge\n"
                             "second:\n"
                             "{}"
                             "r1 = 0\n"
                             "merge:\n"
                             "r2 = 0\n"
                             "{}"
                             "r0 = 0\n"
                             "exit\n",
                             first, second, then));
}

constexpr const char* kUse = "r9 += r6\nr0 = *(u8 *)(r9 +0)\n";

TEST(Subsume, ALargerNumberIsNotCovered) {
    EXPECT_TRUE(accepts(meeting("r6 = 5\n", "r6 = 63\n", kUse)));
    EXPECT_EQ(meeting("r6 = 5\n", "r6 = 64\n", kUse).slug(), "map-value-oob");
    EXPECT_EQ(meeting("r6 = r8\nr6 &= 63\n", "r6 = r8\nr6 &= 127\n", kUse).slug(), "map-value-oob");
}

TEST(Subsume, ANumberThatNothingDependsOnIsCovered) {
    const char* many = "r3 = 1\nr3 = 2\nr3 = 3\nr3 = 4\nr3 = 5\nr3 = 6\nr3 = 7\nr3 = 8\n"
                       "*(u64 *)(r9 +16) = r6\n";
    const Judged same = meeting("r6 = 5\n", "r6 = 5\n", many);
    const Judged other = meeting("r6 = 5\n", "r6 = 64\n", many);
    EXPECT_TRUE(accepts(other));
    EXPECT_EQ(other.explored(), same.explored());
}

TEST(Subsume, AComparisonMakesBothSidesCount) {
    EXPECT_EQ(meeting("r6 = 5\nr7 = 5\n", "r6 = 5\nr7 = 100\n",
                      "if r8 > r7 goto +2\nr9 += r8\nr0 = *(u8 *)(r9 +0)\n")
                  .slug(),
              "map-value-oob");
}

TEST(Subsume, AnUninitialisedRegisterIsNotCoveredByANumber) {
    EXPECT_EQ(meeting("r3 = 5\n", "", "r0 = r3\n").slug(), "uninit-reg");
}

TEST(Subsume, APointerIsNotCoveredByANumber) {
    EXPECT_EQ(meeting("r6 = r8\n", "r6 = r9\n", "r6 *= 2\n").slug(), "pointer-arithmetic");
}

TEST(Subsume, ANumberIsNotCoveredByAPointer) {
    EXPECT_EQ(meeting("r6 = r9\n", "r6 = r8\n", "r0 = *(u8 *)(r6 +0)\n").slug(), "invalid-mem");
}

TEST(Subsume, APointerWithAnotherOffsetIsNotCovered) {
    EXPECT_TRUE(accepts(meeting("r6 = r9\n", "r6 = r9\nr6 += 8\n", "r0 = *(u64 *)(r6 +48)\n")));
    EXPECT_EQ(meeting("r6 = r9\n", "r6 = r9\nr6 += 16\n", "r0 = *(u64 *)(r6 +48)\n").slug(),
              "map-value-oob");
}

TEST(Subsume, ALinkThatIsMissingIsNotCovered) {
    // r7 is bounded through r6 on the first path only.
    const char* then = "if r6 > 40 goto +2\nr9 += r7\nr0 = *(u8 *)(r9 +0)\n";
    EXPECT_FALSE(
        meeting("r6 = r8\nr7 = r8\n", "r6 = r8\nr7 = *(u64 *)(r9 +16)\n", then).is_accepted());
    EXPECT_TRUE(accepts(meeting("r6 = r8\nr7 = r8\n", "r7 = *(u64 *)(r9 +16)\nr6 = r7\n", then)));
}

TEST(Subsume, ALinkAtAnotherDistanceIsNotCovered) {
    const char* then = "if r6 > 40 goto +2\nr9 += r7\nr0 = *(u8 *)(r9 +0)\n";
    EXPECT_TRUE(accepts(meeting("r6 = r8\nr7 = r8\n", "r6 = r8\nr7 = r8\n", then)));
    EXPECT_FALSE(meeting("r6 = r8\nr7 = r8\n", "r6 = r8\nr7 = r8\nr7 += 40\n", then).is_accepted());
}

TEST(Subsume, ASpilledNumberCountsLikeOneInARegister) {
    const char* then = "r6 = *(u64 *)(r10 -8)\nr9 += r6\nr0 = *(u8 *)(r9 +0)\n";
    EXPECT_TRUE(accepts(meeting("*(u64 *)(r10 -8) = 5\n", "*(u64 *)(r10 -8) = 63\n", then)));
    EXPECT_EQ(meeting("*(u64 *)(r10 -8) = 5\n", "*(u64 *)(r10 -8) = 64\n", then).slug(),
              "map-value-oob");
    EXPECT_FALSE(meeting("*(u64 *)(r10 -8) = 5\n", "*(u32 *)(r10 -8) = 5\n", then).is_accepted());
    EXPECT_FALSE(meeting("*(u64 *)(r10 -8) = 5\n", "", then).is_accepted());
}

TEST(Subsume, AStackThatNobodyReadsIsCovered) {
    const char* then = "r3 = 1\nr3 = 2\nr3 = 3\nr3 = 4\nr3 = 5\nr3 = 6\nr3 = 7\nr3 = 8\n";
    const Judged same = meeting("*(u64 *)(r10 -8) = 5\n", "*(u64 *)(r10 -8) = 5\n", then);
    const Judged other = meeting("*(u64 *)(r10 -8) = 5\n", "*(u64 *)(r10 -8) = 6400\n", then);
    EXPECT_TRUE(accepts(other));
    EXPECT_EQ(other.explored(), same.explored());
}

TEST(Subsume, TheStackThatAHelperReadsIsRead) {
    // The key decides whether the lookup may fail.
    const char* then = "r2 = r10\n"
                       "r2 += -8\n"
                       "r1 = map(0) ll\n"
                       "call 1\n"
                       "r0 = *(u8 *)(r0 +0)\n";
    EXPECT_TRUE(accepts(meeting("*(u64 *)(r10 -8) = 0\n", "*(u64 *)(r10 -8) = 0\n", then)));
    EXPECT_EQ(meeting("*(u64 *)(r10 -8) = 0\n", "*(u64 *)(r10 -8) = 1\n", then).slug(),
              "null-deref");
}

TEST(Subsume, AnAtomicReadsTheStack) {
    const char* then = "r6 = 0\n"
                       "r6 = atomic_fetch_add((u64 *)(r10 -8), r6)\n"
                       "r0 = *(u64 *)(r10 -16)\n";
    EXPECT_TRUE(accepts(meeting("*(u64 *)(r10 -8) = 5\n", "*(u64 *)(r10 -8) = 6\n", then)));
    VerifierOptions options;
    EXPECT_EQ(meeting("*(u64 *)(r10 -8) = 5\n", "*(u64 *)(r10 -8) = r9\n",
                      "r6 = *(u64 *)(r10 -8)\nr6 *= 2\n")
                  .slug(),
              "pointer-arithmetic");
}

} // namespace
} // namespace ebpfvm::test
