// The engines against each other on random programs: results, memory and faults. For longer:
// EBPFVM_ENGINES_PROGRAMS, from EBPFVM_ENGINES_SEED on.
#include "ebpfvm/ebpfvm.hpp"
#include "interp/interp.hpp"
#include "jit/jit.hpp"
#include "jit/random_program.hpp"
#include "support/engines.hpp"
#include "support/resolved.hpp"
#include "verifier/soundness_runs.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <map>

namespace ebpfvm::test {
namespace {

using Buffer = std::array<std::uint64_t, RandomProgram::kBuffer / 8>;

struct Outcome {
    std::uint64_t r0 = 0;
    std::uint64_t insns = 0;
    std::string fault{};
    Buffer buffer{};

    bool operator==(const Outcome&) const = default;
};

class Engines {
  public:
    std::shared_ptr<exec::Code> resolve(const std::vector<Insn>& insns) const {
        const Object object = Object::from_insns("random", ProgType::Unspec, insns);
        auto code = resolved(object.programs().front(), helpers_);
        EXPECT_TRUE(code) << to_string(code.error());
        return *code;
    }

    // For the interpreter without checks, as if it were verified.
    std::shared_ptr<exec::Code> trust(const std::vector<Insn>& insns) const {
        auto code = resolve(insns);
        code->is_verified = true;
        return code;
    }

    std::shared_ptr<exec::Code> compile(const std::vector<Insn>& insns, bool trusts,
                                        const jit::Cpu& cpu = jit::Cpu::host(),
                                        bool blinds = false) const {
        auto code = resolve(insns);
        code->is_verified = trusts;
        code->blinds_constants = blinds;
        const auto done = jit::compile_baseline(*code, memory_, cpu);
        EXPECT_TRUE(done) << to_string(done.error());
        return code;
    }

    std::shared_ptr<exec::Code> optimise(const std::vector<Insn>& insns,
                                         const jit::OptOptions& options = {},
                                         const jit::Cpu& cpu = jit::Cpu::host()) const {
        auto code = trust(insns);
        const auto done = jit::compile_optimised(*code, memory_, options, cpu);
        EXPECT_TRUE(done && *done);
        return code;
    }

    template <class Run>
    Outcome outcome(const exec::Code& code, Run run) const {
        Outcome outcome;
        for (std::size_t i = 0; i < outcome.buffer.size(); ++i) {
            outcome.buffer[i] = 0x0101'0101'0101'0101 * i;
        }
        const RunResult result = run(code, exec::RunInput{.ctx = outcome.buffer.data(),
                                                          .size = sizeof outcome.buffer,
                                                          .insn_budget = 100'000,
                                                          .environment = &environment_});
        outcome.r0 = result.r0;
        outcome.insns = result.insns_executed;
        outcome.fault = result.fault ? result.fault->message : "";
        return outcome;
    }

