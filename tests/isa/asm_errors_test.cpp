// What the assembler refuses, and how it says so.
#include "ebpfvm/insn.hpp"

#include <gtest/gtest.h>

namespace ebpfvm {
namespace {

struct BadLine {
    std::string_view line;
    std::string_view message; // a part of it
};

void expect_refused(std::span<const BadLine> cases) {
    for (const auto& [line, message] : cases) {
        const auto insns = assemble("exit\n\n" + std::string(line) + "\nexit");
        ASSERT_FALSE(insns) << line;
        EXPECT_EQ(insns.error().code, Errc::MalformedText) << line;
        EXPECT_NE(insns.error().message.find(message), std::string::npos)
            << line << ": " << insns.error().message;
        ASSERT_TRUE(insns.error().where) << line;
        EXPECT_EQ(insns.error().where->line, 3u) << line;
        EXPECT_NE(insns.error().where->column, 0u) << line;
    }
}

TEST(AssembleErrors, NameTheWordThatStartsNoInstruction) {
    const BadLine cases[] = {
        {"ldxq %r0, %r1", R"(found "ldxq", expected an instruction)"},
        {"@", R"(found "@", expected an instruction)"},
        {"5", R"(found "5", expected an instruction)"},
        {": exit", R"(found ":", expected an instruction)"},
        {"\x01", "found byte 0x01, expected an instruction"},
        {"\xff", "found byte 0xff, expected an instruction"},
    };
    expect_refused(cases);
}

TEST(AssembleErrors, NameRegistersThatDoNotExistOrHaveTheWrongWidth) {
    const BadLine cases[] = {
        {"or %r0, %r50", R"(found "%r50", expected a register r0 to r10)"},
        {"r11 = 5", R"(found "r11", expected a register r0 to r10)"},
        {"r99999999999999999999 = 5", "expected a register r0 to r10"},
        {"r1 += w2", R"(found "w2", expected a register r0 to r10)"},
        {"w1 += r2", R"(found "r2", expected a register w0 to w10)"},
        {"if r1 == w2 goto +1", R"(found "w2", expected a register r0 to r10)"},
        {"add %w1, 5", R"(found "%w1", expected a register r0 to r10)"},
        {"r1 = *(u32 *)(w1 + 4)", R"(found "w1", expected a register r0 to r10)"},
        {"w1 = *(u64 *)(r1 + 4)", R"(found "w1", expected a register r0 to r10)"},
        {"w1 = *(s8 *)(r1 + 4)", R"(found "w1", expected a register r0 to r10)"},
        {"*(u64 *)(r1 + 4) = w2", R"(found "w2", expected a register r0 to r10)"},
        {"w1 = load_acquire((u64 *)(r1 + 0))", R"(found "w1", expected a register r0 to r10)"},
        {"lock *(u64 *)(r1 + 0) += w2", R"(found "w2", expected a register r0 to r10)"},
        {"w2 = xchg_64(r1 + 0, w2)", R"(found "w2", expected a register r0 to r10)"},
        {"w1 = 5 ll", R"(found "w1", expected a register r0 to r10)"},
        {"w1 = map(5) ll", R"(found "w1", expected a register r0 to r10)"},
        {"w1 = be16 w1", R"(found "w1", expected a register r0 to r10)"},
        {"w1 = addr_space_cast(w2, 0, 1)", R"(found "w1", expected a register r0 to r10)"},
        {"callx w1", R"(found "w1", expected a register r0 to r10)"},
        {"callx_imm r11", R"(found "r11", expected a register r0 to r10)"},
    };
    expect_refused(cases);
}

TEST(AssembleErrors, NameTheRegisterThatMustBeRepeated) {
    const BadLine cases[] = {
        {"r1 = be16 r2", R"(found "r2", expected "r1")"},
        {"r1 = -r2", R"(found "r2", expected "r1")"},
        {"w1 = -r1", R"(found "r1", expected "w1")"},
        {"r2 = xchg((u64 *)(r1 + 0), r3)", R"(found "r3", expected "r2")"},
        {"w2 = xchg((u32 *)(r1 + 0), r2)", R"(found "r2", expected "w2")"},
        {"r1 = cmpxchg_64(r1 + 0, r1, r2)", R"(found "r1", expected r0)"},
        {"r0 = cmpxchg_64(r1 + 0, r1, r2)", R"(found "r1", expected "r0")"},
        {"r1 = *(u8 *)skb[20]", R"(found "r1", expected r0)"},
    };
    expect_refused(cases);
}

TEST(AssembleErrors, GiveTheRangeOfANumber) {
    const BadLine cases[] = {
        {"mov32 %r0, 2147483648", "immediate 2147483648 does not fit in 32 bits"},
        {"mov32 %r0, -2147483649", "immediate -2147483649 does not fit in 32 bits"},
        {"mov32 %r0, 0x100000000", "immediate 0x100000000 does not fit in 32 bits"},
        {"r0 = -0x80000001", "immediate -0x80000001 does not fit in 32 bits"},
        {"if r0 == 4294967295 goto +1", "immediate 4294967295 does not fit in 32 bits"},
        {"lddw %r0, 18446744073709551616", "does not fit in 64 bits"},
        {"r0 = -0x8000000000000001 ll", "immediate -0x8000000000000001 does not fit in 64 bits"},
        {"ldxb %r0, [%r1+0x10000]", "offset 0x10000 is out of range, -32768 to 32767"},
        {"r0 = *(u8 *)(r1 + 32768)", "offset 32768 is out of range"},
        {"r0 = *(u8 *)(r1 - 32769)", "offset -32769 is out of range"},
        {"call kfunc(1, 32768)", "offset 32768 is out of range"},
        {"goto +32768", "displacement 32768 does not fit in 16 bits"},
        {"gotol -2147483649", "displacement -2147483649 does not fit in 32 bits"},
        {"r1 = addr_space_cast(r2, 5, 6)", R"(found "5", expected address space 0 or 1)"},
        {"r0 = 12ab", R"(found "12ab", expected a decimal or 0x hexadecimal number)"},
        {"r0 = 0x", R"(found "0x", expected a decimal or 0x hexadecimal number)"},
        {"r0 = --1", R"(found "-", expected a number)"},
    };
    expect_refused(cases);
}

TEST(AssembleErrors, ListWhatTheTableOffers) {
    const BadLine cases[] = {
        {"r1 =+ 5 5", R"(found "5", expected end of line)"},
        {"r1 + 5", R"(found "+", expected +=, -=, *=, /=, s/=, |=)"},
        {"if r1 = 5 goto +1", R"(found "=", expected ==, >, >=, &, !=, s>)"},
        {"r1 = *(u33 *)(r1 + 0)", R"(found "u33", expected u8, u16, u32, u64, s8, s16 or s32)"},
        {"*(s8 *)(r1 + 0) = 1", R"(found "s8", expected u8, u16, u32 or u64)"},
        {"r0 = *(u64 *)skb[3]", R"(found "u64", expected u8, u16 or u32)"},
        {"r1 = (u8)r2", R"_(found "(u8)", expected (s8), (s16) or (s32))_"},
        {"w1 = (s32)w2", R"_(found "(s32)", expected (s8) or (s16))_"},
        {"lock *(u16 *)(r1 + 0) += r2", R"(found "u16", expected u32 or u64)"},
        {"lock *(u32 *)(r1 + 0) -= w2", R"(found "-=", expected +=, |=, &= or ^=)"},
        {"r2 = atomic_fetch_sub((u64 *)(r1 + 0), r2)",
         R"(found "atomic_fetch_sub", expected a reg)"},
        {"lock", "found end of line, expected an atomic operation"},
        {"lock fetch xchg [%r1], %r2", R"(found "xchg", expected an atomic operation)"},
        {"store_release((s8 *)(r1 + 0), r2)", R"(found "s8", expected u8, u16, u32 or u64)"},
    };
    expect_refused(cases);
}

TEST(AssembleErrors, NameTheMissingOperand) {
    const BadLine cases[] = {
        {"lddw %r0", R"(found end of line, expected ",")"},
        {"lock or [%r10-8]", R"(found end of line, expected ",")"},
        {"ldxb %r0, %r1", R"(found "%r1", expected "[")"},
        {"stb [%r1+2], %r2", R"(found "%r2", expected a number)"},
        {"stxb [%r1+2], 5", R"(found "5", expected a register r0 to r10)"},
        {"add %r1, foo", R"(found "foo", expected a register or a number)"},
        {"jeq %r1, 5", R"(found end of line, expected ",")"},
        {"exit 5", R"(found "5", expected end of line)"},
        {"r1 =", "found end of line, expected a register, a number"},
        {"r1 = foo", R"(found "foo", expected a register, a number or a function)"},
        {"r1 = map(3)", R"(found end of line, expected "ll")"},
        {"r1 = map_value(3) ll", R"_(found ")", expected ",")_"},
        {"r1 = map(3, 4) ll", R"_(found ",", expected ")")_"},
        {"*(u32 *)(r1 + 0) = foo", R"(found "foo", expected a register or a number)"},
        {"*(u32)(r1 + 0) = 1", R"_(found ")", expected "*")_"},
        {"r0 = *(u8 *)skb[r1 + 2", R"(found end of line, expected "]")"},
        {"if r1 == 5 +3", R"(found "+", expected "goto")"},
        {"goto 3", R"(found "3", expected a label, +N, -N or pc+N)"},
        {"call", "found end of line, expected a helper number, a label or pc+N"},
        {"call kfunc(3", R"_(found end of line, expected ")")_"},
    };
    expect_refused(cases);
}

