// Debuggers, profilers and the C++ runtime see what machine code does.
#include "ebpfvm/ebpfvm.hpp"
#include "jit/debug/gdb.hpp"
#include "jit/jit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <elf.h>
#include <execinfo.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <sys/ucontext.h>
#include <thread>
#include <unistd.h>
#include <unwind.h>

extern "C" {
struct jit_code_entry {
    jit_code_entry* next_entry;
    jit_code_entry* prev_entry;
    const char* symfile_addr;
    std::uint64_t symfile_size;
};
struct jit_descriptor {
    std::uint32_t version;
    std::uint32_t action_flag;
    jit_code_entry* relevant_entry;
    jit_code_entry* first_entry;
};
extern jit_descriptor __jit_debug_descriptor;
}

namespace ebpfvm::test {
namespace {

class TempDir {
  public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "ebpfvm-XXXXXX").string();
        path_ = mkdtemp(name.data());
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string path() const { return path_; }

  private:
    std::filesystem::path path_;
};

std::string read_text(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

Object object_of(const std::string& assembly, std::vector<MapSpec> maps = {}) {
    return Object::from_insns("test", ProgType::Unspec, assemble(assembly).value(),
                              std::move(maps));
}

Object example(const std::string& name) {
    auto object = load_object_file(EBPFVM_BPF_DIR "/" + name + ".bpf.o");
    EXPECT_TRUE(object) << to_string(object.error());
    return *std::move(object);
}

// How a program becomes machine code.
struct Way {
    ExecMode mode = ExecMode::Checked;
    Engine engine = Engine::Baseline;
};

Module load(Vm& vm, const Object& object, const Way& way = {}) {
    auto module = vm.load(object, {.mode = way.mode, .engine = way.engine});
    EXPECT_TRUE(module) << to_string(module.error());
    return *std::move(module);
}

constexpr Way kWays[] = {
    {}, {.mode = ExecMode::Verified}, {.mode = ExecMode::Verified, .engine = Engine::Jit}};

// perf's map of this process. Removed at the end: all tests of the process append to it.
class PerfMapFile {
  public:
    struct Line {
        std::uint64_t begin;
        std::uint64_t size;
        std::string name;
    };

    PerfMapFile() { std::filesystem::remove(path_); }
    PerfMapFile(const PerfMapFile&) = delete;
    PerfMapFile& operator=(const PerfMapFile&) = delete;
    ~PerfMapFile() { std::filesystem::remove(path_); }

    [[nodiscard]] std::vector<Line> lines() const {
        std::ifstream in(path_);
        std::vector<Line> lines;
        for (Line line; in >> std::hex >> line.begin >> line.size >> line.name;) {
            lines.push_back(line);
        }
        EXPECT_TRUE(in.eof()) << "a line that is not \"BEGIN SIZE NAME\"";
        return lines;
    }

  private:
    std::string path_ = "/tmp/perf-" + std::to_string(getpid()) + ".map";
};

bool has_name(const std::vector<PerfMapFile::Line>& lines, std::string_view name) {
    return std::ranges::find(lines, name, &PerfMapFile::Line::name) != lines.end();
}

TEST(SeeInside, PerfMapNamesAllFunctions) {
    const PerfMapFile file;
    Vm vm({.jit_debug = {.perf_map = true}});
    const Module module = load(vm, example("xdp_subprogs"));
    auto lines = file.lines();
    for (const std::string_view name :
         {"ebpfvm_enter", "ebpfvm_find", "xdp_subprogs", "packet_score", "address_score",
          "score_of_size", "is_suspicious"}) {
        EXPECT_TRUE(has_name(lines, name)) << name;
    }
    // Without gaps, but for what all programs share, which lies elsewhere.
    std::erase_if(lines, [](const PerfMapFile::Line& line) {
        return line.name == "ebpfvm_enter" || line.name == "ebpfvm_find";
    });
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        EXPECT_TRUE(i == 0 || lines[i].begin == lines[i - 1].begin + lines[i - 1].size);
        size += lines[i].size;
    }
    EXPECT_EQ(size, module.programs().front().load_cost().code_bytes);
}

TEST(SeeInside, SubprogramsWithoutNamesAreCalledByTheirPlace) {
    const PerfMapFile file;
    Vm vm({.jit_debug = {.perf_map = true}});
    const Module module = load(vm, object_of("call pc+1\nexit\nr0 = 1\nexit"));
    EXPECT_TRUE(has_name(file.lines(), "test"));
    EXPECT_TRUE(has_name(file.lines(), "test_insn_2"));
}

// Reads what perf would read.
class DumpReader {
  public:
    explicit DumpReader(std::string bytes) : bytes_(std::move(bytes)) {}
    [[nodiscard]] bool at_end() const { return at_ == bytes_.size(); }
    [[nodiscard]] std::size_t at() const { return at_; }
    void go_to(std::size_t at) { at_ = at; }
    template <class T>
    T read() {
        T value{};
        EXPECT_LE(at_ + sizeof value, bytes_.size());
        if (at_ + sizeof value <= bytes_.size()) {
            std::memcpy(&value, bytes_.data() + at_, sizeof value);
        }
        at_ += sizeof value;
        return value;
    }
    std::string read_string() {
        const std::string text = bytes_.c_str() + at_;
        at_ += text.size() + 1;
        return text;
    }
    std::string_view read_bytes(std::size_t size) {
        at_ += size;
        return std::string_view(bytes_).substr(at_ - size, size);
    }

