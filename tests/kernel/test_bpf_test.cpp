// Every eBPF case of the kernel's lib/test_bpf.c, in checked mode and, in the optimising tier,
// without checks: with all passes, with each left out in turn, and with none (those of
// 30,000 insns: with one of these, unless EBPFVM_TEST_BPF_WHOLE is set). The cases come from
// an installed kernel source package (see extract-test-bpf); bpf(2) is not needed.
#include "ebpfvm/object.hpp"
#include "ebpfvm/vm.hpp"
#include "support/bits.hpp"
#include "support/engines.hpp"
#include "support/trusted.hpp"
#include "support/try.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <vector>

namespace ebpfvm {
namespace {

const std::string kOutDir = EBPFVM_BINARY_DIR "/test_bpf";
constexpr int kSkipped = 77;

// A line of cases.tsv.
struct Case {
    std::string name;
    std::size_t data_size = 0;
    std::uint32_t result = 0;
    std::string ctx; // none, skb or mem
};

template <class T>
T parse(const std::string& text, int base) {
    T value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value, base).ptr;
    EXPECT_EQ(end, text.data() + text.size()) << text;
    return value;
}

std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> fields(1);
    for (const char c : line) {
        if (c == '\t') {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    return fields;
}

std::vector<Case> read_cases() {
    std::vector<Case> cases;
    std::ifstream file(kOutDir + "/cases.tsv");
    for (std::string line; std::getline(file, line);) {
        const std::vector<std::string> fields = split(line);
        if (fields.size() != 12 || line.starts_with('#')) {
            EXPECT_TRUE(line.starts_with('#')) << line;
            continue;
        }
        EXPECT_EQ(fields[2], "-") << "a packet: this test has none to offer";
        EXPECT_EQ(fields[10], "0") << "a program that must not load";
        cases.push_back({.name = fields[0],
                         .data_size = parse<std::size_t>(fields[3], 10),
                         .result = parse<std::uint32_t>(fields[4], 16),
                         .ctx = fields[6]});
    }
    return cases;
}

using Run = std::function<Expected<RunResult>(std::span<std::byte> memory)>;

Run checked_run(Vm& vm, const Object& object, Engine engine) {
    return [&vm, &object, engine](std::span<std::byte> memory) -> Expected<RunResult> {
        auto module = vm.load(object, {.engine = engine});
        if (!module) {
            return std::unexpected(std::move(module).error());
        }
        return module->programs().front().run(memory);
    };
}

// In the optimising tier, which compiles verified programs alone.
Run trusted_run(test::Trusted& trusted, const Object& object, const jit::OptOptions& options) {
    return [&trusted, &object, options](std::span<std::byte> memory) -> Expected<RunResult> {
        auto result = trusted.run(object.programs().front(), memory, options);
        if (!result) {
            return fail(Errc::Unsupported, "left to the baseline tier");
        }
        return std::move(*result);
    };
}

// Why the case failed; empty if it passed.
std::string judge(const Case& c, const Run& run) {
    std::vector<std::uint64_t> memory(c.ctx == "mem" ? round_up(c.data_size, 8U) / 8 : 0,
                                      0xa5a5'a5a5'a5a5'a5a5);
    const auto bytes = std::as_writable_bytes(std::span(memory));
    const auto result = run(bytes.first(memory.empty() ? 0 : c.data_size));
    if (!result) {
        return to_string(result.error());
    }
    if (result->fault) {
        return result->fault->message;
    }
    const auto r0 = std::uint32_t(result->r0);
    return r0 == c.result ? "" : fmt::format("r0 is {:08x}, must be {:08x}", r0, c.result);
}

struct Failures {
    std::mutex mutex;
    std::multimap<std::string, std::string> texts; ///< by case

    void add(const Case& c, std::string text) {
        const std::lock_guard lock(mutex);
        texts.emplace(c.name, std::move(text));
    }
};

// The ways to run the `number`th case.
std::vector<test::EngineChoice> choices_for(const Program& program, std::size_t number) {
    constexpr std::size_t kLarge = 20'000; // insns
    static const bool is_whole = std::getenv("EBPFVM_TEST_BPF_WHOLE") != nullptr;
    std::vector<test::EngineChoice> choices = test::all_choices();
    if (program.insns.size() >= kLarge && !is_whole) {
        const std::size_t omissions = test::pass_omissions().size();
        std::erase_if(choices, [&number, omissions](const test::EngineChoice& choice) {
            return !choice.without_passes.empty() && number++ % omissions != 0;
        });
    }
    return choices;
}

// What a thread needs to run cases.
class Runner {
  public:
    explicit Runner(Failures& failures) : failures_(failures) {}

    void run_case(const Case& c, std::size_t number) {
        auto object = load_object_file(fmt::format("{}/{}.bpft", kOutDir, c.name));
        if (!object) {
            return failures_.add(c, to_string(object.error()));
        }
        Program* program = object->find_program(std::string_view(c.name));
        if (program == nullptr) {
            return failures_.add(c, "no program of that name");
        }
        program->type = ProgType::Unspec; // plain memory; the skb of others is never looked into
        for (const test::EngineChoice& choice : choices_for(*program, number)) {
            const Run run = choice.engine == Engine::Jit
                                ? trusted_run(trusted_, *object, passes_of(choice))
                                : checked_run(vm_, *object, choice.engine);
            if (const std::string why = judge(c, run); !why.empty()) {
                failures_.add(c, fmt::format("{}: {}", test::text_of(choice), why));
            }
        }
    }

  private:
    static jit::OptOptions passes_of(const test::EngineChoice& choice) {
        return jit::without_passes(choice.without_passes).value();
    }

    Failures& failures_;
    Vm vm_;
    test::Trusted trusted_;
};

void run_cases(const std::vector<Case>& cases, std::atomic<std::size_t>& next, Failures& failures) {
    Runner runner(failures);
    for (std::size_t i = next++; i < cases.size(); i = next++) {
        runner.run_case(cases[i], i);
    }
}

TEST(KernelTestBpf, EveryCaseGivesItsResult) {
    const std::string extract =
        fmt::format("bash '{}/tests/kernel/extract-test-bpf' '{}'", EBPFVM_SOURCE_DIR, kOutDir);
    const int status = std::system(extract.c_str());
    if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) {
        GTEST_SKIP() << "no kernel source package";
    }
    ASSERT_EQ(status, 0) << extract;

    const std::vector<Case> cases = read_cases();
    ASSERT_GE(cases.size(), 915U);
    std::atomic<std::size_t> next = 0;
    Failures failures;
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
            threads.emplace_back(run_cases, std::cref(cases), std::ref(next), std::ref(failures));
        }
    }
    std::set<std::string> failed;
    for (const auto& [name, text] : failures.texts) {
        ADD_FAILURE() << name << ", " << text;
        failed.insert(name);
    }
    fmt::print("lib/test_bpf.c: {} passed, {} failed, 0 skipped\n", cases.size() - failed.size(),
               failed.size());
}

} // namespace
} // namespace ebpfvm
