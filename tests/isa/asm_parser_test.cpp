// Both dialects of assembly text, and labels. Texts that to_text() writes: disasm_test.cpp.
// Refused texts: asm_errors_test.cpp.
#include "isa/decode.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::isa {
namespace {

std::vector<Insn> assembled(std::string_view text) {
    auto insns = assemble(text);
    EXPECT_TRUE(insns) << text << ": " << to_string(insns.error());
    return insns ? *insns : std::vector<Insn>{};
}

struct Spelling {
    std::string_view written;
    std::string_view canonical; // as to_text() has it
};

void expect_same(std::span<const Spelling> spellings) {
    for (const auto& [written, canonical] : spellings) {
        const auto insns = assembled(written);
        const auto text = disassemble(insns);
        ASSERT_TRUE(text) << written;
        EXPECT_EQ(*text, std::string(canonical) + "\n") << written;
    }
}

TEST(Assemble, TakesLlvmsSpellings) {
    const Spelling spellings[] = {
        {"r0 = *(u32 *)(r1 + 76)", "r0 = *(u32 *)(r1 +76)"},
        {"r0=*(u32*)(r1-0x4)", "r0 = *(u32 *)(r1 -4)"},
        {"r0 = *(u32 *)(r1)", "r0 = *(u32 *)(r1 +0)"},
        {"w0 = *(u32 *)(r1 + 0)", "r0 = *(u32 *)(r1 +0)"},
        {"*(u8 *)(r10 - 1) = w1", "*(u8 *)(r10 -1) = r1"},
        {"*(u64*)(r10-8)=0x10", "*(u64 *)(r10 -8) = 16"},
        {"r1=-r1", "r1 = -r1"},
        {"r1=-5", "r1 = -5"},
        {"r1 = +5", "r1 = 5"},
        {"r1 = 5 ll", "r1 = 0x5 ll"},
        {"r1 = -1 ll", "r1 = 0xffffffffffffffff ll"},
        {"r1 = 0xFFFFFFFF80000000 ll", "r1 = 0xffffffff80000000 ll"},
        {"w1 = ( s8 ) w2", "w1 = (s8)w2"},
        {"if r1 == 0 goto pc+3", "if r1 == 0 goto +3"},
        {"if w1 s>-0x7 goto -0x2", "if w1 s> -7 goto -2"},
        {"if r1&r2 goto +1", "if r1 & r2 goto +1"},
        {"gotol pc-3", "gotol -3"},
        {"may_goto +0x3", "may_goto +3"},
        {"call 0x5", "call 5"},
        {"call pc-2", "call pc-2"},
        {"call kfunc ( 3 , 0x1 )", "call kfunc(3, 1)"},
        {"lock *(u64*)(r1+0x1eef)+=r2", "lock *(u64 *)(r1 +7919) += r2"},
        {"lock *(u32 *)(r1 + 0) &= r2", "lock *(u32 *)(r1 +0) &= w2"},
        {"r2=atomic_fetch_add((u64*)(r1+8),r2)", "r2 = atomic_fetch_add((u64 *)(r1 +8), r2)"},
        {"r2 = atomic_fetch_or((u32 *)(r1 +8), r2)", "w2 = atomic_fetch_or((u32 *)(r1 +8), w2)"},
        {"r2 = xchg_64(r1 + 8, r2)", "r2 = xchg((u64 *)(r1 +8), r2)"},
        {"w2 = xchg32_32(r1 + 8, w2)", "w2 = xchg((u32 *)(r1 +8), w2)"},
        {"r0 = cmpxchg_64(r1 + 8, r0, r2)", "r0 = cmpxchg((u64 *)(r1 +8), r0, r2)"},
        {"w0 = cmpxchg32_32(r1 - 8, w0, w2)", "w0 = cmpxchg((u32 *)(r1 -8), w0, w2)"},
        {"w1 = load_acquire((u16 *)(r2 + 2))", "r1 = load_acquire((u16 *)(r2 +2))"},
        {"store_release((u8 *)(r1 + 0), w2)", "store_release((u8 *)(r1 +0), r2)"},
        {"r0 = *(u8 *)skb[0x14]", "r0 = *(u8 *)skb[20]"},
        {"r0 = *(u16 *)skb[r3]", "r0 = *(u16 *)skb[r3 +0]"},
        {"r0 = *(u32 *)skb[r3 + 4]", "r0 = *(u32 *)skb[r3 +4]"},
        {"r1 = addr_space_cast(r2, 0x1, 0x0)", "r1 = addr_space_cast(r2, 1, 0)"},
    };
    expect_same(spellings);
}

TEST(Assemble, TakesBpfConformancesMnemonics) {
    const Spelling spellings[] = {
        {"add %r0, 0x17", "r0 += 23"},
        {"add32 %r0, %r7", "w0 += w7"},
        {"sdiv %r0, -1", "r0 s/= -1"},
        {"smod32 %r0, %r1", "w0 s%= w1"},
        {"arsh r0, r1", "r0 s>>= r1"},
        {"mov %r1, -1", "r1 = -1"},
        {"mov32 %r0,0x80000000", "w0 = -2147483648"},
        {"neg32 %r0", "w0 = -w0"},
        {"movsx832 %r0, %r1", "w0 = (s8)w1"},
        {"movsx1632 %r0, %r1", "w0 = (s16)w1"},
        {"movsx3264 %r0, %r1", "r0 = (s32)r1"},
        {"be64 %r0", "r0 = be64 r0"},
        {"le16 %r0", "r0 = le16 r0"},
        {"swap16 %r0", "r0 = bswap16 r0"},
        {"bswap32 %r0", "r0 = bswap32 r0"},
        {"ldxw %r0, [%r1+2]", "r0 = *(u32 *)(r1 +2)"},
        {"ldxsh %r0, [%r10 - 2]", "r0 = *(s16 *)(r10 -2)"},
        {"ldxdw %r0, [%r1]", "r0 = *(u64 *)(r1 +0)"},
        {"stw [%r1+2], 0x1", "*(u32 *)(r1 +2) = 1"},
        {"stxdw [%r10-8], %r0", "*(u64 *)(r10 -8) = r0"},
        {"lddw %r1, 0xFFFFFFFF80000000", "r1 = 0xffffffff80000000 ll"},
        {"lock or [%r10-8], %r1", "lock *(u64 *)(r10 -8) |= r1"},
        {"lock xor32 [%r10-8], %r1", "lock *(u32 *)(r10 -8) ^= w1"},
        {"lock fetch add [%r10-8], %r1", "r1 = atomic_fetch_add((u64 *)(r10 -8), r1)"},
        {"lock fetch and32 [%r10-8], %r1", "w1 = atomic_fetch_and((u32 *)(r10 -8), w1)"},
        {"lock xchg [%r10-8], %r1", "r1 = xchg((u64 *)(r10 -8), r1)"},
        {"lock cmpxchg32 [%r10-8], %r1", "w0 = cmpxchg((u32 *)(r10 -8), w0, w1)"},
        {"jeq %r1, 0x80000000, +1", "if r1 == -2147483648 goto +1"},
        {"jsle32 %r1, %r2, -1", "if w1 s<= w2 goto -1"},
        {"jset %r1, 0x8, +1", "if r1 & 8 goto +1"},
        {"ja +3", "goto +3"},
        {"ja32 -3", "gotol -3"},
        {"call 5", "call 5"},
        {"call %r2", "callx r2"},
        {"call local +2", "call pc+2"},
        {"exit", "exit"},
    };
    expect_same(spellings);
}

TEST(Assemble, ReadsHexadecimalAsBitsAndDecimalAsAValue) {
    EXPECT_EQ(assembled("r1 = 0xffffffff").at(0).imm, -1);
    EXPECT_EQ(assembled("r1 = 0xffffffff80000000").at(0).imm, std::numeric_limits<int>::min());
    EXPECT_EQ(assembled("r1 = -0x80000000").at(0).imm, std::numeric_limits<int>::min());
    EXPECT_EQ(assembled("r1 = 2147483647").at(0).imm, std::numeric_limits<int>::max());
    EXPECT_FALSE(assemble("r1 = 2147483648"));
    EXPECT_FALSE(assemble("r1 = 0x100000000"));
    EXPECT_FALSE(assemble("r1 = 0xffffffff7fffffff"));
}

TEST(Assemble, LetsDialectsMixLineByLine) {
    EXPECT_EQ(assembled("mov %r0, 1\nr0 += 2\nlock add [r10-8], r0\nexit"),
              assembled("r0 = 1\nadd %r0, 2\nlock *(u64 *)(r10 - 8) += r0\nexit"));
}

TEST(Assemble, ResolvesLabelsForwardsAndBackwards) {
    EXPECT_EQ(assembled("top: if r1 == 0 goto end\nr1 -= 1\ngoto top\nend:\nexit"),
              assembled("if r1 == 0 goto +2\nr1 -= 1\ngoto -3\nexit"));
}

TEST(Assemble, CountsALddwAsTwoSlots) {
    EXPECT_EQ(assembled("goto end\nr1 = 1 ll\nend: exit"), assembled("goto +2\nr1 = 1 ll\nexit"));
}

TEST(Assemble, ResolvesLabelsWhereverATargetMayBe) {
    const auto insns = assembled("if w1 s< 3 goto f\njsgt %r1, %r2, f\nja f\nja32 f\ngoto f\n"
                                 "gotol f\nmay_goto f\ncall f\ncall local f\nr1 = func(f) ll\n"
                                 "f: exit");
    ASSERT_EQ(insns.size(), 12u);
    for (std::size_t i = 0; i < 10; ++i) {
        const auto insn = decode(insns, i);
        ASSERT_TRUE(insn);
        EXPECT_EQ(target_of(*insn, i), 11) << i;
    }
}

TEST(Assemble, TakesGotolFartherThanGoto) {
    std::string far;
    for (int i = 0; i < 40000; ++i) {
        far += "r0 = 0\n";
    }
    EXPECT_EQ(assembled("gotol end\n" + far + "end: exit").at(0).imm, 40000);
    EXPECT_FALSE(assemble("goto end\n" + far + "end: exit"));
}

TEST(Assemble, TakesTheFirstExitForAnUndefinedLabelExit) {
    EXPECT_EQ(assembled("ja exit\nmov %r0, 1\nexit\nexit"),
              assembled("goto +1\nr0 = 1\nexit\nexit"));
    EXPECT_EQ(assembled("exit\nja exit\nexit"), assembled("exit\ngoto -2\nexit"));
}

TEST(Assemble, PrefersALabelNamedExit) {
    EXPECT_EQ(assembled("ja exit\nexit\nexit: exit"), assembled("goto +1\nexit\nexit"));
}

TEST(Assemble, TakesALabelNamedLikeAKeyword) {
    EXPECT_EQ(assembled("call local\nlocal: goto pc\npc: call kfunc\nadd: kfunc: exit"),
              assembled("call pc+0\ngoto +0\ncall pc+0\nexit"));
}

TEST(Assemble, IgnoresCommentsBlankLinesAndCarriageReturns) {
    EXPECT_EQ(assembled("; one\n# two\n// three\n\n  r0 = 1 ; r0 = 2\r\n\texit\r\n# done"),
              assembled("r0 = 1\nexit"));
}

TEST(Assemble, GivesNothingForNothing) {
    EXPECT_TRUE(assembled("").empty());
    EXPECT_TRUE(assembled("\n;\nlabel:").empty());
}

TEST(Assemble, StopsAtTheKernelsLimit) {
    std::string text;
    for (std::size_t i = 0; i < kMaxInsns; ++i) {
        text += "exit\n";
    }
    EXPECT_EQ(assembled(text).size(), kMaxInsns);
    const auto insns = assemble(text + "exit");
    ASSERT_FALSE(insns);
    EXPECT_EQ(insns.error().where->line, kMaxInsns + 1);
    EXPECT_FALSE(assemble(text.substr(5) + "r1 = 1 ll"));
}

} // namespace
} // namespace ebpfvm::isa