  private:
    std::string bytes_;
    std::size_t at_ = 0;
};

struct DumpedFunction {
    std::string name;
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
    std::vector<std::uint32_t> lines{};
};

std::vector<std::uint32_t> read_lines(DumpReader& in, std::uint64_t& function) {
    function = in.read<std::uint64_t>();
    const auto count = in.read<std::uint64_t>();
    std::vector<std::uint32_t> lines;
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto address = in.read<std::uint64_t>();
        EXPECT_GE(address, last);
        last = address;
        lines.push_back(in.read<std::uint32_t>());
        in.read<std::uint32_t>(); // discriminator
        EXPECT_TRUE(in.read_string().ends_with("xdp_subprogs.bpf.c"));
    }
    return lines;
}

std::vector<DumpedFunction> read_dump(const std::string& path) {
    DumpReader in(read_text(path));
    EXPECT_EQ(in.read<std::uint32_t>(), 0x4a695444U);
    EXPECT_EQ(in.read<std::uint32_t>(), 1U);
    EXPECT_EQ(in.read<std::uint32_t>(), 40U);
    EXPECT_EQ(in.read<std::uint32_t>(), unsigned(EM_X86_64));
    in.read<std::uint32_t>();
    EXPECT_EQ(in.read<std::uint32_t>(), std::uint32_t(getpid()));
    auto last = in.read<std::uint64_t>();
    EXPECT_EQ(in.read<std::uint64_t>(), 0U); // flags
    std::vector<DumpedFunction> functions;
    std::uint64_t announced = 0; // by a debug record, which comes first
    std::vector<std::uint32_t> lines;
    while (!in.at_end() && !::testing::Test::HasFailure()) {
        const std::size_t begin = in.at();
        const auto id = in.read<std::uint32_t>();
        const auto size = in.read<std::uint32_t>();
        const auto time = in.read<std::uint64_t>();
        EXPECT_GE(time, last);
        last = time;
        if (id == 2) {
            lines = read_lines(in, announced);
        } else {
            EXPECT_EQ(id, 0U);
            EXPECT_EQ(in.read<std::uint32_t>(), std::uint32_t(getpid()));
            in.read<std::uint32_t>(); // thread
            in.read<std::uint64_t>(); // vma
            DumpedFunction function;
            function.begin = in.read<std::uint64_t>();
            function.size = in.read<std::uint64_t>();
            EXPECT_EQ(in.read<std::uint64_t>(), functions.size()); // index
            function.name = in.read_string();
            const std::string_view code = in.read_bytes(function.size);
            EXPECT_EQ(std::memcmp(code.data(), reinterpret_cast<const void*>(function.begin),
                                  code.size()),
                      0);
            if (announced == function.begin) {
                function.lines = std::move(lines);
            }
            functions.push_back(std::move(function));
        }
        EXPECT_EQ(in.at(), begin + size);
        in.go_to(begin + size);
    }
    return functions;
}

