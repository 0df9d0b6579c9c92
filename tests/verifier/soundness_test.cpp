// What the verifier accepts never faults: random programs, run in the interpreter's checked mode on
// several inputs. And what really happens is never thought impossible: where a number of the
// program is seen to be v, `if it is v, crash` must not be accepted. And nothing is seen that the
// facts deny: values, insns, ways of jumps.
//
// EBPFVM_SOUNDNESS_SECONDS runs for longer, from EBPFVM_SOUNDNESS_SEED on; a violation is shrunk
// and printed as assembly text.
#include "ebpfvm/ebpfvm.hpp"
#include "ebpfvm/fact_checker.hpp"
#include "ebpfvm/verifier.hpp"
#include "verifier/soundness_runs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace ebpfvm::test {
namespace {

bool is_accepted(const Object& object) {
    VerifierOptions options;
    options.max_explored = 50'000;
    const auto report = verify(object, object.programs().front(), options);
    return report && report->verdict == Verdict::Accept;
}

class Runner {
  public:
    /// The first fault on any of the inputs; none as well if it cannot be loaded.
    std::shared_ptr<const Fault> fault_of(const Object& object, std::span<const Input> inputs) {
        const auto module = vm_.load(object);
        if (!module) {
            return nullptr;
        }
        for (const Input& input : inputs) {
            const RunResult result = run_soundness(module->programs().front(), *module, input);
            if (result.fault && !is_patience(*result.fault)) {
                return result.fault;
            }
        }
        return nullptr;
    }

    std::optional<std::uint64_t> result_of(const Lines& lines, const Input& input) {
        const auto object = object_of(lines);
        const auto module = object ? vm_.load(*object) : Expected<Module>(std::unexpected(Error{}));
        if (!module) {
            return std::nullopt;
        }
        const RunResult result = run_soundness(module->programs().front(), *module, input);
        return result.fault ? std::nullopt : std::optional(result.r0);
    }

    /// What the facts say that is wrong on any of the inputs; empty if nothing, or if there are
    /// none.
    std::string denied(const Object& object, std::span<const Input> inputs) {
        VerifierOptions options;
        options.max_explored = 50'000;
        options.facts = true;
        const auto report = verify(object, object.programs().front(), options);
        const auto module = observer_.load(object);
        if (!report || report->facts == nullptr || !module) {
            return {};
        }
        const Executable program = module->programs().front();
        FactChecker checker(*report->facts, *module, program);
        for (const Input& input : inputs) {
            (void)run_soundness(*module, input, [&](XdpCtx& ctx) { return checker.run(ctx); });
        }
        return checker.violations().empty() ? "" : checker.violations().front();
    }

    bool is_violation(const Lines& lines, std::span<const Input> inputs) {
        const auto object = object_of(lines);
        return object && is_accepted(*object) && fault_of(*object, inputs);
    }

  private:
    // Some loops end, but later than we want to wait.
    static bool is_patience(const Fault& fault) { return fault.kind == FaultKind::BudgetExhausted; }