  private:
    HelperTable helpers_;
    Environment environment_;
    std::shared_ptr<jit::CodeMemory> memory_ = jit::make_code_memory().value();
};

std::string text_of(const std::vector<Insn>& insns) {
    const auto text = disassemble(insns);
    return text ? *text : to_string(text.error());
}

std::string ir_of(const exec::Code& code, const jit::OptOptions& options) {
    std::string text;
    for (const jit::SlotCode& line : jit::list_ir(code, options)) {
        text += line.text + '\n';
    }
    return text;
}

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(Engines, AgreeOnRandomPrograms) {
    const Engines engines;
    const std::uint64_t first = setting("EBPFVM_ENGINES_SEED", 1);
    const std::uint64_t count = setting("EBPFVM_ENGINES_PROGRAMS", 20'000);
    const jit::Cpu old_cpu{.has_bmi2 = false};
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const std::vector<Insn> insns = RandomProgram(seed).make(unsigned(10 + seed % 40));
        const Outcome expected = engines.outcome(*engines.resolve(insns), interp::run);
        ASSERT_EQ(expected.fault, "") << "seed " << seed << '\n' << text_of(insns);
        const Outcome unchecked = engines.outcome(*engines.trust(insns), interp::run);
        ASSERT_EQ(unchecked, expected) << "seed " << seed << ", unchecked\n" << text_of(insns);
        const Outcome checked = engines.outcome(*engines.compile(insns, false), jit::run);
        ASSERT_EQ(checked, expected) << "seed " << seed << ", checked\n" << text_of(insns);
        Outcome trusted = engines.outcome(*engines.compile(insns, true), jit::run);
        trusted.insns = expected.insns; // it does not count
        ASSERT_EQ(trusted, expected) << "seed " << seed << ", without checks\n" << text_of(insns);
        const jit::OptOptions some{.disabled = std::uint32_t(seed * 0x9e37'79b9)};
        for (const jit::OptOptions& options : {jit::OptOptions{}, some}) {
            const jit::Cpu cpu = seed % 4 == 0 ? old_cpu : jit::Cpu::host();
            Outcome optimised = engines.outcome(*engines.optimise(insns, options, cpu), jit::run);
            optimised.insns = expected.insns;
            ASSERT_EQ(optimised, expected)
                << "seed " << seed << ", optimised without passes " << options.disabled << '\n'
                << text_of(insns) << ir_of(*engines.optimise(insns), options);
        }
        if (seed % 4 == 0) {
            const Outcome old = engines.outcome(*engines.compile(insns, false, old_cpu), jit::run);
            ASSERT_EQ(old, expected) << "seed " << seed << ", without BMI2\n" << text_of(insns);
        }
        if (seed % 4 == 1) {
            const bool trusts = seed % 8 == 1;
            const auto cpu = seed % 16 < 8 ? jit::Cpu::host() : old_cpu;
            Outcome blind = engines.outcome(*engines.compile(insns, trusts, cpu, true), jit::run);
            blind.insns = trusts ? expected.insns : blind.insns;
            ASSERT_EQ(blind, expected) << "seed " << seed << ", blinded\n" << text_of(insns);
        }
    }
}

// All that a run leaves behind.
struct Traces {
    std::uint64_t r0 = 0;
    std::string fault{};
    std::vector<std::byte> packet{};
    std::vector<std::map<std::vector<std::byte>, std::vector<std::byte>>> maps{};

    bool operator==(const Traces&) const = default;
};

Traces traces(const Module& module, const Input& input) {
    Traces result;
    const RunResult run = run_soundness(module.programs().front(), module, input, &result.packet);
    result.r0 = run.r0;
    result.fault = run.fault ? run.fault->message : "";
    for (const auto& map : module.maps()) {
        auto& content = result.maps.emplace_back();
        map->for_each_key([&](std::span<const std::byte> key) {
            content.emplace(std::vector(key.begin(), key.end()), map->read(key).value());
            return true;
        });
    }
    return result;
}

// The same, with the run elsewhere on the host's stack: addresses are other ones.
[[gnu::noinline]] Traces traces_elsewhere(const Module& module, const Input& input) {
    std::array<char, 5000> room;
    asm volatile("" : : "r"(room.data()) : "memory"); // keep it
    return traces(module, input);
}

// Programs with packets, maps and helpers, in verified mode. Where they store pointers, as
// privileged ones may, the same program differs from run to run already.
TEST(Engines, AgreeOnVerifiedPrograms) {
    const std::uint64_t first = setting("EBPFVM_ENGINES_SEED", 1);
    const std::uint64_t count = setting("EBPFVM_ENGINES_PROGRAMS", 20'000) / 10;
    Vm vm({.cpus = 1});
    const LoadOptions interp{.mode = ExecMode::Verified, .verifier = {.max_explored = 20'000}};
    LoadOptions baseline = interp;
    baseline.engine = Engine::Baseline;
    LoadOptions optimised = interp;
    optimised.engine = Engine::Jit;
    const std::vector<jit::OptOptions> omissions = pass_omissions();
    unsigned compared = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const auto object = object_of(SoundnessGenerator(seed).make().lines);
        const auto expected =
            object ? vm.load(*object, interp) : Expected<Module>(std::unexpected(Error{}));
        if (!expected) {
            continue;
        }
        const auto again = vm.load(*object, interp);
        const auto checked = vm.load(*object); // which believes nothing
        const auto native = vm.load(*object, baseline);
        const auto best = vm.load(*object, optimised);
        LoadOptions partly = optimised;
        partly.without_passes = omitted_passes(omissions[seed % omissions.size()]);
        const auto good = vm.load(*object, partly);
        ASSERT_TRUE(again && checked && native && best && good);
        for (const Input& input : inputs(seed, 3)) {
            const Traces want = traces(*expected, input);
            if (!want.fault.empty() || want != traces_elsewhere(*again, input)) {
                break; // endless, or it shows addresses
            }
            ++compared;
            ASSERT_EQ(traces(*checked, input), want) << "seed " << seed << ", checked";
            ASSERT_EQ(traces(*native, input), want) << "seed " << seed;
            ASSERT_EQ(traces(*best, input), want) << "seed " << seed << ", optimised";
            ASSERT_EQ(traces(*good, input), want)
                << "seed " << seed << ", optimised without "
                << fmt::format("{}", fmt::join(partly.without_passes, ", "));
        }
    }
    EXPECT_GE(compared, count / 4);
}

} // namespace
} // namespace ebpfvm::test