std::uint32_t line_with(const std::string& text) {
    std::ifstream in(EBPFVM_SOURCE_DIR "/examples/bpf/xdp_subprogs.bpf.c");
    std::uint32_t number = 1;
    for (std::string line; std::getline(in, line); ++number) {
        if (line.find(text) != std::string::npos) {
            return number;
        }
    }
    ADD_FAILURE() << "no such line: " << text;
    return 0;
}

TEST(SeeInside, JitdumpHasCodeNamesAndLines) {
    const TempDir dir;
    Vm first({.jit_debug = {.jitdump = dir.path()}});
    Vm second({.jit_debug = {.jitdump = dir.path()}}); // they share the file
    const Module a = load(first, example("xdp_subprogs"));
    const Module b = load(second, example("xdp_subprogs"));
    const auto functions = read_dump(dir.path() + "/jit-" + std::to_string(getpid()) + ".dump");
    EXPECT_EQ(std::ranges::count(functions, "score_of_size", &DumpedFunction::name), 2);
    const auto score = std::ranges::find(functions, "score_of_size", &DumpedFunction::name);
    ASSERT_NE(score, functions.end());
    ASSERT_FALSE(score->lines.empty());
    const auto [first_line, last_line] = std::ranges::minmax(score->lines);
    EXPECT_GE(first_line, line_with("__u32 score_of_size("));
    EXPECT_EQ(last_line, line_with("return step < SCORES"));
    const auto enter = std::ranges::find(functions, "ebpfvm_enter", &DumpedFunction::name);
    ASSERT_NE(enter, functions.end());
    EXPECT_TRUE(enter->lines.empty());
}

TEST(SeeInside, FilesThatCannotBeWrittenAreAnErrorOfLoad) {
    const Object object = object_of("r0 = 1\nexit");
    Vm vm({.jit_debug = {.jitdump = "/no/such/dir"}});
    const auto module = vm.load(object, {.engine = Engine::Baseline});
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code, Errc::Io);
    EXPECT_EQ(module.error().message,
              "/no/such/dir/jit-" + std::to_string(getpid()) + ".dump: No such file or directory");
    EXPECT_TRUE(vm.load(object)) << "there is no machine code to tell of";
}

TEST(SeeInside, NeverFollowsALink) {
    const TempDir dir;
    const std::string target = dir.path() + "/target";
    std::filesystem::create_symlink(target,
                                    dir.path() + "/jit-" + std::to_string(getpid()) + ".dump");
    Vm vm({.jit_debug = {.jitdump = dir.path()}});
    EXPECT_FALSE(vm.load(object_of("r0 = 1\nexit"), {.engine = Engine::Baseline}));
    EXPECT_FALSE(std::filesystem::exists(target));
}

std::size_t known_to_gdb() {
    std::size_t count = 0;
    const jit_code_entry* last = nullptr;
    for (const auto* entry = __jit_debug_descriptor.first_entry; entry != nullptr;
         entry = entry->next_entry) {
        EXPECT_EQ(entry->prev_entry, last);
        EXPECT_EQ(std::string_view(entry->symfile_addr, SELFMAG), ELFMAG);
        last = entry;
        ++count;
    }
    return count;
}

