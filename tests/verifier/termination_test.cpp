// Accepted programs end. Random programs full of loops are verified and, if accepted, run on
// several inputs; one that comes to a place of its entry function again with the same registers and
// the same stack will do so for ever.
//
// EBPFVM_TERMINATION_SECONDS runs for longer, from EBPFVM_TERMINATION_SEED on; a program that does
// not end is shrunk and printed as assembly text.
#include "ebpfvm/ebpfvm.hpp"
#include "ebpfvm/verifier.hpp"
#include "verifier/loop_program.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace ebpfvm::test {
namespace {

using Lines = std::vector<std::string>;
using Input = std::array<std::byte, 64>;

std::string text_of(const Lines& lines) {
    std::string text;
    for (const std::string& line : lines) {
        text += line + '\n';
    }
    return text;
}

std::vector<MapSpec> maps() {
    static const std::vector<MapSpec> specs =
        load_bpft("prog maps\nprog_type 6\nmap 0 type=2 key=4 value=64 max=1\ninsns 2\n"
                  "00000000000000b7\n0000000000000095\nend\n")
            .value()
            .maps();
    return specs;
}

std::optional<Object> object_of(const Lines& lines) {
    auto insns = assemble(text_of(lines));
    if (!insns) {
        return std::nullopt;
    }
    return Object::from_insns("loops", ProgType::Xdp, *std::move(insns), maps());
}

Report judgement(const Object& object) {
    VerifierOptions options;
    options.max_explored = 8'000;
    auto report = verify(object, object.programs().front(), options);
    return report ? *std::move(report) : Report{};
}

std::vector<Input> inputs(std::uint64_t seed, std::size_t count) {
    std::mt19937_64 rng(seed ^ 0x9e3779b97f4a7c15);
    std::vector<Input> result(count);
    for (Input& input : result) {
        for (unsigned i = 0; i < 8; ++i) {
            const std::uint64_t word = rng() % 8 == 0 ? rng() : rng() % 70;
            std::memcpy(&input[8 * i], &word, 8);
        }
    }
    return result;
}

/// Everything that the entry function's further way depends on.
struct Snapshot {
    std::size_t insn = 0;
    std::uint64_t counted = 0; ///< by may_goto
    std::array<std::uint64_t, 11> regs{};
    std::array<std::byte, 64> stack{};

    bool operator==(const Snapshot&) const = default;
};

/// Brent's way to find a sequence in a cycle: one snapshot, renewed after 1, 2, 4, 8... steps.
class CycleFinder {
  public:
    void see(const InsnView& view) {
        if (view.depth != 0 || is_found_) {
            return;
        }
        counted_ += after_may_goto_ == view.insn ? 1 : 0;
        constexpr std::uint8_t kMayGoto = 0xe5;
        const bool is_may_goto = view.program.insns[view.insn].code == kMayGoto;
        after_may_goto_ = is_may_goto ? view.insn + 1 : ~std::size_t{0};
        is_found_ = view.insn == kept_.insn && snapshot(view) == kept_;
        if (++steps_ == length_) {
            kept_ = snapshot(view);
            length_ *= 2;
            steps_ = 0;
        }
    }
    [[nodiscard]] bool is_found() const { return is_found_; }

  private:
    [[nodiscard]] Snapshot snapshot(const InsnView& view) const {
        Snapshot now{.insn = view.insn, .counted = counted_};
        std::ranges::copy(view.regs, now.regs.begin());
        std::memcpy(now.stack.data(), reinterpret_cast<const void*>(view.regs[10] - 64), 64);
        return now;
    }

