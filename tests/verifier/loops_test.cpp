// Loops: verified once where a state at their head covers all turns, gone through where not.
#include "verifier/judge.hpp"

namespace ebpfvm::test {
namespace {

// For programs that are gone through until a budget ends.
const VerifierOptions kImpatient{.max_explored = 5000};

TEST(Loops, TenMillionTurnsWithACallAreVerifiedOnce) {
    const Judged judged = judge("r9 = map_value(0, 0) ll\n"
                                "r6 = 0\n"
                                "again:\n"
                                "call 5\n"
                                "*(u64 *)(r9 +8) = r0\n"
                                "r6 += 1\n"
                                "if r6 < 10000000 goto again\n"
                                "r0 = 0\n"
                                "exit\n");
    EXPECT_TRUE(accepts(judged));
    EXPECT_LT(judged.explored(), 10'000U);
    EXPECT_EQ(judged.report.stats.summarised_loops, 1U);
}

TEST(Loops, ACounterIsAnIndexWithinItsLimit) {
    constexpr const char* kLoop = "r9 = map_value(0, 0) ll\n"
                                  "r6 = 0\n"
                                  "again:\n"
                                  "r1 = r9\n"
                                  "r1 += r6\n"
                                  "*(u8 *)(r1 +0) = 1\n"
                                  "r6 += 1\n"
                                  "if r6 < {} goto again\n"
                                  "r0 = 0\n"
                                  "exit\n";
    EXPECT_TRUE(accepts(judge(fmt::format(kLoop, 64))));
    EXPECT_EQ(judge(fmt::format(kLoop, 65)).slug(), "map-value-oob");
    EXPECT_EQ(judge(fmt::format(kLoop, 5000)).slug(), "map-value-oob");
}

TEST(Loops, NestedCountersAreVerifiedOnceEach) {
    const Judged judged = judge("r9 = map_value(0, 0) ll\n"
                                "r6 = 0\n"
                                "outer:\n"
                                "r7 = 0\n"
                                "inner:\n"
                                "call 5\n"
                                "*(u64 *)(r9 +8) = r0\n"
                                "r7 += 1\n"
                                "if r7 < 100000 goto inner\n"
                                "r6 += 1\n"
                                "if r6 < 100000 goto outer\n"
                                "r0 = 0\n"
                                "exit\n");
    EXPECT_TRUE(accepts(judged));
    EXPECT_LT(judged.explored(), 20'000U);
}

TEST(Loops, ACounterOnTheStackCounts) {
    const Judged judged = judge("*(u64 *)(r10 -8) = 0\n"
                                "again:\n"
                                "call 5\n"
                                "r1 = *(u64 *)(r10 -8)\n"
                                "r1 += 1\n"
                                "*(u64 *)(r10 -8) = r1\n"
                                "if r1 < 1000000 goto again\n"
                                "r0 = 0\n"
                                "exit\n");
    EXPECT_TRUE(accepts(judged));
    EXPECT_LT(judged.explored(), 10'000U);
}

TEST(Loops, DownwardsWorksAsWell) {
    const Judged judged = judge("r6 = 1000000\n"
                                "again:\n"
                                "call 5\n"
                                "r6 -= 1\n"
                                "if r6 s> 0 goto again\n"
                                "r0 = 0\n"
                                "exit\n");
    EXPECT_TRUE(accepts(judged));
    EXPECT_LT(judged.explored(), 10'000U);
}

TEST(Loops, ACounterThatStandsStillOnOnePathIsRejected) {
    const Judged judged = judge("r9 = map_value(0, 0) ll\n"
                                "r6 = 0\n"
                                "again:\n"
                                "call 7\n"
                                "if r0 == 0 goto skip\n"
                                "r6 += 1\n"
                                "skip:\n"
                                "if r6 < 1000000 goto again\n"
                                "r0 = 0\n"
                                "exit\n",
                                kValueOf64, "", kImpatient);
    EXPECT_FALSE(judged.is_accepted());
}

TEST(Loops, ACounterThatGoesBothWaysIsRejected) {
    const Judged judged = judge("r6 = 500000\n"
                                "again:\n"
                                "call 7\n"
                                "if r0 == 0 goto down\n"
                                "r6 += 1\n"
                                "goto test\n"
                                "down:\n"
                                "r6 -= 1\n"
                                "test:\n"
                                "if r6 > 1000000 goto out\n"
                                "if r6 != 0 goto again\n"
                                "out:\n"
                                "r0 = 0\n"
                                "exit\n",
                                kValueOf64, "", kImpatient);
    EXPECT_FALSE(judged.is_accepted());
}

TEST(Loops, TwoCountersThatTakeTurnsAreRejected) {
    // Each turn moves one of them, but one of them back as well.
    const Judged judged = judge("r6 = 0\n"
                                "r7 = 0\n"
                                "again:\n"
                                "call 7\n"
                                "if r0 == 0 goto other\n"
                                "r6 += 1\n"
                                "r7 = 0\n"
                                "goto test\n"
                                "other:\n"
                                "r7 += 1\n"
                                "r6 = 0\n"
                                "test:\n"
                                "if r6 > 100000 goto out\n"
                                "if r7 < 100000 goto again\n"
                                "out:\n"
                                "r0 = 0\n"
                                "exit\n",
                                kValueOf64, "", kImpatient);
    EXPECT_FALSE(judged.is_accepted());
}

TEST(Loops, WhatJumpsOverItsEndIsNotTakenToEnd) {
    // 3, 6, ... never is 1000000 before it wraps around.
    const Judged judged = judge("r6 = 0\n"
                                "again:\n"
                                "call 5\n"
                                "r6 += 3\n"
                                "if r6 != 1000000 goto again\n"
                                "r0 = 0\n"
                                "exit\n",
                                kValueOf64, "", kImpatient);
    EXPECT_FALSE(judged.is_accepted());
}

TEST(Loops, BehindAnUnequalEndTheCounterIsTheEnd) {
    EXPECT_TRUE(accepts(judge("r9 = map_value(0, 0) ll\n"
                              "r6 = 0\n"
                              "again:\n"
                              "call 5\n"
                              "r6 += 1\n"
                              "if r6 != 60 goto again\n"
                              "r9 += r6\n"
                              "r0 = *(u32 *)(r9 +0)\n"
                              "exit\n")));
}

TEST(Loops, ACounterThatWrapsAt32BitsIsRejected) {
    const Judged judged = judge("r6 = 0\n"
                                "again:\n"
                                "call 5\n"
                                "w6 += 1\n"
                                "if r6 != -1 goto again\n"
                                "r0 = 0\n"
                                "exit\n",
                                kValueOf64, "", kImpatient);
    EXPECT_FALSE(judged.is_accepted()) << "r6 is never above 0xffffffff";
}

TEST(Loops, A32BitCounterWithALimitIsVerifiedOnce) {
    const Judged judged = judge("r6 = 0\n"
                                "again:\n"
                                "call 5\n"
                                "w6 += 1\n"
                                "if w6 < 1000000 goto again\n"
                                "r0 = 0\n"
                                "exit\n");
    EXPECT_TRUE(accepts(judged));
    EXPECT_LT(judged.explored(), 10'000U);
}

TEST(Loops, MoreTurnsThanTheOptionAllowsAreRejected) {
    constexpr const char* kLoop = "r6 = 0\n"
                                  "again:\n"
                                  "call 5\n"
                                  "r6 += 1\n"
                                  "if r6 < 10000000 goto again\n"
                                  "r0 = 0\n"
                                  "exit\n";
    VerifierOptions options;
    options.max_loop_iterations = 1000;
    options.max_explored = 5000;
    EXPECT_FALSE(judge(kLoop, kValueOf64, "", options).is_accepted());
}

TEST(Loops, WithoutSummariesTheyAreGoneThrough) {
    VerifierOptions options;
    options.summarise_loops = false;
    const Judged judged = judge("r6 = 0\n"
                                "again:\n"
                                "r6 += 1\n"
                                "if r6 < 1000 goto again\n"
                                "r0 = 0\n"
                                "exit\n",
                                kValueOf64, "", options);
    EXPECT_TRUE(accepts(judged));
    EXPECT_GE(judged.explored(), 2000U);
}

TEST(Loops, NothingIsKnownOfWhatALoopMultiplies) {
    const Judged judged = judge("r9 = map_value(0, 0) ll\n"
                                "r6 = 0\n"
                                "r7 = 1\n"
                                "again:\n"
                                "call 5\n"
                                "r7 *= 3\n"
                                "r6 += 1\n"
                                "if r6 < 1000000 goto again\n"
                                "r9 += r7\n"
                                "r0 = *(u8 *)(r9 +0)\n"
                                "exit\n",
                                kValueOf64, "", kImpatient);
    EXPECT_FALSE(judged.is_accepted());
}

TEST(Loops, AnEndlessLoopAroundABoundedOneIsRejected) {
    EXPECT_FALSE(judge("outer:\n"
                       "r6 = 0\n"
                       "inner:\n"
                       "call 5\n"
                       "r6 += 1\n"
                       "if r6 < 1000000 goto inner\n"
                       "goto outer\n",
                       kValueOf64, "", kImpatient)
                     .is_accepted());
}

// What is remembered of the loop goes with the exploration of its function (seen with sanitizers).
TEST(Loops, LeaveNothingBehindForTheNextFunction) {
    EXPECT_TRUE(accepts(judge("r6 = 0\n" // 0
                              "again:\n"
                              "call 7\n" // 1
                              "r6 += 1\n"
                              "if r6 < 30 goto again\n"
                              "call next\n" // 4
                              "r0 = 0\n"
                              "exit\n"
                              "next:\n"
                              "call 7\n" // 7
                              "if r0 > 5 goto out\n"
                              "r0 = 0\n"
                              "out:\n"
                              "r0 &= 1\n"
                              "exit\n",
                              "", "func 0 global main\nfunc 7 global next\n")));
}

constexpr const char* kEach = "each:\n"
                              "r0 = 0\n"
                              "exit\n";

TEST(Callbacks, AnEndlessLoopAroundALoopHelperIsRejected) {
    EXPECT_FALSE(judge(std::string("again:\n" // 0
                                   "r1 = 100\n"
                                   "r2 = func(each) ll\n"
                                   "r3 = 0\n"
                                   "r4 = 0\n"
                                   "call 181\n"
                                   "goto again\n") // 6
                           + kEach,
                       "", "func 0 global main\nfunc 7 static each\n")
                     .is_accepted());
}

TEST(Callbacks, ALoopHelperInACountedLoopIsAccepted) {
    EXPECT_TRUE(accepts(judge(std::string("r6 = 0\n" // 0
                                          "again:\n"
                                          "r1 = 100\n" // 1
                                          "r2 = func(each) ll\n"
                                          "r3 = 0\n"
                                          "r4 = 0\n"
                                          "call 181\n"
                                          "r6 += 1\n" // 7
                                          "if r6 < 100 goto again\n"
                                          "r0 = 0\n"
                                          "exit\n") // 10
                                  + kEach,
                              "", "func 0 global main\nfunc 11 static each\n")));
}

TEST(Callbacks, TheIndexOfALoopHelperIsBelowItsTurns) {
    constexpr const char* kProgram = "r1 = {}\n" // 0
                                     "r2 = func(each) ll\n"
                                     "r3 = 0\n"
                                     "r4 = 0\n"
                                     "call 181\n"
                                     "r0 = 0\n"
                                     "exit\n" // 7
                                     "each:\n"
                                     "r9 = map_value(0, 0) ll\n"
                                     "r9 += r1\n"
                                     "r0 = *(u8 *)(r9 +0)\n"
                                     "r0 = 0\n"
                                     "exit\n";
    constexpr const char* kFuncs = "func 0 global main\nfunc 8 static each\n";
    EXPECT_TRUE(accepts(judge(fmt::format(kProgram, 64), kValueOf64, kFuncs)));
    EXPECT_EQ(judge(fmt::format(kProgram, 65), kValueOf64, kFuncs).slug(), "map-value-oob");
}

TEST(MayGoto, EndsALoopThatOtherwiseDoesNot) {
    EXPECT_TRUE(accepts(judge("r6 = 0\n"
                              "again:\n"
                              "may_goto out\n"
                              "r6 += 1\n"
                              "goto again\n"
                              "out:\n"
                              "r0 = 0\n"
                              "exit\n")));
}

TEST(MayGoto, OnOnePathDoesNotEndTheOther) {
    EXPECT_FALSE(judge("again:\n"
                       "call 7\n"
                       "if r0 == 0 goto again\n"
                       "may_goto out\n"
                       "goto again\n"
                       "out:\n"
                       "r0 = 0\n"
                       "exit\n")
                     .is_accepted());
}

TEST(MayGoto, ToItselfIsRejected) {
    EXPECT_EQ(judge("may_goto -1\nr0 = 0\nexit\n").slug(), "infinite-loop");
}

TEST(MayGoto, SaysNothingOfHowOftenItWent) {
    EXPECT_EQ(judge("r9 = map_value(0, 0) ll\n"
                    "r6 = 0\n"
                    "again:\n"
                    "may_goto out\n"
                    "r6 += 1\n"
                    "goto again\n"
                    "out:\n"
                    "r9 += r6\n"
                    "r0 = *(u8 *)(r9 +0)\n"
                    "exit\n")
                  .is_accepted(),
              false);
}

} // namespace
} // namespace ebpfvm::test