TEST(SeeInside, GdbKnowsCodeAsLongAsItLives) {
    EXPECT_EQ(__jit_debug_descriptor.version, 1U);
    const std::size_t before = known_to_gdb();
    {
        Vm vm({.jit_debug = {.gdb = true}});
        const Object object = object_of("r0 = 7\nexit");
        auto first = std::make_unique<Module>(load(vm, object));
        EXPECT_EQ(known_to_gdb(), before + 2); // it, and what enters it
        const Module second = load(vm, object);
        EXPECT_EQ(known_to_gdb(), before + 3);
        first.reset();
        EXPECT_EQ(known_to_gdb(), before + 2);
        EXPECT_EQ(second.programs().front().run(std::span<std::byte>()).r0, 7U);
    }
    EXPECT_EQ(known_to_gdb(), before);
}

TEST(SeeInside, ManyThreadsMayTellGdbAndTheRuntime) {
    const std::size_t before = known_to_gdb();
    const Object object = example("xdp_subprogs");
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&object] {
                for (int i = 0; i < 20; ++i) {
                    Vm vm({.jit_debug = {.gdb = true, .unwind = true}});
                    const Module module = load(vm, object);
                }
            });
        }
    }
    EXPECT_EQ(known_to_gdb(), before);
}

TEST(SeeInside, NoMemoryIsWritableAndExecutable) {
    Vm vm({.jit_debug = {.gdb = true, .unwind = true}});
    const Module module = load(vm, object_of("r0 = 1\nexit"));
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        EXPECT_NE(line.substr(line.find(' ') + 1, 3), "rwx") << line;
    }
}

// r6..r9 are used in both frames; a CPU is held.
const char* const kThrowsInASubprogram = "r6 = 5\nr7 = 6\ncall 8\ncall pc+2\nr0 = r6\nexit\n"
                                         "r7 = 3\nr8 = 4\nr9 = 5\nr6 = 9\ncall 0x10000\n"
                                         "r0 = r7\nexit";
// The same without: if the function needs none, there is no state of the run.
const char* const kThrowsWithoutState = "r6 = 5\nr7 = 6\ncall pc+2\nr0 = r6\nexit\n"
                                        "r7 = 3\nr8 = 4\nr9 = 5\nr6 = 9\ncall 0x10000\n"
                                        "r0 = r7\nexit";

TEST(SeeInside, ExceptionsOfHostFunctionsPassThroughMachineCode) {
    for (const Way& way : kWays) {
        Vm vm({.cpus = 1, .jit_debug = {.unwind = true}});
        ASSERT_TRUE(vm.helpers().add_function(
            0x10000, "fail", []() -> int { throw std::runtime_error("no such customer"); }));
        for (const char* text : {kThrowsInASubprogram, kThrowsWithoutState}) {
            const Executable program = load(vm, object_of(text), way).programs().front();
            for (int i = 0; i < 3; ++i) {
                std::string what;
                try {
                    (void)program.run(std::span<std::byte>());
                } catch (const std::runtime_error& error) {
                    what = error.what();
                }
                EXPECT_EQ(what, "no such customer");
            }
        }
    }
}

[[gnu::noinline]] std::vector<void*> trace() {
    std::array<void*, 128> frames{};
    const int count = backtrace(frames.data(), int(frames.size()));
    return std::vector<void*>(frames.begin(), frames.begin() + count);
}

// Both traces end with main() and those who called it, if the second one gets there.
bool have_same_origin(const std::vector<void*>& a, const std::vector<void*>& b) {
    constexpr std::size_t kCallers = 3;
    return a.size() >= kCallers && b.size() >= kCallers &&
           std::equal(a.rbegin(), a.rbegin() + kCallers, b.rbegin());
}

TEST(SeeInside, BacktraceOfAHostFunctionReachesItsHost) {
    for (const Way& way : kWays) {
        for (const bool unwind : {true, false}) {
            Vm vm({.jit_debug = {.unwind = unwind}});
            std::vector<void*> inside;
            ASSERT_TRUE(vm.helpers().add_function(0x10000, "look", [&inside] {
                inside = trace();
                return 0;
            }));
            const Executable program =
                load(vm, object_of(kThrowsInASubprogram), way).programs().front();
            const std::vector<void*> here = trace();
            EXPECT_EQ(program.run(std::span<std::byte>()).r0, 5U);
            EXPECT_EQ(have_same_origin(here, inside), unwind);
        }
    }
}

