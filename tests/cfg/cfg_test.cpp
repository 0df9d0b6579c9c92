// Blocks, loops and live registers of small programs.
#include "cfg/cfg.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ebpfvm::cfg {
namespace {

struct Built {
    isa::DecodedProgram program;
    Cfg cfg;
};

Built built(std::string_view text, unsigned arity = 5) {
    const auto insns = assemble(text);
    EXPECT_TRUE(insns) << to_string(insns.error());
    auto program = isa::decode_program(*insns);
    EXPECT_TRUE(program) << to_string(program.error());
    Cfg cfg = build_cfg(*program, [arity](const isa::Decoded&) { return arity; });
    return {*std::move(program), std::move(cfg)};
}

std::vector<std::uint32_t> firsts(const Cfg& cfg) {
    std::vector<std::uint32_t> result;
    std::ranges::transform(cfg.blocks, std::back_inserter(result), &BasicBlock::first);
    return result;
}

using Slots = std::vector<std::uint32_t>;

/// The registers as bits.
template <class... Regs>
constexpr std::uint16_t regs(Regs... numbers) {
    return std::uint16_t((0U | ... | (1U << numbers)));
}

TEST(Cfg, ABlockEndsBehindAJumpAndBeforeATarget) {
    const Cfg cfg = built("r0 = 0\nif r1 == 0 goto +1\nr0 = 1\nexit").cfg;
    EXPECT_EQ(firsts(cfg), (Slots{0, 2, 3}));
    EXPECT_EQ(cfg.blocks[0].last, 1U);
    EXPECT_EQ(cfg.blocks[2].predecessors, 2U);
    EXPECT_EQ(cfg.block_of[2], 1U);
}

TEST(Cfg, BothSlotsOfALddwAreInItsBlock) {
    const Cfg cfg = built("r0 = 1 ll\nif r0 == 0 goto +1\nr0 = 1\nexit").cfg;
    EXPECT_EQ(cfg.block_of[0], cfg.block_of[1]);
    EXPECT_EQ(firsts(cfg), (Slots{0, 3, 4}));
}

TEST(Cfg, ACallIsNoEdge) {
    const Cfg cfg = built("call f\nexit\nf:\nr0 = 0\nexit").cfg;
    for (const BasicBlock& block : cfg.blocks) {
        for (const std::uint32_t next : block.successors) {
            EXPECT_EQ(cfg.blocks[next].subprog, block.subprog);
        }
    }
    EXPECT_EQ(cfg.block(2).subprog, 1U);
    EXPECT_TRUE(cfg.block(2).is_reachable);
}

TEST(Cfg, CodeBehindAGotoIsNotReachable) {
    const Cfg cfg = built("goto +1\nr0 = 1\nr0 = 0\nexit").cfg;
    EXPECT_FALSE(cfg.block(1).is_reachable);
    EXPECT_TRUE(cfg.block(2).is_reachable);
    EXPECT_EQ(cfg.block(2).predecessors, 1U);
}

TEST(Cfg, ALoopHasItsHeadWhereTheBackEdgeGoes) {
    const Cfg cfg = built("r0 = 0\nagain:\nr0 += 1\nif r0 < 9 goto again\nexit").cfg;
    EXPECT_FALSE(cfg.block(0).is_loop_head);
    EXPECT_TRUE(cfg.block(1).is_loop_head);
    EXPECT_NE(cfg.block(1).loop, kNone);
    EXPECT_EQ(cfg.block(3).loop, kNone);
}

TEST(Cfg, AJumpToItselfIsALoop) {
    const Cfg cfg = built("again: if r1 == 0 goto again\nr0 = 0\nexit").cfg;
    EXPECT_TRUE(cfg.block(0).is_loop_head);
}

TEST(Cfg, AForwardJumpMakesNoLoop) {
    const Cfg cfg = built("if r1 == 0 goto +1\nr0 = 0\nr0 = 1\nexit").cfg;
    EXPECT_TRUE(std::ranges::none_of(cfg.blocks, &BasicBlock::is_loop_head));
}

constexpr const char* kNested = "r0 = 0\n"
                                "outer:\n"
                                "r1 = 0\n" // 1
                                "inner:\n"
                                "r1 += 1\n" // 2
                                "if r1 < 5 goto inner\n"
                                "r0 += 1\n" // 4
                                "if r0 < 5 goto outer\n"
                                "exit"; // 6

TEST(Cfg, NestedLoopsHaveAHeadEach) {
    const Cfg cfg = built(kNested).cfg;
    EXPECT_TRUE(cfg.block(1).is_loop_head);
    EXPECT_TRUE(cfg.block(2).is_loop_head);
    EXPECT_FALSE(cfg.block(4).is_loop_head);
}

TEST(Cfg, TheNaturalLoopOfAnInnerHeadIsTheInnerLoop) {
    const Cfg cfg = built(kNested).cfg;
    const auto inner = natural_loop(cfg, cfg.block_of[2]);
    EXPECT_TRUE(inner[cfg.block_of[2]]);
    EXPECT_FALSE(inner[cfg.block_of[1]]);
    EXPECT_FALSE(inner[cfg.block_of[4]]);
    const auto outer = natural_loop(cfg, cfg.block_of[1]);
    EXPECT_TRUE(outer[cfg.block_of[1]] && outer[cfg.block_of[2]] && outer[cfg.block_of[4]]);
    EXPECT_FALSE(outer[cfg.block_of[6]]);
}

TEST(Liveness, AWriteEndsALife) {
    const Cfg cfg = built("r0 = r1\nr1 = 5\nr0 += r1\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(1));
    EXPECT_EQ(cfg.live[1], regs(0));
    EXPECT_EQ(cfg.live[2], regs(0, 1));
}

TEST(Liveness, MergesAllThatAnyPathReads) {
    const Cfg cfg = built("if r1 == 0 goto +2\nr0 = r2\nexit\nr0 = r3\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(1, 2, 3));
}

TEST(Liveness, GoesAroundLoops) {
    const Cfg cfg = built("r0 = 0\nagain:\nr0 += r6\nr7 -= 1\nif r7 != 0 goto again\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(6, 7));
    EXPECT_EQ(cfg.live[3], regs(0, 6, 7));
}

TEST(Liveness, AHelperReadsAsManyArgumentsAsItHas) {
    EXPECT_EQ(built("call 1\nexit", 2).cfg.live[0], regs(1, 2));
    EXPECT_EQ(built("call 5\nexit", 0).cfg.live[0], regs());
}

TEST(Liveness, ACallOverwritesR0ToR5Only) {
    const Cfg cfg = built("call 5\nr0 = r6\nexit", 0).cfg;
    EXPECT_EQ(cfg.live[0], regs(6));
}

TEST(Liveness, AFunctionReadsItsArgumentsOfTheCaller) {
    const Cfg cfg = built("call f\nr0 += r7\nexit\nf:\nr0 = r2\nr6 = r0\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(2, 7)) << "r6 of the callee is its own";
    EXPECT_EQ(cfg.live[1], regs(0, 7));
}

TEST(Liveness, ArgumentsReachThroughCallsOfCalls) {
    const Cfg cfg = built("call f\nexit\nf:\ncall g\nexit\ng:\nr0 = r4\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(4));
    EXPECT_EQ(cfg.live[2], regs(4));
}

TEST(Liveness, AFetchingAtomicReadsWhatItReplaces) {
    const Cfg cfg = built("r2 = atomic_fetch_add((u64 *)(r1 +0), r2)\nr0 = r2\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(1, 2));
}

TEST(Liveness, ACompareAndExchangeReadsR0) {
    const Cfg cfg = built("r0 = cmpxchg_64(r1 +0, r0, r2)\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(0, 1, 2));
}

TEST(Liveness, APacketLoadReadsR6) {
    const Cfg cfg = built("r0 = *(u8 *)skb[3]\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(6));
    EXPECT_EQ(built("r0 = *(u8 *)skb[r7 + 3]\nexit").cfg.live[0], regs(6, 7));
}

TEST(Liveness, AMoveOfAPartWritesTheWhole) {
    const Cfg cfg = built("w0 = w1\nexit").cfg;
    EXPECT_EQ(cfg.live[0], regs(1));
    EXPECT_EQ(built("r0 = (s8)r1\nexit").cfg.live[0], regs(1));
}

TEST(Liveness, TheFramePointerIsNotCounted) {
    EXPECT_EQ(built("r0 = *(u64 *)(r10 -8)\nexit").cfg.live[0], regs());
}

} // namespace
} // namespace ebpfvm::cfg
