// What later code demands travels back to where it was computed, and no further.
#include "verifier/judge.hpp"

namespace ebpfvm::test {
namespace {

// r6 is 5 on the path that is explored first and `other` on the second; `then` makes an index r7 of
// it. Accepted if 5 and `other` are both fine, rejected if a path was dropped or is wrong.
Judged demanded(std::string_view then, int other) {
    return judge(fmt::format("r9 = map_value(0, 0) ll\n"
                             "r1 = *(u64 *)(r9 +8)\n"
                             "r6 = 5\n"
                             "if r1 != 0 goto merge\n"
                             "r6 = {}\n"
                             "merge:\n"
                             "r1 = 0\n"
                             "r2 = 0\n"
                             "{}"
                             "r9 += r7\n"
                             "r0 = *(u8 *)(r9 +0)\n"
                             "r0 = 0\n"
                             "exit\n",
                             other, then));
}

// Both orders: the jump and the fall-through explore different ones first.
void expect_traced(std::string_view then) {
    EXPECT_TRUE(accepts(demanded(then, 6))) << then;
    EXPECT_FALSE(demanded(then, 100).is_accepted()) << then;
}

TEST(Path, ADemandGoesBackThroughMoves) {
    expect_traced("r7 = r6\n");
    expect_traced("w7 = w6\n");
    expect_traced("r7 = (s32)r6\n");
}

TEST(Path, ADemandGoesBackThroughArithmetic) {
    expect_traced("r7 = r6\nr7 += 1\n");
    expect_traced("r7 = 1\nr7 += r6\n");
    expect_traced("r7 = r6\nr7 = -r7\nr7 = -r7\n");
    expect_traced("r7 = r6\nr7 = be64 r7\nr7 = be64 r7\n");
}

TEST(Path, ADemandGoesBackThroughTheStack) {
    expect_traced("*(u64 *)(r10 -8) = r6\nr6 = 0\nr7 = *(u64 *)(r10 -8)\n");
    expect_traced("r3 = r10\nr3 += -64\n*(u64 *)(r3 +8) = r6\nr6 = 0\nr7 = *(u64 *)(r10 -56)\n");
    expect_traced("*(u32 *)(r10 -8) = r6\nr6 = 0\nr7 = *(u32 *)(r10 -8)\n");
    expect_traced("*(u64 *)(r10 -8) = r6\nr6 = 0\nr7 = *(u8 *)(r10 -8)\n");
}

TEST(Path, ADemandGoesBackThroughComparisons) {
    expect_traced("r7 = *(u64 *)(r9 +16)\nr7 &= 255\nif r7 > r6 goto +2\n");
    expect_traced("r7 = *(u64 *)(r9 +16)\nr7 &= 255\nif w7 > w6 goto +2\n");
}

TEST(Path, ADemandGoesBackThroughLinks) {
    expect_traced("r7 = *(u64 *)(r9 +16)\n"
                  "r3 = r7\n"
                  "if r3 > r6 goto +2\n");
    expect_traced("r7 = *(u64 *)(r9 +16)\n"
                  "r3 = r7\n"
                  "r3 += 1\n"
                  "r7 &= 255\n"
                  "r3 = r7\n"
                  "if r3 > r6 goto +2\n");
}

TEST(Path, ADemandGoesBackIntoACallee) {
    const auto program = [](int other) {
        return judge(fmt::format("r9 = map_value(0, 0) ll\n"
                                 "r1 = *(u64 *)(r9 +8)\n"
                                 "r6 = 5\n"
                                 "if r1 != 0 goto merge\n"
                                 "r6 = {}\n"
                                 "merge:\n"
                                 "r2 = 0\n"
                                 "r1 = r6\n"
                                 "call f\n"
                                 "r9 += r0\n"
                                 "r0 = *(u8 *)(r9 +0)\n"
                                 "r0 = 0\n"
                                 "exit\n"
                                 "f:\n"
                                 "r8 = r1\n"
                                 "r0 = r8\n"
                                 "exit\n",
                                 other));
    };
    EXPECT_TRUE(accepts(program(6)));
    EXPECT_FALSE(program(100).is_accepted());
}

TEST(Path, ADemandOfACalleeGoesBackToTheCallersStack) {
    const auto program = [](int other) {
        return judge(fmt::format("r9 = map_value(0, 0) ll\n"
                                 "r1 = *(u64 *)(r9 +8)\n"
                                 "*(u64 *)(r10 -8) = 5\n"
                                 "if r1 != 0 goto merge\n"
                                 "*(u64 *)(r10 -8) = {}\n"
                                 "merge:\n"
                                 "r2 = 0\n"
                                 "r1 = r10\n"
                                 "r1 += -8\n"
                                 "r2 = r9\n"
                                 "call f\n"
                                 "r0 = 0\n"
                                 "exit\n"
                                 "f:\n"
                                 "r1 = *(u64 *)(r1 +0)\n"
                                 "r2 += r1\n"
                                 "r0 = *(u8 *)(r2 +0)\n"
                                 "exit\n",
                                 other));
    };
    EXPECT_TRUE(accepts(program(6)));
    EXPECT_FALSE(program(100).is_accepted());
}

TEST(Path, SizesOfMemoryAreDemanded) {
    const auto program = [](int other) {
        return judge(fmt::format("r9 = map_value(0, 0) ll\n"
                                 "r1 = *(u64 *)(r9 +8)\n"
                                 "r6 = 8\n"
                                 "if r1 != 0 goto merge\n"
                                 "r6 = {}\n"
                                 "merge:\n"
                                 "r1 = 0\n"
                                 "r2 = 0\n"
                                 "r3 = r9\n"
                                 "r4 = r6\n"
                                 "r5 = 0\n"
                                 "call 28\n" // csum_diff(0, 0, r3, r4, 0)
                                 "r0 = 0\n"
                                 "exit\n",
                                 other));
    };
    EXPECT_TRUE(accepts(program(64)));
    EXPECT_FALSE(program(68).is_accepted());
}

TEST(Path, AnOverwrittenNumberIsNotDemanded) {
    const char* then = "r6 = 1\nr7 = r6\nr3 = 1\nr3 = 2\nr3 = 3\nr3 = 4\nr3 = 5\nr3 = 6\n";
    EXPECT_TRUE(accepts(demanded(then, 100)));
    EXPECT_EQ(demanded(then, 100).explored(), demanded(then, 5).explored());
}

} // namespace
} // namespace ebpfvm::test