// Single steps through runs and unwinds at each insn of machine code: the C++ function that
// entered it must always be found, with the registers it has.
class Stepper {
  public:
    explicit Stepper(const std::vector<PerfMapFile::Line>& code) {
        for (const PerfMapFile::Line& line : code) {
            seen_.push_back({line, 0});
        }
        struct sigaction action {};
        action.sa_sigaction = on_trap;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGTRAP, &action, &old_);
        current = this;
        (void)trace(); // what the unwinder allocates
    }
    Stepper(const Stepper&) = delete;
    Stepper& operator=(const Stepper&) = delete;
    ~Stepper() {
        current = nullptr;
        sigaction(SIGTRAP, &old_, nullptr);
    }

    template <class Run>
    void step_through(const Run& run) {
        host_ = {};
        asm volatile("sub $128, %%rsp\npushfq\norq $0x100, (%%rsp)\npopfq\nadd $128, %%rsp" ::
                         : "memory", "cc");
        run();
        asm volatile("sub $128, %%rsp\npushfq\nandq $~0x100, (%%rsp)\npopfq\nadd $128, %%rsp" ::
                         : "memory", "cc");
    }

    [[nodiscard]] std::size_t steps() const { return steps_; }
    [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }
    [[nodiscard]] std::size_t steps_in(std::string_view name) const {
        std::size_t steps = 0;
        for (const Seen& seen : seen_) {
            steps += seen.line.name == name ? seen.steps : 0;
        }
        return steps;
    }

  private:
    struct Seen {
        PerfMapFile::Line line;
        std::size_t steps;
    };
    // DWARF's numbers of rbx, rbp, r12..r15, and of rsp.
    static constexpr int kKept[] = {3, 6, 12, 13, 14, 15, 7};
    using Registers = std::array<std::uint64_t, std::size(kKept)>;

    Seen* find(std::uint64_t address) {
        const auto found = std::ranges::find_if(
            seen_, [&](const Seen& seen) { return address - seen.line.begin < seen.line.size; });
        return found == seen_.end() ? nullptr : &*found;
    }

    static void on_trap(int, siginfo_t*, void* context) {
        const auto& regs = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
        current->stop_at(std::uint64_t(regs[REG_RIP]));
    }

    void stop_at(std::uint64_t address) {
        Seen* const seen = find(address);
        if (seen == nullptr) {
            return;
        }
        ++steps_;
        ++seen->steps;
        was_inside_ = false;
        found_ = {};
        _Unwind_Backtrace(on_frame, nullptr);
        if (host_ == Registers{}) {
            host_ = found_;
        }
        if (found_ == Registers{} || found_ != host_) {
            failures_.push_back(seen->line.name + " +" +
                                std::to_string(address - seen->line.begin));
        }
    }

    static _Unwind_Reason_Code on_frame(_Unwind_Context* frame, void*) {
        const bool is_inside = current->find(_Unwind_GetIP(frame)) != nullptr;
        if (current->was_inside_ && !is_inside) {
            for (std::size_t i = 0; i < std::size(kKept); ++i) {
                current->found_[i] =
                    kKept[i] == 7 ? _Unwind_GetCFA(frame) : _Unwind_GetGR(frame, kKept[i]);
            }
            return _URC_NORMAL_STOP;
        }
        current->was_inside_ |= is_inside;
        return _URC_NO_REASON;
    }

    static Stepper* current;
    struct sigaction old_ {};
    std::vector<Seen> seen_;
    bool was_inside_ = false;
    Registers found_{};
    Registers host_{};
    std::size_t steps_ = 0;
    std::vector<std::string> failures_;
};
Stepper* Stepper::current = nullptr;

void expect_unwindable(const Stepper& stepper) {
    EXPECT_GT(stepper.steps(), 0U);
    for (const std::string& failure : stepper.failures()) {
        ADD_FAILURE() << failure;
    }
}

const JitDebug kForStepper{.perf_map = true, .unwind = true};