    Vm vm_{{.cpus = 1}};
    Vm observer_{{.cpus = 1, .insn_budget = 20'000}};
};

/// Without the lines that it takes not: each chunk that can go, goes.
Lines shrunk(Runner& runner, Lines lines, std::span<const Input> inputs) {
    for (std::size_t size = lines.size() / 2; size > 0;) {
        bool changed = false;
        for (std::size_t at = 0; at + size <= lines.size();) {
            Lines fewer = lines;
            const auto first = fewer.begin() + std::ptrdiff_t(at);
            fewer.erase(first, first + std::ptrdiff_t(size));
            if (runner.is_violation(fewer, inputs)) {
                lines = std::move(fewer);
                changed = true;
            } else {
                ++at;
            }
        }
        size = changed ? size : size / 2;
    }
    return lines;
}

struct Counts {
    std::uint64_t programs = 0;
    std::uint64_t accepted = 0;
    std::uint64_t crashes_refused = 0;
    std::uint64_t violations = 0;
};

void report(Runner& runner, std::uint64_t seed, const Lines& lines, std::span<const Input> inputs) {
    const Lines small = shrunk(runner, lines, inputs);
    const auto fault = runner.fault_of(*object_of(small), inputs);
    ADD_FAILURE() << "seed " << seed << ": accepted, but " << fault->message << "\n"
                  << text_of(small);
}

// The program with a crash at that place if the register is `value`, as it has been seen to be.
Lines with_crash(const Lines& lines, const NumberAt& at, std::uint64_t value, unsigned scratch) {
    Lines crash = {fmt::format("if r{} != {} goto survive", at.reg, std::int64_t(value)),
                   fmt::format("r{} = 0", scratch), fmt::format("r{0} = *(u8 *)(r{0} +0)", scratch),
                   "survive:"};
    if (std::uint64_t(std::int64_t(std::int32_t(value))) != value) { // no immediate
        crash[0] = fmt::format("if r{} != r{} goto survive", at.reg, scratch);
        crash.insert(crash.begin(), fmt::format("r{} = {} ll", scratch, std::int64_t(value)));
    }
    Lines result = lines;
    result.insert(result.begin() + std::ptrdiff_t(at.line), crash.begin(), crash.end());
    return result;
}

void try_seed(Runner& runner, std::uint64_t seed, Counts& counts) {
    const SoundnessProgram program = SoundnessGenerator(seed).make();
    const auto object = object_of(program.lines);
    ASSERT_TRUE(object) << "seed " << seed << '\n'
                        << to_string(assemble(text_of(program.lines)).error()) << '\n'
                        << text_of(program.lines);
    ++counts.programs;
    if (!is_accepted(*object)) {
        return;
    }
    ++counts.accepted;
    const std::vector<Input> all = inputs(seed, 6);
    if (runner.fault_of(*object, all)) {
        ++counts.violations;
        return report(runner, seed, program.lines, all);
    }
    if (const std::string said = runner.denied(*object, all); !said.empty()) {
        ++counts.violations;
        ADD_FAILURE() << "seed " << seed << ": " << said << '\n' << text_of(program.lines);
        return;
    }
    std::mt19937_64 rng(seed);
    for (unsigned i = 0; i < 6 && !program.numbers.empty(); ++i) {
        const NumberAt at = program.numbers[rng() % program.numbers.size()];
        const Input& input = all[rng() % all.size()];
        Lines stop = program.lines;
        stop.insert(stop.begin() + std::ptrdiff_t(at.line),
                    {fmt::format("r0 = r{}", at.reg), "if r0 == r0 goto stop"});
        stop.insert(std::ranges::find(stop, "out:") + 2, "stop:");
        const auto value = runner.result_of(stop, input);
        if (!value) {
            continue;
        }
        const unsigned scratch = (at.reg + 1 + unsigned(rng() % 9)) % 10;
        const Lines crash = with_crash(program.lines, at, *value, scratch);
        if (runner.is_violation(crash, std::span(&input, 1))) {
            ++counts.violations;
            return report(runner, seed, crash, std::span(&input, 1));
        }
        ++counts.crashes_refused;
    }
}

TEST(Soundness, AcceptedProgramsNeverFault) {
    const char* seconds = std::getenv("EBPFVM_SOUNDNESS_SECONDS");
    const char* first = std::getenv("EBPFVM_SOUNDNESS_SEED");
    std::uint64_t seed = first != nullptr ? std::strtoull(first, nullptr, 0) : 1;
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::seconds(seconds != nullptr ? std::atol(seconds) : 0);
    constexpr std::uint64_t kPrograms = 4000;
    Runner runner;
    Counts counts;
    while (seconds != nullptr ? std::chrono::steady_clock::now() < end
                              : counts.programs < kPrograms) {
        try_seed(runner, seed++, counts);
        if (counts.violations >= 25 || HasFatalFailure()) {
            break;
        }
    }
    RecordProperty("programs", std::to_string(counts.programs));
    RecordProperty("accepted", std::to_string(counts.accepted));
    RecordProperty("crashes", std::to_string(counts.crashes_refused));
    std::printf("%lu programs, %lu accepted, %lu possible crashes refused; next seed %lu\n",
                counts.programs, counts.accepted, counts.crashes_refused, seed);
    EXPECT_GT(counts.accepted * 10, counts.programs) << "the generator has become useless";
}

} // namespace
} // namespace ebpfvm::test
