#include "command.hpp"

namespace ebpfvm::cli {
namespace {

const std::string kTrim = std::string(EBPFVM_BPF_DIR) + "/xdp_trim.bpf.o";

TEST(Dump, XlatedShowsTheHostsStruct) {
    const Output output = ebpfvm_command({"dump", "xlated", kTrim});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, "; xdp_trim: xdp, 42 insns\n");
    EXPECT_CONTAINS(output.out, "    0: r2 = *(u64 *)(packet +16)\n");
    EXPECT_CONTAINS(output.out, "call xdp_adjust_tail\n");
    EXPECT_CONTAINS(output.out, "; \".bss\" +0\n");
}

TEST(Dump, XlatedShowsNoJumpsThatNoneTakes) {
    const TempDir dir;
    const auto program =
        dir.file("dead.bin", bytecode("r0 = *(u32 *)(r1 +12)\nr0 &= 1\nif r0 > 1 goto dead\n"
                                      "if r0 <= 1 goto out\ndead: r0 = 2\nout: exit\n"));
    EXPECT_CONTAINS(ebpfvm_command({"dump", "xlated", program, "--type", "xdp"}).out,
                    "2: goto +0\n    3: goto +1\n    4: goto +0\n    5: exit\n");
}

TEST(Dump, CheckedProgramsKeepTheirContext) {
    const Output output = ebpfvm_command({"dump", "xlated", kTrim, "--checked"});
    EXPECT_CONTAINS(output.out, "with checks\n");
    EXPECT_CONTAINS(output.out, "    0: r2 = *(u32 *)(r1 +0)\n");
}

TEST(Dump, JitedShowsMachineCodeInsnByInsn) {
    if (EBPFVM_HAS_JIT == 0) {
        GTEST_SKIP() << "no JIT in this build";
    }
    const Output output = ebpfvm_command({"dump", "jited", kTrim, "--source", "--facts"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, "bytes of machine code\n");
    EXPECT_CONTAINS(output.out, "xdp_trim.bpf.c:17: if (len < MIN_LEN) {\n"
                                "3: if r3 > 59 goto +13    ; r1=ctx\n"
                                "        cmp rcx, 0x3B\n"
                                "        ja ");
    EXPECT_CONTAINS(output.out, "behind the program\n");
}

TEST(Dump, IrShowsTheCallbackOfALoopInTheLoop) {
    if (EBPFVM_HAS_JIT == 0) {
        GTEST_SKIP() << "no JIT in this build";
    }
    const TempDir dir;
    const auto program = dir.file(
        "loop.bin", bytecode("r1 = 100\n*(u64 *)(r10 -8) = 0\nr2 = func(add) ll\nr3 = r10\n"
                             "r3 += -8\nr4 = 0\ncall 181\nr0 = *(u64 *)(r10 -8)\nr0 &= 1\nexit\n"
                             "add: r3 = *(u64 *)(r2 +0)\nr3 ^= r1\n*(u64 *)(r2 +0) = r3\n"
                             "r0 = 0\nexit\n"));
    const std::string ir = ebpfvm_command({"dump", "ir", program, "--type", "xdp"}).out;
    EXPECT_CONTAINS(ir, "in 1 loop");
    EXPECT_CONTAINS(ir, " < 100 ");
    EXPECT_EQ(ir.find("= call"), std::string::npos) << ir;
    EXPECT_EQ(ir.find("store"), std::string::npos) << ir;
}

TEST(Dump, BlindedConstantsAreNotShown) {
    if (!EBPFVM_HAS_JIT) {
        GTEST_SKIP() << "no JIT in this build";
    }
    const TempDir dir;
    const auto program = dir.file("constant.bin", bytecode("r0 = 0x1234567\nexit\n"));
    const auto machine_code = [&](std::vector<std::string> options) {
        options.insert(options.begin(), {"dump", "jited", program});
        const std::string text = ebpfvm_command(options).out;
        return text.substr(text.find("0: ") + std::string("0: r0 = 0x1234567").size());
    };
    EXPECT_CONTAINS(machine_code({}), "1234567");
    const std::string blinded = machine_code({"--blind-constants"});
    EXPECT_EQ(blinded.find("1234567"), std::string::npos) << blinded;
    EXPECT_CONTAINS(blinded, "xor eax");
}

TEST(Dump, RefusesWhatItCannotShow) {
    const TempDir dir;
    const std::string unsafe =
        dir.file("unsafe.bin", bytecode("r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 +0)\nexit\n"));
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"dump", "ast", kTrim},
          {"dump", "ir", kTrim, "--engine", "baseline"},
          {"dump", "ir", kTrim, "--without", "nothing"},
          {"dump", "jited", "no/such/file"},
          {"dump", "jited", kTrim, "--prog", "nope"},
          {"dump", "jited"},
          {"dump", "jited", unsafe, "--type", "xdp"},
          {"dump", "jited", kTrim, "--checked", "--facts"}}) {
        const Output output = ebpfvm_command(arguments);
        EXPECT_EQ(output.exit_code, 2) << arguments.back();
        EXPECT_TRUE(output.err.starts_with("ebpfvm: error: ")) << output.err;
        EXPECT_EQ(output.out, "");
    }
}

} // namespace
} // namespace ebpfvm::cli