TEST(SeeInside, EachInsnOfSubprogramsCanBeUnwound) {
    for (const Way& way : kWays) {
        const PerfMapFile file;
        Vm vm({.jit_debug = kForStepper});
        const Module module = load(vm, example("xdp_subprogs"), way);
        Stepper stepper(file.lines());
        std::array<std::byte, 64> bytes{};
        XdpCtx ctx{};
        ctx.packet = Packet::in(bytes, bytes);
        RunResult result;
        stepper.step_through([&] { result = module.programs().front().run(ctx); });
        EXPECT_EQ(result.r0, 2U);
        expect_unwindable(stepper);
        const bool is_verified = way.mode == ExecMode::Verified;
        EXPECT_GT(stepper.steps_in(way.engine == Engine::Jit ? "xdp_subprogs" : "address_score"),
                  20U);
        EXPECT_EQ(stepper.steps_in("ebpfvm_access") > 0, !is_verified);
        EXPECT_EQ(stepper.steps_in("ebpfvm_enter_leaf") > 0,
                  is_verified && way.engine == Engine::Baseline);
    }
}

TEST(SeeInside, EachInsnOfAnAbortedRunCanBeUnwound) {
    for (const Way& way : kWays) {
        const PerfMapFile file;
        Vm vm({.jit_debug = kForStepper});
        ASSERT_TRUE(vm.helpers().add_function(0x10000, "stop",
                                              [](CallContext& call) { call.abort("enough"); }));
        const Module module = load(vm, object_of(kThrowsInASubprogram), way);
        Stepper stepper(file.lines());
        RunResult result;
        stepper.step_through(
            [&] { result = module.programs().front().run(std::span<std::byte>()); });
        EXPECT_TRUE(result.fault);
        expect_unwindable(stepper);
        EXPECT_EQ(stepper.steps_in("ebpfvm_leave"), 2U);
        const bool is_inlined = way.engine == Engine::Jit;
        const std::string cold = is_inlined ? "test.cold" : "test_insn_6.cold";
        EXPECT_EQ(stepper.steps_in(cold) > 0, way.mode == ExecMode::Verified);
        EXPECT_EQ(stepper.steps_in("ebpfvm_call_helper") > 0, way.mode == ExecMode::Checked);
    }
}

TEST(SeeInside, EachInsnOfTailCallsCanBeUnwound) {
    const PerfMapFile file;
    Vm vm({.jit_debug = kForStepper});
    const Object object = object_of("r6 = r1\ncall pc+2\nr0 += 1\nexit\n"
                                    "r2 = map(0) ll\nr3 = 0\nr1 = r1\ncall 12\nr0 = 100\nexit",
                                    {{.name = "jumps",
                                      .type = MapType::ProgArray,
                                      .key_size = 4,
                                      .value_size = 4,
                                      .max_entries = 1}});
    const Module module = load(vm, object);
    const Executable program = module.programs().front();
    ASSERT_TRUE(Module::set_tail_call(*module.maps().front(), 0, program));
    Stepper stepper(file.lines());
    std::array<std::byte, 8> memory{};
    RunResult result;
    stepper.step_through([&] { result = program.run(memory); });
    EXPECT_EQ(result.r0, 134U);
    expect_unwindable(stepper);
    EXPECT_GT(stepper.steps_in("test_insn_4"), 33U);
}

TEST(SeeInside, EachInsnOfACallOfTheEntryCanBeUnwound) {
    const PerfMapFile file;
    Vm vm({.jit_debug = kForStepper});
    const Module module =
        load(vm, object_of("r6 = 2\nif r1 == 0 goto end\nr1 = 0\ncall pc-4\nend: r0 = r6\nexit"));
    Stepper stepper(file.lines());
    std::array<std::byte, 8> memory{};
    RunResult result;
    stepper.step_through([&] { result = module.programs().front().run(memory); });
    EXPECT_EQ(result.r0, 2U);
    expect_unwindable(stepper);
}

} // namespace
} // namespace ebpfvm::test
