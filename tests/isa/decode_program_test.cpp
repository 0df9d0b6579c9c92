// The structure of whole programs: targets, subprograms, last insns, the frame pointer.
#include "isa/decode.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::isa {
namespace {

std::vector<Insn> assembled(std::string_view text) {
    auto insns = assemble(text);
    EXPECT_TRUE(insns) << to_string(insns.error());
    return insns ? *insns : std::vector<Insn>{};
}

std::string refusal(std::string_view text) {
    const auto program = decode_program(assembled(text));
    return program ? "accepted" : program.error().message;
}

TEST(DecodeProgram, RefusesAnEmptyProgram) {
    EXPECT_EQ(refusal(""), "program has no insns");
}

TEST(DecodeProgram, RefusesJumpsOutsideTheProgram) {
    EXPECT_EQ(refusal("goto +1\nexit"), "insn 0: jump to 2 is outside the program (0 to 1)");
    EXPECT_EQ(refusal("goto -2\nexit"), "insn 0: jump to -1 is outside the program (0 to 1)");
    EXPECT_EQ(refusal("if r1 == 0 goto +32767\nexit"),
              "insn 0: jump to 32768 is outside the program (0 to 1)");
    EXPECT_EQ(refusal("gotol -2147483648\nexit"),
              "insn 0: jump to -2147483647 is outside the program (0 to 1)");
    EXPECT_EQ(refusal("may_goto +1\nexit"), "insn 0: jump to 2 is outside the program (0 to 1)");
    EXPECT_EQ(refusal("goto +0\nexit"), "accepted");
    EXPECT_EQ(refusal("goto -1\nexit"), "accepted");
}

TEST(DecodeProgram, RefusesTargetsInTheMiddleOfALddw) {
    EXPECT_EQ(refusal("goto +1\nr1 = 0 ll\nexit"),
              "insn 0: jump to 2 lands in the middle of a lddw");
    EXPECT_EQ(refusal("call pc+1\nr1 = 0 ll\nexit"),
              "insn 0: call to 2 lands in the middle of a lddw");
    EXPECT_EQ(refusal("r1 = func(+0) ll\nexit"),
              "insn 0: function address to 1 lands in the middle of a lddw");
}

TEST(DecodeProgram, RefusesJumpsIntoAnotherSubprogram) {
    EXPECT_EQ(refusal("call f\ngoto f\nf: exit"),
              "insn 1: jump to 2 leaves its subprogram (0 to 1)");
    EXPECT_EQ(refusal("call f\ntop: exit\nf: if r1 == 0 goto top\nexit"),
              "insn 2: jump to 1 leaves its subprogram (2 to 3)");
}

TEST(DecodeProgram, AcceptsALastInsnThatIsNeverReached) {
    EXPECT_EQ(refusal("exit\nr0 = 0"), "accepted");
    EXPECT_EQ(refusal("goto +1\nr0 = 0\nif r0 == 0 goto +1\nexit\nexit\nr0 = 0 ll"), "accepted");
    EXPECT_EQ(refusal("if r0 == 0 goto +1\nexit\nr0 = 0"),
              "insn 2: last insn is not an exit or jump");
}

TEST(DecodeProgram, RefusesALastInsnThatFallsOffTheEnd) {
    for (const auto* last : {"r0 = 0", "if r0 == 0 goto -1", "call 1", "may_goto -1", "callx r1"}) {
        EXPECT_EQ(refusal(last), "insn 0: last insn is not an exit or jump");
    }
    EXPECT_EQ(refusal("r0 = 0 ll"), "insn 0: last insn is not an exit or jump");
    EXPECT_EQ(refusal("call f\nr0 = 0\nf: exit"), "insn 1: last insn is not an exit or jump");
    for (const auto* last : {"exit", "goto -1", "gotol -1"}) {
        EXPECT_EQ(refusal(last), "accepted");
    }
}

TEST(DecodeProgram, RefusesWritesToTheFramePointer) {
    for (const auto* line :
         {"r10 = 1", "w10 = w1", "r10 += r1", "r10 = -r10", "r10 = (s8)r1", "r10 = be16 r10",
          "r10 = *(u64 *)(r1 + 0)", "r10 = load_acquire((u64 *)(r1 + 0))", "r10 = 0 ll",
          "r10 = addr_space_cast(r1, 0, 1)", "r10 = atomic_fetch_add((u64 *)(r1 + 0), r10)",
          "w10 = xchg((u32 *)(r1 + 0), w10)"}) {
        const auto program = decode_program(assembled(std::string(line) + "\nexit"));
        ASSERT_TRUE(program) << line;
        EXPECT_EQ(program->frame_pointer_writes, std::vector<std::uint32_t>{0})
            << line;
    }
}

TEST(DecodeProgram, AcceptsReadsOfTheFramePointer) {
    for (const auto* line :
         {"r1 = r10", "*(u64 *)(r10 - 8) = r10", "*(u64 *)(r10 - 8) = 1", "if r10 == r1 goto +0",
          "lock *(u64 *)(r10 - 8) += r10", "r0 = cmpxchg((u64 *)(r10 - 8), r0, r10)",
          "store_release((u64 *)(r10 - 8), r10)", "callx r10"}) {
        EXPECT_EQ(refusal(std::string(line) + "\nexit"), "accepted") << line;
    }
}

TEST(DecodeProgram, FindsSubprogramsFromCallsAddressesAndExtraEntries) {
    const auto insns = assembled("call f\nr1 = func(g) ll\nexit\nf: exit\ng: exit\nexit");
    const std::vector<std::uint32_t> extra{6};
    const auto program = decode_program(insns, extra);
    ASSERT_TRUE(program) << program.error().message;
    EXPECT_EQ(program->subprogs, (std::vector<std::uint32_t>{0, 4, 5, 6}));
    ASSERT_EQ(program->insns.size(), 7u);
    EXPECT_EQ(program->insns[1], program->insns[2]) << "the second slot repeats the first";
}

TEST(DecodeProgram, RefusesAnExtraEntryOutsideTheProgram) {
    const std::vector<std::uint32_t> extra{1};
    EXPECT_FALSE(decode_program(assembled("exit"), extra));
}

TEST(DecodeProgram, RefusesMoreThanTheKernelsLimit) {
    std::vector<Insn> insns(kMaxInsns, Insn{.code = 0x95});
    EXPECT_TRUE(decode_program(insns));
    insns.push_back(Insn{.code = 0x95});
    const auto program = decode_program(insns);
    ASSERT_FALSE(program);
    EXPECT_EQ(program.error().code, Errc::LimitExceeded);
}

} // namespace
} // namespace ebpfvm::isa
