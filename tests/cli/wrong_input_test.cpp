// Whatever is wrong with the input: one line on stderr, exit code 2, nothing on stdout.
#include "command.hpp"

namespace ebpfvm::cli {
namespace {

void expect_error(const std::vector<std::string>& arguments, const std::string& part) {
    const Output output = ebpfvm_command(arguments);
    EXPECT_EQ(output.exit_code, 2) << output.out << output.err;
    EXPECT_EQ(output.out, "");
    EXPECT_EQ(output.err.substr(0, 15), "ebpfvm: error: ");
    EXPECT_EQ(output.err.find('\n'), output.err.size() - 1) << output.err;
    EXPECT_CONTAINS(output.err, part);
}

TEST(WrongInput, Usage) {
    expect_error({}, "no command given, there are: run, bench");
    expect_error({"fly"}, "unknown command \"fly\", there are: run, bench");
    expect_error({"run"}, "OBJ");
    expect_error({"run", "x.o", "--no-such"}, "--no-such");
    expect_error({"run", "x.o", "--pcap", "a", "--hex", "00"}, "--pcap");
    expect_error({"run", "x.o", "--write", "a"}, "--pcap");
    expect_error({"run", "x.o", "--repeat", "0"}, "--repeat");
    expect_error({"info", "x.o", "--color", "pink"}, "--color");
}

TEST(WrongInput, ObjectFiles) {
    const TempDir dir;
    for (const std::string command : {"run", "disasm", "info"}) {
        expect_error({command, dir.path("absent.o")}, "absent.o: No such file or directory");
        expect_error({command, dir.path("")}, "is a directory");
        expect_error({command, dir.file("empty.o", "")}, "empty.o: file is empty");
        expect_error({command, dir.file("odd.o", "12345")}, "odd.o");
        expect_error({command, dir.file("cut.o", "\x7f"
                                                 "ELF\x02\x01\x01")},
                     "cut.o");
    }
}

TEST(WrongInput, UnknownProgramListsThoseThatExist) {
    expect_error({"run", example("xdp_count"), "--prog", "nope", "--hex", "00"},
                 "no program \"nope\", there are: xdp_count (xdp)");
    expect_error({"disasm", example("xdp_count"), "--prog", "nope"}, "there are: xdp_count (xdp)");
}

TEST(WrongInput, ProgramTypes) {
    const TempDir dir;
    const auto program = dir.file("p.bin", bytecode("r0 = 0\nexit\n"));
    expect_error({"run", program, "--type", "nope"}, "unknown program type \"nope\"");
    expect_error({"run", program, "--type", "kprobe"}, "programs of type kprobe cannot run here");
    expect_error({"run", program, "--type", "xdp"}, "needs a packet: give --pcap, --data or --hex");
}

TEST(WrongInput, ProgramsThatAreRefused) {
    const TempDir dir;
    expect_error({"run", dir.file("p.bin", std::string(8, '\xff'))}, "insn 0");
    expect_error({"run", dir.file("q.bin", bytecode("call 4000\nexit\n"))}, "4000");
}

TEST(WrongInput, Captures) {
    const TempDir dir;
    const auto program = dir.file("p.bin", bytecode("r0 = 2\nexit\n"));
    const auto run_with = [&](const std::string& pcap) {
        return std::vector<std::string>{"run", program, "--type", "xdp", "--pcap", pcap};
    };
    expect_error(run_with(dir.path("absent.pcap")), "absent.pcap: No such file or directory");
    expect_error(run_with(dir.path("")), "is a directory");
    expect_error(run_with(dir.file("empty.pcap", "")), "empty.pcap");
    expect_error(run_with(dir.file("text.pcap", "this is no capture, but long enough")),
                 "text.pcap: unknown file format");
    expect_error(run_with(dir.file("cooked.pcap", pcap_of({"xx"}, 113))),
                 "link type is LINUX_SLL (113), only Ethernet is supported");
}

TEST(WrongInput, OutputFiles) {
    const TempDir dir;
    const auto program = dir.file("p.bin", bytecode("r0 = 2\nexit\n"));
    const auto pcap = dir.file("in.pcap", pcap_of({"packet"}));
    const std::vector<std::string> run = {"run", program, "--type", "xdp", "--pcap", pcap};
    const auto write_to = [&](const std::string& path) {
        std::vector<std::string> arguments = run;
        arguments.insert(arguments.end(), {"--write", path});
        return arguments;
    };
    expect_error(write_to(pcap), "--write would overwrite");
    expect_error(write_to("-"), "standard output is the report's");
    expect_error(write_to(dir.path("no/such/dir")), "No such file or directory");
    EXPECT_EQ(read_text(pcap), pcap_of({"packet"}));
}

TEST(WrongInput, HexAndAssembly) {
    const TempDir dir;
    const auto program = dir.file("p.bin", bytecode("r0 = 2\nexit\n"));
    expect_error({"run", program, "--hex", "0g"}, "\"0g\" after 0 bytes is not a byte");
    const auto text = dir.file("p.s", "r0 = 1\nr0 ?= 2\nexit\n");
    expect_error({"asm", text}, "p.s:2: ");
    expect_error({"asm", dir.file("none.s", "; nothing\n")}, "none.s");
}

TEST(WrongInput, Conformance) {
    const TempDir dir;
    expect_error({"conformance", dir.path("")}, "contains no .data file");
    expect_error({"conformance", dir.path("absent")}, "absent: No such file or directory");
}

} // namespace
} // namespace ebpfvm::cli
