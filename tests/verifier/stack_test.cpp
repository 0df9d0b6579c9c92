// What is known of stack slots after stores and loads of all widths.
#include "verifier/judge.hpp"

namespace ebpfvm::test {
namespace {

// Is r6 known to be at most `limit` behind this code? r9 is a map value with a number in it.
bool bounds(std::string_view code, int limit) {
    const Judged judged = judge(fmt::format("r9 = map_value(0, 0) ll\n"
                                            "r8 = *(u64 *)(r9 +0)\n"
                                            "r7 = r8\n"
                                            "r7 &= {}\n"
                                            "{}"
                                            "r9 += r6\n"
                                            "r0 = *(u8 *)(r9 {:+})\n"
                                            "exit\n",
                                            31, code, 63 - limit));
    EXPECT_TRUE(judged.is_accepted() || judged.slug() == "map-value-oob" ||
                judged.slug() == "unbounded-offset" || judged.slug() == "pointer-arithmetic")
        << testing::PrintToString(judged);
    return judged.is_accepted();
}

TEST(Stack, ASpilledNumberKeepsItsBounds) {
    EXPECT_TRUE(bounds("*(u64 *)(r10 -8) = r7\nr6 = *(u64 *)(r10 -8)\n", 31));
    EXPECT_TRUE(bounds("*(u32 *)(r10 -8) = r7\nr6 = *(u32 *)(r10 -8)\n", 31));
    EXPECT_TRUE(bounds("*(u8 *)(r10 -8) = r7\nr6 = *(u8 *)(r10 -8)\n", 31));
}

TEST(Stack, APartOfASpillIsAPartOfTheNumber) {
    EXPECT_TRUE(bounds("*(u64 *)(r10 -8) = r7\nr6 = *(u32 *)(r10 -8)\n", 31));
    EXPECT_TRUE(bounds("*(u64 *)(r10 -8) = r7\nr6 = *(u8 *)(r10 -8)\n", 31));
    EXPECT_TRUE(bounds("*(u64 *)(r10 -8) = r7\nr6 = *(u32 *)(r10 -4)\n", 0)) << "its high half";
}

TEST(Stack, AWiderLoadThanStoreSeesUnknownBytes) {
    EXPECT_FALSE(bounds("*(u32 *)(r10 -8) = r7\nr6 = *(u64 *)(r10 -8)\n", 31));
}

TEST(Stack, ZerosAboveASpillAreItsHighHalf) {
    EXPECT_TRUE(bounds("*(u64 *)(r10 -8) = 0\n"
                       "*(u32 *)(r10 -8) = r7\n"
                       "*(u32 *)(r10 -4) = 0\n"
                       "r6 = *(u64 *)(r10 -8)\n",
                       31));
}

TEST(Stack, AnOverlappingStoreSpoilsASpill) {
    EXPECT_FALSE(bounds("*(u64 *)(r10 -8) = r7\n"
                        "*(u8 *)(r10 -7) = r8\n"
                        "r6 = *(u64 *)(r10 -8)\n",
                        31));
}

TEST(Stack, AStoreNextToASpillDoesNot) {
    EXPECT_TRUE(bounds("*(u64 *)(r10 -8) = r7\n"
                       "*(u64 *)(r10 -16) = r8\n"
                       "r6 = *(u64 *)(r10 -8)\n",
                       31));
}

TEST(Stack, ACutNumberLosesWhatWasCut) {
    EXPECT_FALSE(bounds("*(u8 *)(r10 -8) = r8\nr6 = *(u8 *)(r10 -8)\n", 31));
    EXPECT_FALSE(bounds("*(u32 *)(r10 -8) = r8\nr6 = *(u32 *)(r10 -8)\n", 255));
}

TEST(Stack, WhatIsLearnedOfARegisterHoldsForItsSpill) {
    EXPECT_TRUE(bounds("*(u64 *)(r10 -8) = r8\n"
                       "if r8 < 32 goto +2\n"
                       "r0 = 0\n"
                       "exit\n"
                       "r6 = *(u64 *)(r10 -8)\n",
                       31));
}

TEST(Stack, NotForASpillOfAPartOfIt) {
    EXPECT_FALSE(bounds("*(u32 *)(r10 -8) = r8\n"
                        "r6 = *(u32 *)(r10 -8)\n"
                        "if r8 s< 32 goto +2\n"
                        "r0 = 0\n"
                        "exit\n",
                        31));
}

TEST(Stack, ASignExtendingLoadExtendsTheSign) {
    EXPECT_TRUE(bounds("*(u64 *)(r10 -8) = r7\nr6 = *(s8 *)(r10 -8)\n", 31));
    EXPECT_FALSE(bounds("r7 |= 128\n*(u64 *)(r10 -8) = r7\nr6 = *(s8 *)(r10 -8)\n", 31));
}

TEST(Stack, AStoreAtAnUnknownPlaceSpoilsAllOfThem) {
    EXPECT_FALSE(bounds("r7 &= 8\n"
                        "*(u64 *)(r10 -8) = 1\n"
                        "*(u64 *)(r10 -16) = 1\n"
                        "r1 = r10\n"
                        "r1 += r7\n"
                        "*(u64 *)(r1 -16) = r8\n"
                        "r6 = *(u64 *)(r10 -16)\n",
                        31));
}

TEST(Stack, ZerosAtAnUnknownPlaceLeaveZeros) {
    EXPECT_TRUE(bounds("r7 &= 8\n"
                       "*(u64 *)(r10 -8) = 0\n"
                       "*(u64 *)(r10 -16) = 0\n"
                       "r1 = r10\n"
                       "r1 += r7\n"
                       "*(u64 *)(r1 -16) = 0\n"
                       "r6 = *(u64 *)(r10 -16)\n",
                       0));
}

TEST(Stack, AnAtomicLeavesAnUnknownNumber) {
    EXPECT_FALSE(bounds("*(u64 *)(r10 -8) = r7\n"
                        "lock *(u64 *)(r10 -8) += r8\n"
                        "r6 = *(u64 *)(r10 -8)\n",
                        31));
}

TEST(Stack, ACalleeWritesIntoItsCallersFrame) {
    EXPECT_EQ(judge("r9 = map_value(0, 0) ll\n"
                    "*(u64 *)(r10 -8) = 0\n"
                    "r1 = r10\n"
                    "r1 += -8\n"
                    "call f\n"
                    "r6 = *(u64 *)(r10 -8)\n"
                    "r9 += r6\n"
                    "r0 = *(u8 *)(r9 +0)\n"
                    "exit\n"
                    "f:\n"
                    "*(u64 *)(r1 +0) = 64\n"
                    "r0 = 0\n"
                    "exit\n")
                  .summary(),
              "insn 8: map-value-oob");
}

TEST(Stack, ACalleesFrameIsItsOwn) {
    EXPECT_TRUE(accepts(judge("r9 = map_value(0, 0) ll\n"
                              "*(u64 *)(r10 -8) = 5\n"
                              "call f\n"
                              "r6 = *(u64 *)(r10 -8)\n"
                              "r9 += r6\n"
                              "r0 = *(u8 *)(r9 +0)\n"
                              "exit\n"
                              "f:\n"
                              "*(u64 *)(r10 -8) = 6400\n"
                              "r0 = 0\n"
                              "exit\n")));
}

TEST(Stack, ASecondCallFindsNothingOfTheFirst) {
    VerifierOptions options;
    options.allow_uninit_stack = false;
    EXPECT_EQ(judge("r1 = 1\n"
                    "call f\n"
                    "r1 = 0\n"
                    "call f\n"
                    "exit\n"
                    "f:\n"
                    "if r1 == 0 goto read\n"
                    "*(u64 *)(r10 -8) = 6400\n"
                    "r0 = 0\n"
                    "exit\n"
                    "read:\n"
                    "r0 = *(u64 *)(r10 -8)\n"
                    "exit\n",
                    "", "", options)
                  .summary(),
              "insn 9: stack-uninit");
}

} // namespace
} // namespace ebpfvm::test
