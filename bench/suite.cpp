// The suite: each program of bench/programs as native code, in this kernel, and in all of our
// engines. All must give the same results before anything is timed. `scripts/bench` makes table and
// plot of the output:
//   run/PROGRAM/ENGINE   CPU time of a run on a packet that stays the same; --round_ms=N at a time
//   load/PROGRAM/ENGINE  what comes before: see LoadCost
#include "packet.hpp"
#include "subject.hpp"

#include <benchmark/benchmark.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <sched.h>
#include <string_view>

extern "C" {
#include "programs/native.h"
#define PROGRAM(name) int native_program_##name(struct native_ctx* ctx);
#include "program_names.h"
#undef PROGRAM
}

namespace {

using namespace ebpfvm;
using namespace ebpfvm::bench;

struct OurEngine {
    std::string_view name;
    ExecMode mode;
    Engine engine;
};
constexpr std::array kOurEngines{
    OurEngine{"baseline", ExecMode::Verified, Engine::Baseline},
    OurEngine{"interp", ExecMode::Verified, Engine::Interp},
    OurEngine{"baseline_checked", ExecMode::Checked, Engine::Baseline},
    OurEngine{"interp_checked", ExecMode::Checked, Engine::Interp},
};
constexpr std::string_view kNative = "native";
constexpr std::string_view kKernel = "kernel";

struct BenchProgram {
    std::string_view name;
    NativeProgram native;
};
constexpr std::array kPrograms{
#define PROGRAM(name) BenchProgram{#name, native_program_##name},
#include "program_names.h"
#undef PROGRAM
};

[[noreturn]] void give_up(const std::string& message) {
    fmt::print(stderr, "suite: {}\n", message);
    std::exit(1);
}

template <class T>
T must(std::string_view what, Expected<T> value) {
    return value ? std::move(*value)
                 : (give_up(fmt::format("{}: {}", what, to_string(value.error()))),
                    std::move(*value));
}

// A program with all that runs it. Lives until the end.
struct Entry {
    std::string name;
    Object object;
    std::vector<std::pair<std::string, std::unique_ptr<Subject>>> subjects; // the first is native
    std::uint64_t insns = 0;
};

LoadOptions options_of(const OurEngine& engine) {
    return {.mode = engine.mode, .engine = engine.engine};
}

// What is wrong with the programs; nothing is timed then.
using Problems = std::vector<std::string>;

Entry make_entry(const BenchProgram& program, bool has_kernel, Problems& problems) {
    Entry entry{.name = std::string(program.name),
                .object = must(program.name,
                               load_object_file(
                                   fmt::format("{}/{}.bpf.o", EBPFVM_PROGRAMS_DIR, program.name))),
                .subjects = {}};
    const auto add = [&](std::string_view engine, Expected<std::unique_ptr<Subject>> subject) {
        if (subject) {
            entry.subjects.emplace_back(engine, *std::move(subject));
        } else {
            problems.push_back(
                fmt::format("{} in {}: {}", program.name, engine, to_string(subject.error())));
        }
    };
    add(kNative, make_native(program.native));
    if (has_kernel) {
        add(kKernel, make_kernel(entry.object));
    }
    for (const OurEngine& engine : kOurEngines) {
        add(engine.name, make_ours(entry.object, options_of(engine)));
    }
    return entry;
}

// The first runs differ: programs fill their maps, and go on from what they find there.
void compare(Entry& entry, Problems& problems) {
    constexpr int kRuns = 4;
    for (int run = 0; run < kRuns; ++run) {
        std::optional<Outcome> native;
        for (auto& [engine, subject] : entry.subjects) {
            const auto label = fmt::format("{} in {}, run {}", entry.name, engine, run);
            const Expected<Outcome> outcome = subject->run_once();
            if (!outcome) {
                problems.push_back(fmt::format("{}: {}", label, to_string(outcome.error())));
            } else if (!native) {
                native = *outcome;
            } else if (*outcome != *native) {
                problems.push_back(fmt::format(
                    "{}: gives {:#x}, native {:#x}{}", label, outcome->value, native->value,
                    outcome->packet == native->packet ? "" : "; packets differ"));
            }
        }
    }
}

// How many runs take about that long: all rounds of an engine do the same work.
benchmark::IterationCount runs_for(Subject& subject, double ns) {
    constexpr double kEnough = 1e6; // a test run of the kernel has 25 us to do besides
    const auto time_of = [&](std::uint64_t count) {
        const double before = cpu_time_ns();
        subject.run(count);
        return cpu_time_ns() - before;
    };
    double taken = 0;
    std::uint64_t count = 1;
    for (; ns > 0 && taken < kEnough; count *= 4) {
        taken = std::min({time_of(count), time_of(count), time_of(count)});
    }
    return ns > 0 ? benchmark::IterationCount(std::max(1.0, double(count / 4) * ns / taken)) : 1;
}

void register_run(const Entry& entry, const std::string& engine, Subject& subject,
                  double round_ns) {
    const auto runs = runs_for(subject, round_ns);
    benchmark::RegisterBenchmark(fmt::format("run/{}/{}", entry.name, engine).c_str(),
                                 [&](benchmark::State& state) {
                                     while (state.KeepRunningBatch(state.max_iterations)) {
                                         subject.run(std::uint64_t(state.max_iterations));
                                     }
                                     state.counters["insns"] = double(entry.insns);
                                 })
        ->Iterations(runs);
}

void register_load(const Entry& entry, std::string_view engine,
                   const std::function<Expected<bench::LoadCost>()>& load) {
    benchmark::RegisterBenchmark(fmt::format("load/{}/{}", entry.name, engine).c_str(),
                                 [=](benchmark::State& state) {
                                     for (auto _ : state) {
                                         const bench::LoadCost cost = must("load", load());
                                         state.counters["first_run_ns"] = cost.first_run;
                                         state.counters["verify_ns"] = cost.verify;
                                         state.counters["compile_ns"] = cost.compile;
                                         state.counters["code_bytes"] = cost.code_size;
                                     }
                                 })
        ->Iterations(1);
}

void register_all(Entry& entry, bool has_kernel, double round_ns) {
    for (auto& [engine, subject] : entry.subjects) {
        register_run(entry, engine, *subject, round_ns);
    }
    if (has_kernel) {
        register_load(entry, kKernel, [&entry] { return load_kernel(entry.object); });
    }
    for (const OurEngine& engine : kOurEngines) {
        register_load(entry, engine.name,
                      [&entry, engine] { return load_ours(entry.object, options_of(engine)); });
    }
}

void pin_to_this_cpu() {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(std::size_t(sched_getcpu()), &set);
    sched_setaffinity(0, sizeof(set), &set);
}

// Removes --round_ms=N from the arguments.
double take_round_ns(int& argc, char** argv) {
    constexpr std::string_view kOption = "--round_ms=";
    double ms = 20;
    const auto is_ours = [&](const char* argument) {
        const bool is = std::string_view(argument).starts_with(kOption);
        ms = is ? std::strtod(argument + kOption.size(), nullptr) : ms;
        return is;
    };
    argc = int(std::remove_if(argv, argv + argc, is_ours) - argv);
    return ms * 1e6;
}

} // namespace

int main(int argc, char** argv) {
    const double round_ns = take_round_ns(argc, argv);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 1;
    }
    pin_to_this_cpu();
    const bool has_kernel = kernel_is_permitted();
    benchmark::AddCustomContext("kernel", has_kernel ? "yes" : "bpf() is not permitted here");
    Problems problems;
    benchmark::AddCustomContext("clang", EBPFVM_CLANG_VERSION);
    std::vector<std::unique_ptr<Entry>> entries;
    for (const BenchProgram& program : kPrograms) {
        entries.push_back(std::make_unique<Entry>(make_entry(program, has_kernel, problems)));
        compare(*entries.back(), problems);
    }
    if (!problems.empty()) {
        give_up(fmt::format("engines do not agree\n{}", fmt::join(problems, "\n")));
    }
    for (const auto& entry : entries) {
        entry->insns = must(entry->name, count_insns(entry->object));
        register_all(*entry, has_kernel, round_ns);
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
