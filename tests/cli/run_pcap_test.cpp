#include "command.hpp"

namespace ebpfvm::cli {
namespace {

// Verdict is the first byte of the packet.
constexpr const char* kFirstByte = "r2 = *(u32 *)(r1 +0)\n"
                                   "r3 = *(u32 *)(r1 +4)\n"
                                   "r4 = r2\n"
                                   "r4 += 1\n"
                                   "r0 = 0\n"
                                   "if r4 > r3 goto +1\n"
                                   "r0 = *(u8 *)(r2 +0)\n"
                                   "exit\n";

std::string packet(char first, std::size_t size = 60) {
    std::string bytes(size, 'x');
    bytes[0] = first;
    return bytes;
}

TEST(RunPcap, CountsVerdicts) {
    const TempDir dir;
    const auto program = dir.file("first.bin", bytecode(kFirstByte));
    const auto pcap = dir.file("in.pcap", pcap_of({packet(1), packet(2), packet(2), packet(9)}));
    const Output text = ebpfvm_command({"run", program, "--type", "xdp", "--pcap", pcap});
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_CONTAINS(text.out, "4 packets");
    EXPECT_CONTAINS(text.out, "XDP_PASS                    2\n");
    EXPECT_CONTAINS(text.out, "unknown                     1\n");
    EXPECT_FALSE(contains(text.out, "XDP_TX"));
    EXPECT_CONTAINS(
        ebpfvm_command({"run", program, "--type", "xdp", "--pcap", pcap, "--stats"}).out,
        ": 4 runs, ");
    const Output json = ebpfvm_command({"run", program, "--type", "xdp", "--pcap", pcap, "--json"});
    EXPECT_CONTAINS(json.out, R"("packets":4,"verdicts":{"XDP_ABORTED":0,"XDP_DROP":1,)"
                              R"("XDP_PASS":2,"XDP_TX":0,"XDP_REDIRECT":0,"unknown":1},)"
                              R"("faults":{},"fault":null,"packets_per_s":)");
    EXPECT_CONTAINS(json.out, R"("written":null,"pcap_error":null,"maps":[]})");
}

TEST(RunPcap, LimitStopsEarly) {
    const TempDir dir;
    const auto program = dir.file("first.bin", bytecode(kFirstByte));
    const std::vector<std::string> packets(200, packet(2));
    const auto pcap = dir.file("in.pcap", pcap_of(packets));
    const auto count = [&](const char* limit) {
        return ebpfvm_command(
                   {"run", program, "--type", "xdp", "--pcap", pcap, "--limit", limit, "--json"})
            .out;
    };
    EXPECT_CONTAINS(count("100"), R"("packets":100,)");
    EXPECT_CONTAINS(count("64"), R"("packets":64,)");
    EXPECT_CONTAINS(count("1000"), R"("packets":200,)");
}

TEST(RunPcap, WritesPassedPackets) {
    const TempDir dir;
    const auto program = dir.file("first.bin", bytecode(kFirstByte));
    const auto pcap =
        dir.file("in.pcap", pcap_of({packet(1), packet(2), packet(0), packet(3, 70), packet(4)}));
    const auto passed = dir.path("passed.pcap");
    const Output output = ebpfvm_command(
        {"run", program, "--type", "xdp", "--pcap", pcap, "--write", passed, "--json"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, R"("written":3)");
    const Output again =
        ebpfvm_command({"run", program, "--type", "xdp", "--pcap", passed, "--json"});
    EXPECT_CONTAINS(again.out, R"("packets":3,"verdicts":{"XDP_ABORTED":0,"XDP_DROP":0,)"
                               R"("XDP_PASS":1,"XDP_TX":1,"XDP_REDIRECT":1)");
}

TEST(RunPcap, SocketFilterCutsPackets) {
    const TempDir dir;
    const auto program = dir.file("cut.bin", bytecode("r0 = 20\nexit\n"));
    const auto pcap = dir.file("in.pcap", pcap_of({packet(1), packet(2, 10)}));
    const auto passed = dir.path("passed.pcap");
    const Output output = ebpfvm_command(
        {"run", program, "--type", "socket_filter", "--pcap", pcap, "--write", passed, "--json"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, R"("verdicts":{"drop":0,"accept":2})");
    EXPECT_EQ(read_text(passed).size(), 24U + 16 + 20 + 16 + 10);
}

TEST(RunPcap, FaultsAreCountedAndDoNotFailTheCommand) {
    const TempDir dir;
    const auto program = dir.file("read.bin", bytecode("r2 = *(u32 *)(r1 +0)\n"
                                                       "r0 = *(u8 *)(r2 +59)\n"
                                                       "r0 = 2\n"
                                                       "exit\n"));
    const auto pcap = dir.file("in.pcap", pcap_of({packet(1), packet(1, 20), packet(1, 30)}));
    const Output text = ebpfvm_command({"run", program, "--type", "xdp", "--pcap", pcap});
    EXPECT_EQ(text.exit_code, 0) << text.err;
    EXPECT_CONTAINS(text.out, "fault out-of-bounds");
    EXPECT_CONTAINS(text.out, "first at packet 2: out-of-bounds: ");
    const Output json = ebpfvm_command({"run", program, "--type", "xdp", "--pcap", pcap, "--json"});
    EXPECT_CONTAINS(json.out, R"("XDP_PASS":1,)");
    EXPECT_CONTAINS(json.out, R"("faults":{"out-of-bounds":2},"fault":{"kind":"out-of-bounds")");
    EXPECT_CONTAINS(json.out, R"("packet":2})");
}

TEST(RunPcap, TruncatedCaptureIsUsedAsFarAsItGoes) {
    const TempDir dir;
    const auto program = dir.file("first.bin", bytecode(kFirstByte));
    const std::string whole = pcap_of({packet(2), packet(2)});
    const auto pcap = dir.file("cut.pcap", whole.substr(0, whole.size() - 5));
    const Output output =
        ebpfvm_command({"run", program, "--type", "xdp", "--pcap", pcap, "--json"});
    EXPECT_EQ(output.exit_code, 0);
    EXPECT_CONTAINS(output.err, "ebpfvm: warning: " + pcap + ": truncated dump file");
    EXPECT_CONTAINS(output.err, "after 1 packets\n");
    EXPECT_CONTAINS(output.out, R"("packets":1,)");
    EXPECT_CONTAINS(output.out, R"("pcap_error":")");
}

TEST(RunPcap, EmptyCaptureIsNoError) {
    const TempDir dir;
    const auto program = dir.file("first.bin", bytecode(kFirstByte));
    const auto pcap = dir.file("in.pcap", pcap_of({}));
    const Output output = ebpfvm_command({"run", program, "--type", "xdp", "--pcap", pcap});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, "0 packets\n");
}

TEST(RunPcap, PacketsGoToVirtualCpusInTurn) {
    const TempDir dir;
    const std::vector<std::string> packets(10, packet(2, 14));
    const auto pcap = dir.file("in.pcap", pcap_of(packets));
    const Output output =
        ebpfvm_command({"run", example("xdp_count"), "--pcap", pcap, "--cpus", "3", "--json"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, R"("values":[4,3,3],"sum":10})");
}

TEST(RunPcap, RingbufRecordsAreCountedAndShown) {
    const TempDir dir;
    std::string tcp = packet('\xff', 60);
    const std::vector<std::string> packets(3000, tcp);
    const auto pcap = dir.file("in.pcap", pcap_of(packets));
    const Output output = ebpfvm_command(
        {"run", example("xdp_ringbuf_events"), "--pcap", pcap, "--json", "--map-entries", "2"});
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_CONTAINS(output.out, R"("type":"ringbuf")");
    EXPECT_CONTAINS(output.out, R"("records":[)");
}

} // namespace
} // namespace ebpfvm::cli
