// disasm, asm, info, and what all commands share.
#include "command.hpp"

namespace ebpfvm::cli {
namespace {

TEST(Asm, WritesBytecodeOrHex) {
    const TempDir dir;
    const auto text = dir.file("p.s", "r0 = 2\nexit\n");
    EXPECT_EQ(ebpfvm_command({"asm", text}).out, bytecode("r0 = 2\nexit\n"));
    EXPECT_EQ(ebpfvm_command({"asm", text, "-o", dir.path("p.bin")}).exit_code, 0);
    EXPECT_EQ(read_text(dir.path("p.bin")), bytecode("r0 = 2\nexit\n"));
    EXPECT_EQ(ebpfvm_command({"asm", "-", "--hex"}, "r0 = 2\nexit\n").out,
              "b7 00 00 00 02 00 00 00\n"
              "95 00 00 00 00 00 00 00\n");
}

TEST(Asm, BpftKeepsTheProgramType) {
    const TempDir dir;
    const auto text = dir.file("p.s", "r0 = 2\nexit\n");
    const Output bpft = ebpfvm_command({"asm", text, "--bpft", "--type", "xdp"});
    EXPECT_EQ(bpft.out, "prog main\nprog_type 6 (xdp)\ninsns 2\n"
                        "00000002000000b7\n0000000000000095\nend\n");
    const Output run = ebpfvm_command({"run", dir.file("p.bpft", bpft.out), "--hex", "00"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_CONTAINS(run.out, "XDP_PASS");
}

TEST(Disasm, AnnotatesNumbersWithNames) {
    const TempDir dir;
    const auto program =
        dir.file("p.bin", bytecode("r1 = 1\nif r1 == 1 goto +1\ncall 5\nr0 = 0\nexit\n"));
    const Output output = ebpfvm_command({"disasm", program});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, "1: if r1 == 1 goto +1                      ; to 3\n");
    EXPECT_CONTAINS(output.out, "2: call 5                                  ; ktime_get_ns\n");
}

TEST(Disasm, PlainTextAssemblesToTheSameBytes) {
    const TempDir dir;
    const std::string code = bytecode("r1 = 0x1122334455667788 ll\n"
                                      "if r1 s> -7 goto +1\n"
                                      "w0 = w1\n"
                                      "exit\n");
    const Output text = ebpfvm_command({"disasm", dir.file("p.bin", code), "--plain"});
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_EQ(ebpfvm_command({"asm", "-"}, text.out).out, code);
}

TEST(Disasm, ShowsSourceLinesAndMaps) {
    const Output output = ebpfvm_command({"disasm", example("xdp_count"), "--source"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, "; xdp_count: xdp, section \"xdp\", ");
    EXPECT_CONTAINS(output.out, "xdp_count.bpf.c:");
    EXPECT_CONTAINS(output.out, "; proto_counts\n");
    EXPECT_CONTAINS(output.out, "; map_lookup_elem\n");
    EXPECT_CONTAINS(output.out, "; drop_port\n");
}

TEST(Info, ListsProgramsMapsAndGlobals) {
    const Output text = ebpfvm_command({"info", example("xdp_count"), "--relocs"});
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_CONTAINS(text.out, "license \"Dual MIT/GPL\"");
    EXPECT_CONTAINS(text.out, "xdp_count                xdp              section \"xdp\", ");
    EXPECT_CONTAINS(text.out, "proto_counts             hash             key 4, value 16, ");
    EXPECT_CONTAINS(text.out, "drop_port                .rodata");
    const Output json = ebpfvm_command({"info", example("xdp_count"), "--json"});
    EXPECT_CONTAINS(json.out, R"({"name":"xdp_count","section":"xdp","type":"xdp","insns":)");
    EXPECT_CONTAINS(json.out, R"({"name":"proto_counts","type":"hash","key_size":4,)");
    EXPECT_CONTAINS(json.out, R"("core_relocations":)");
}

TEST(AllCommands, HelpHasAnExample) {
    EXPECT_CONTAINS(ebpfvm_command({"--help"}).out, "Example: ebpfvm run ");
    for (const std::string name : {"run", "disasm", "asm", "info", "conformance"}) {
        const Output output = ebpfvm_command({name, "--help"});
        EXPECT_EQ(output.exit_code, 0);
        EXPECT_CONTAINS(output.out, "Example: ebpfvm " + name + " ");
        EXPECT_EQ(output.err, "");
    }
}

TEST(AllCommands, VersionIsOneLine) {
    EXPECT_EQ(ebpfvm_command({"--version"}).out.substr(0, 7), "ebpfvm ");
}

TEST(AllCommands, ColorIsOffUnlessAsked) {
    const auto object = example("xdp_count");
    EXPECT_FALSE(contains(ebpfvm_command({"info", object}).out, "\x1b["));
    EXPECT_CONTAINS(ebpfvm_command({"info", object, "--color", "always"}).out, "\x1b[1m");
    EXPECT_CONTAINS(ebpfvm_command({"--color", "always", "info", object}).out, "\x1b[1m");
}

} // namespace
} // namespace ebpfvm::cli