    Snapshot kept_{.insn = ~std::size_t{0}};
    std::size_t after_may_goto_ = ~std::size_t{0};
    std::uint64_t counted_ = 0;
    std::uint64_t steps_ = 0;
    std::uint64_t length_ = 1;
    bool is_found_ = false;
};

enum class Outcome : std::uint8_t { Ends, EndsNever, Patience, Faults };

class Runner {
  public:
    Outcome outcome(const LoopProgram& program, std::span<const Input> inputs) {
        const auto object = object_of(program.lines);
        const auto module = object ? vm_.load(*object) : Expected<Module>(std::unexpected(Error{}));
        if (!module) {
            return Outcome::Ends;
        }
        Outcome worst = Outcome::Ends;
        for (const Input& input : inputs) {
            const auto fault = run(*module, input, {.insn_budget = 300'000});
            if (!fault) {
                continue;
            }
            if (fault->kind != FaultKind::BudgetExhausted) {
                return Outcome::Faults;
            }
            if (ends_never(*module, input, program.may_goto)) {
                return Outcome::EndsNever;
            }
            worst = Outcome::Patience;
        }
        return worst;
    }

    bool is_violation(const LoopProgram& program, std::span<const Input> inputs) {
        const auto object = object_of(program.lines);
        if (!object || judgement(*object).verdict != Verdict::Accept) {
            return false;
        }
        const Outcome found = outcome(program, inputs);
        return found == Outcome::EndsNever || found == Outcome::Faults;
    }

  private:
    std::shared_ptr<const Fault> run(const Module& module, const Input& input, const RunOptions& options) {
        const std::uint32_t key = 0;
        EXPECT_TRUE(module.maps()[0]->write(std::as_bytes(std::span(&key, 1)), input));
        std::array<std::byte, 640> buffer{};
        XdpCtx ctx{.packet = Packet::in(buffer, std::span(buffer).subspan(256, 64))};
        return module.programs().front().run(ctx, options).fault;
    }

    // That of may_goto is 8 million turns.
    bool ends_never(const Module& module, const Input& input, bool may_goto) {
        CycleFinder finder;
        const std::function<void(const InsnView&)> watch = [&](const InsnView& view) {
            finder.see(view);
        };
        (void)run(module, input,
                  {.insn_budget = may_goto ? 150'000'000U : 1'000'000U, .watch = &watch});
        return finder.is_found();
    }

    Vm vm_{{.cpus = 1}};
};

/// Without the lines that it takes not.
LoopProgram shrunk(Runner& runner, LoopProgram program, std::span<const Input> inputs) {
    for (std::size_t size = program.lines.size() / 2; size > 0;) {
        bool changed = false;
        for (std::size_t at = 0; at + size <= program.lines.size();) {
            LoopProgram fewer = program;
            const auto first = fewer.lines.begin() + std::ptrdiff_t(at);
            fewer.lines.erase(first, first + std::ptrdiff_t(size));
            if (runner.is_violation(fewer, inputs)) {
                program = std::move(fewer);
                changed = true;
            } else {
                ++at;
            }
        }
        size = changed ? size : size / 2;
    }
    return program;
}

struct Counts {
    std::uint64_t programs = 0;
    std::uint64_t accepted = 0;
    std::uint64_t summarised = 0;
    std::uint64_t patience = 0;
    std::uint64_t violations = 0;
};

void try_seed(Runner& runner, std::uint64_t seed, bool is_long, Counts& counts) {
    const LoopProgram program = LoopGenerator(seed).make();
    const auto object = object_of(program.lines);
    ASSERT_TRUE(object) << "seed " << seed << '\n'
                        << to_string(assemble(text_of(program.lines)).error()) << '\n'
                        << text_of(program.lines);
    ++counts.programs;
    const Report report = judgement(*object);
    if (report.verdict != Verdict::Accept || (program.may_goto && !is_long)) {
        return;
    }
    ++counts.accepted;
    counts.summarised += report.stats.summarised_loops > 0 ? 1 : 0;
    const std::vector<Input> all = inputs(seed, 5);
    const Outcome found = runner.outcome(program, all);
    counts.patience += found == Outcome::Patience ? 1 : 0;
    if (found == Outcome::EndsNever || found == Outcome::Faults) {
        ++counts.violations;
        const LoopProgram small = shrunk(runner, program, all);
        ADD_FAILURE() << "seed " << seed << ": accepted, but it "
                      << (found == Outcome::Faults ? "faults" : "never ends") << '\n'
                      << text_of(small.lines);
    }
}

TEST(Termination, AcceptedProgramsEnd) {
    const char* seconds = std::getenv("EBPFVM_TERMINATION_SECONDS");
    const char* first = std::getenv("EBPFVM_TERMINATION_SEED");
    std::uint64_t seed = first != nullptr ? std::strtoull(first, nullptr, 0) : 1;
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::seconds(seconds != nullptr ? std::atol(seconds) : 0);
    constexpr std::uint64_t kPrograms = 1500;
    Runner runner;
    Counts counts;
    while (seconds != nullptr ? std::chrono::steady_clock::now() < end
                              : counts.programs < kPrograms) {
        try_seed(runner, seed++, seconds != nullptr, counts);
        if (counts.violations >= 10 || HasFatalFailure()) {
            break;
        }
    }
    std::printf("%lu programs, %lu accepted, %lu of them with loops verified for all turns, %lu "
                "run for long; next seed %lu\n",
                counts.programs, counts.accepted, counts.summarised, counts.patience, seed);
    EXPECT_GT(counts.accepted * 10, counts.programs) << "the generator has become useless";
    EXPECT_GT(counts.summarised * 20, counts.accepted) << "the generator has become useless";
}

} // namespace
} // namespace ebpfvm::test