TEST(AssembleErrors, NameTheLabel) {
    const BadLine cases[] = {
        {"ja NOT_A_LABEL", R"(label "NOT_A_LABEL" is not defined)"},
        {"call nowhere", R"(label "nowhere" is not defined)"},
        {"twice: exit\ntwice:", R"(label "twice" is already defined at line 3)"},
    };
    expect_refused(std::span(cases).first(2));
    const auto insns = assemble("exit\n\n" + std::string(cases[2].line));
    ASSERT_FALSE(insns);
    EXPECT_EQ(insns.error().message, cases[2].message);
    EXPECT_EQ(insns.error().where->line, 4u);
}

TEST(AssembleErrors, PointAtTheColumn) {
    const auto insns = assemble("  r1 += w2");
    ASSERT_FALSE(insns);
    EXPECT_EQ(insns.error().where, (Location{"", 1, 9}));
}

TEST(AssembleErrors, ShortenLongWords) {
    const auto insns = assemble("goto " + std::string(100'000, 'a'));
    ASSERT_FALSE(insns);
    EXPECT_EQ(insns.error().message, "label \"" + std::string(40, 'a') + "...\" is not defined");
}

TEST(AssembleErrors, RefuseHostileLines) {
    for (const char c : {'(', '-', '%', '*', 's', '9', ':', '\0'}) {
        EXPECT_FALSE(assemble("r1 = " + std::string(1'000'000, c))) << c;
    }
}

} // namespace
} // namespace ebpfvm
