// --gdb, --perf-map and --jitdump, with gdb itself where it is installed.
#include "command.hpp"

#include <set>

namespace ebpfvm::cli {
namespace {

const std::string kSource = "xdp_subprogs.bpf.c";
const std::string kPacket = [] {
    std::string hex;
    for (int i = 0; i < 64; ++i) {
        hex += "00 ";
    }
    return hex;
}();

std::vector<std::string> run_of(const std::string& object, std::vector<std::string> options) {
    std::vector<std::string> arguments = {"run",   example(object), "--hex",
                                          kPacket, "--engine",      "baseline"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return arguments;
}

// Where the line is that contains `text`, as debuggers say it.
std::string place_of(const std::string& text) {
    std::ifstream in(EBPFVM_SOURCE_DIR "/examples/bpf/" + kSource);
    int number = 1;
    for (std::string line; std::getline(in, line); ++number) {
        if (contains(line, text)) {
            return kSource + ":" + std::to_string(number);
        }
    }
    ADD_FAILURE() << "no such line: " << text;
    return "";
}

std::string gdb(const std::vector<std::string>& commands, const std::string& program,
                const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"-nx", "-batch", "-ex", "set breakpoint pending on"};
    for (const std::string& command : commands) {
        all.insert(all.end(), {"-ex", command});
    }
    all.insert(all.end(), {"--args", program});
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run_file("gdb", all).out;
}

bool is_in_path(const std::string& name) {
    std::string path = std::getenv("PATH");
    for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
        end = path.find(':', begin);
        if (access((path.substr(begin, end - begin) + "/" + name).c_str(), X_OK) == 0) {
            return true;
        }
    }
    return false;
}

// Do these texts follow each other?
void expect_sequence(const std::string& text, const std::vector<std::string>& parts) {
    std::size_t at = 0;
    for (const std::string& part : parts) {
        const std::size_t found = text.find(part, at);
        ASSERT_NE(found, std::string::npos) << "\"" << part << "\" does not follow in:\n" << text;
        at = found + part.size();
    }
}

class MachineCode : public ::testing::Test {
  protected:
    void SetUp() override {
        if (EBPFVM_HAS_JIT == 0) {
            GTEST_SKIP() << "no JIT in this build";
        }
    }
};

class Gdb : public MachineCode {
  protected:
    void SetUp() override {
        MachineCode::SetUp();
        if (IsSkipped()) {
            return;
        }
        if (!is_in_path("gdb")) {
            GTEST_SKIP() << "gdb is not installed";
        }
        if (!contains(gdb({"run"}, "/bin/true", {}), "exited normally")) {
            GTEST_SKIP() << "gdb may not run programs here (ptrace is forbidden)";
        }
    }
};

TEST_F(Gdb, StopsAtASourceLineAndSeesAllCallers) {
    const std::string line = place_of("return sum;");
    for (const std::vector<std::string>& options :
         {std::vector<std::string>{"--gdb"}, {"--gdb", "--verify"}}) {
        const std::string out = gdb({"break " + line, "run", "bt", "finish"},
                                    built_program("ebpfvm"), run_of("xdp_subprogs", options));
        expect_sequence(out, {"Breakpoint 1, ", "address_score () at ", line, // where it stopped
                              "#0 ", "address_score () at ", line,            //
                              "#1 ", "in packet_score () at ", place_of("address_score(eth)"),
                              "#2 ", "in xdp_subprogs () at ", place_of("packet_score(ctx))"),
                              "#3 ", "in ebpfvm_enter", "in ebpfvm::", "main (",
                              "in packet_score () at "}); // after `finish`
    }
}

TEST_F(Gdb, StopsAtAProgramByItsName) {
    const std::string out = gdb({"break xdp_subprogs", "run", "bt 1"}, built_program("ebpfvm"),
                                run_of("xdp_subprogs", {"--gdb"}));
    expect_sequence(out, {"Breakpoint 1, ", "xdp_subprogs () at ",
                          place_of("if (is_suspicious(packet_score(ctx)))")});
}

TEST_F(Gdb, SeesTheProgramBelowAHelper) {
    const std::string out = gdb({"break ebpfvm::jit::call_helper_checked", "run", "bt"},
                                built_program("ebpfvm"), run_of("xdp_count", {"--gdb"}));
    expect_sequence(out, {"#0 ", "call_helper_checked", "#1 ", "in xdp_count () at ",
                          "xdp_count.bpf.c:", "main ("});
}

TEST_F(Gdb, KnowsNothingUnlessAsked) {
    const std::string out = gdb({"break xdp_subprogs", "run", "bt"}, built_program("ebpfvm"),
                                run_of("xdp_subprogs", {}));
    EXPECT_CONTAINS(out, "xdp_subprogs (xdp)\n"); // it ran
    EXPECT_FALSE(contains(out, "Breakpoint 1, ")) << out;
}

std::set<std::string> perf_maps() {
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator("/tmp")) {
        const std::string name = entry.path().filename();
        if (name.starts_with("perf-") && name.ends_with(".map")) {
            files.insert(entry.path());
        }
    }
    return files;
}

TEST_F(MachineCode, PerfMapIsWhereProfilersLook) {
    const std::set<std::string> before = perf_maps();
    const Output output = ebpfvm_command(run_of("xdp_subprogs", {"--perf-map"}));
    EXPECT_EQ(output.exit_code, 0) << output.err;
    int found = 0;
    for (const std::string& file : perf_maps()) {
        if (!before.contains(file) && contains(read_text(file), " address_score\n")) {
            ++found;
            std::filesystem::remove(file);
        }
    }
    EXPECT_EQ(found, 1);
}

TEST_F(MachineCode, JitdumpGoesToTheGivenDirectory) {
    const TempDir dir;
    for (const std::string command : {"run", "bench"}) {
        std::filesystem::create_directory(dir.path(command));
        const Output output =
            ebpfvm_command({command, example("xdp_subprogs"), "--hex", kPacket, "--engine",
                            "baseline", "--repeat", "10", "--jitdump", dir.path(command)});
        EXPECT_EQ(output.exit_code, 0) << output.err;
        int found = 0;
        for (const auto& entry : std::filesystem::directory_iterator(dir.path(command))) {
            ++found;
            EXPECT_CONTAINS(read_text(entry.path()), "address_score");
        }
        EXPECT_EQ(found, 1);
    }
}

TEST_F(MachineCode, WrongOptionsAreOneClearError) {
    const TempDir dir;
    const std::string object = example("xdp_subprogs");
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
        {run_of("xdp_subprogs", {"--jitdump", dir.path("absent")}),
         ".dump: No such file or directory\n"},
        {run_of("xdp_subprogs", {"--jitdump", dir.file("file", "")}), ".dump: Not a directory\n"},
        {run_of("xdp_subprogs", {"--jitdump", ""}), "--jitdump"},
        {{"run", object, "--hex", kPacket, "--gdb"}, "engine interp makes none"},
        {{"bench", object, "--hex", kPacket, "--engine", "interp", "--perf-map"},
         "engine interp makes none"},
    };
    for (const auto& [arguments, part] : cases) {
        const Output output = ebpfvm_command(arguments);
        EXPECT_EQ(output.exit_code, 2) << output.out;
        EXPECT_EQ(output.out, "");
        EXPECT_TRUE(output.err.starts_with("ebpfvm: error: ")) << output.err;
        EXPECT_EQ(output.err.find('\n'), output.err.size() - 1) << output.err;
        EXPECT_CONTAINS(output.err, part);
    }
}

} // namespace
} // namespace ebpfvm::cli
