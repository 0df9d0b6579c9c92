#include "command.hpp"

namespace ebpfvm::cli {
namespace {

constexpr const char* kSumOfFirstTwo = "r0 = *(u8 *)(r1 +0)\n"
                                       "r3 = *(u8 *)(r1 +1)\n"
                                       "r0 += r3\n"
                                       "exit\n";

TEST(RunOnce, MemoryIsR1AndItsSizeIsR2) {
    const TempDir dir;
    const auto sum = dir.file("sum.bin", bytecode(kSumOfFirstTwo));
    const Output output = ebpfvm_command({"run", sum, "--hex", "02 28"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, "r0     42 (0x2a)");
    EXPECT_CONTAINS(output.out, "insns  4");

    const auto size = dir.file("size.bin", bytecode("r0 = r2\nexit\n"));
    EXPECT_CONTAINS(ebpfvm_command({"run", size, "--hex", "010203"}).out, "r0     3 (0x3)");
    EXPECT_CONTAINS(ebpfvm_command({"run", size}).out, "r0     0 (0x0)");
}

TEST(RunOnce, JsonHasAllKeys) {
    const TempDir dir;
    const auto sum = dir.file("sum.bin", bytecode(kSumOfFirstTwo));
    const Output output = ebpfvm_command({"run", sum, "--hex", "0228", "--json"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(
        output.out,
        R"("type":"unspec","engine":"interp","mode":"checked","retval":42,"verdict":null,)");
    EXPECT_CONTAINS(output.out, R"("runs":1,"ns_per_run":)");
    EXPECT_CONTAINS(output.out, R"("insns_executed":4,"fault":null,"stats":null,"maps":[]})");
}

TEST(RunOnce, StatsCountRuns) {
    const TempDir dir;
    const auto sum = dir.file("sum.bin", bytecode(kSumOfFirstTwo));
    const std::vector<std::string> run = {"run", sum, "--hex", "0228", "--repeat", "5", "--stats"};
    const std::string text = ebpfvm_command(run).out;
    EXPECT_CONTAINS(text, ": 5 runs, ");
    EXPECT_CONTAINS(text, " ns per run");
    std::vector<std::string> json = run;
    json.push_back("--json");
    EXPECT_CONTAINS(ebpfvm_command(json).out, R"("stats":{"runs":5,"ns":)");
}

TEST(RunOnce, VerifiedProgramsRunWithoutChecks) {
    const TempDir dir;
    const auto program = dir.file("length.bin", bytecode("r2 = *(u32 *)(r1 +0)\n"
                                                         "r0 = *(u32 *)(r1 +4)\n"
                                                         "r0 -= r2\n"
                                                         "exit\n"));
    const Output output =
        ebpfvm_command({"run", program, "--type", "xdp", "--hex", "0228", "--verify", "--json"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, R"("mode":"verified","retval":2,)");
}

TEST(RunOnce, RejectionIsExplained) {
    const TempDir dir;
    const auto program =
        dir.file("unsafe.bin", bytecode("r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 +0)\nexit\n"));
    const Output output =
        ebpfvm_command({"run", program, "--type", "xdp", "--hex", "0228", "--verify"});
    EXPECT_EQ(output.exit_code, 2);
    EXPECT_EQ(output.out, "");
    EXPECT_CONTAINS(output.err, "packet-oob");
    EXPECT_CONTAINS(output.err, "help");
    EXPECT_CONTAINS(output.err, "ebpfvm: error: ");
}

TEST(RunOnce, FaultHasItsOwnExitCode) {
    const TempDir dir;
    const auto sum = dir.file("sum.bin", bytecode(kSumOfFirstTwo));
    const Output text = ebpfvm_command({"run", sum, "--hex", "02"});
    EXPECT_EQ(text.exit_code, 3);
    EXPECT_CONTAINS(text.out, "fault  out-of-bounds");
    const Output json = ebpfvm_command({"run", sum, "--hex", "02", "--json"});
    EXPECT_EQ(json.exit_code, 3);
    EXPECT_CONTAINS(json.out, R"("retval":null)");
    EXPECT_CONTAINS(json.out, R"("fault":{"kind":"out-of-bounds","memory":)");
    EXPECT_CONTAINS(json.out, R"("insn":1,"message":)");
}

TEST(RunOnce, BudgetStopsALoop) {
    const TempDir dir;
    const auto loop = dir.file("loop.bin", bytecode("goto -1\nexit\n"));
    const Output output = ebpfvm_command({"run", loop, "--budget", "1000"});
    EXPECT_EQ(output.exit_code, 3);
    EXPECT_CONTAINS(output.out, "budget-exhausted");
}

TEST(RunOnce, EachRepetitionGetsTheSameInput) {
    const TempDir dir;
    const auto increment = dir.file("increment.bin", bytecode("r0 = *(u8 *)(r1 +0)\n"
                                                              "r0 += 1\n"
                                                              "*(u8 *)(r1 +0) = r0\n"
                                                              "exit\n"));
    const Output output = ebpfvm_command(
        {"run", increment, "--hex", "05 ff", "--repeat", "1000", "--data-out", dir.path("out")});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, "r0     6 (0x6)");
    EXPECT_CONTAINS(output.out, "ns per run, 1000 runs");
    EXPECT_EQ(read_text(dir.path("out")), "\x06\xff");
}

TEST(RunOnce, RawBytecodeTakesItsTypeFromTheOption) {
    const TempDir dir;
    const auto pass = dir.file("pass.bin", bytecode("r0 = 2\nexit\n"));
    const Output output =
        ebpfvm_command({"run", pass, "--type", "xdp", "--hex", "00 11 22", "--json"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, R"("type":"xdp")");
    EXPECT_CONTAINS(output.out, R"("retval":2,"verdict":"XDP_PASS")");
}

TEST(RunOnce, GlobalsAreSetBeforeLoading) {
    const auto object = example("xdp_count");
    const Output output = ebpfvm_command({"run", object, "--hex", "00", "--json", "--global",
                                          "drop_port=0x50", "--global", "ports_lost=7"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, R"("drop_port":80)");
    EXPECT_CONTAINS(output.out, R"("ports_lost":7)");
}

TEST(RunOnce, WrongGlobalsAreExplained) {
    const auto object = example("xdp_count");
    const auto error_of = [&](const char* setting) {
        const Output output = ebpfvm_command({"run", object, "--hex", "00", "--global", setting});
        EXPECT_EQ(output.exit_code, 2) << setting;
        return output.err;
    };
    EXPECT_CONTAINS(error_of("drop_port"), "\"drop_port\" is not name=value");
    EXPECT_CONTAINS(error_of("no_such=1"), "no global \"no_such\", there are:");
    EXPECT_CONTAINS(error_of("drop_port=x"), "\"x\" is no integer of 4 bytes");
    EXPECT_CONTAINS(error_of("drop_port=4294967296"), "is no integer of 4 bytes");
    EXPECT_CONTAINS(error_of("drop_port=hex:00"), "drop_port");
}

TEST(RunOnce, MapsAreShownThroughBtf) {
    // An ARP frame. The key is an enum proto_class.
    const std::string arp = "ffffffffffff 020000000001 0806 0001 0800 06 04 0001 020000000001 "
                            "0a000001 000000000000 0a000002";
    const Output text = ebpfvm_command({"run", example("xdp_count"), "--hex", arp});
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_CONTAINS(text.out, "map proto_counts (hash, 1 of 64 entries)\n");
    EXPECT_CONTAINS(text.out, "packets: 1, bytes: 42");
    const Output json = ebpfvm_command({"run", example("xdp_count"), "--hex", arp, "--json"});
    EXPECT_CONTAINS(json.out, R"({"name":"proto_counts","type":"hash","max_entries":64,)"
                              R"("entry_count":1,"entries":[{"key":"ARP","value":{"packets":1,)"
                              R"("bytes":42)");
    EXPECT_CONTAINS(json.out, R"({"key":2,"values":[1],"sum":1})"); // verdicts, per CPU
}

} // namespace
} // namespace ebpfvm::cli
