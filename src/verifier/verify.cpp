// verify(): the pipeline of the verifier, on one screen.
#include "verifier/verify.hpp"

#include "prog/verify_ctx.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"
#include "verifier/explore.hpp"
#include "verifier/facts.hpp"
#include "verifier/fixpoint.hpp"
#include "verifier/log.hpp"
#include "verifier/report.hpp"
#include "verifier/shape.hpp"

#include <algorithm>
#include <chrono>

namespace ebpfvm {
namespace verifier {

class Seal {
  public:
    static prog::VerifiedProgram accept(const Env& env) {
        std::vector<bool> accesses_ctx(env.accessed.size());
        for (std::size_t i = 0; i < accesses_ctx.size(); ++i) {
            accesses_ctx[i] = env.accessed[i] == RegType::Ctx;
        }
        std::vector<std::optional<std::uint32_t>> call_map(env.call_map.size());
        for (std::size_t i = 0; i < call_map.size(); ++i) {
            if (env.call_map[i] < env.code.object->maps().size()) {
                call_map[i] = env.call_map[i];
            }
        }
        std::vector<prog::VerifiedProgram::SubprogStack> stacks;
        for (std::size_t i = 0; i < env.code.subprogs.size(); ++i) {
            stacks.push_back({env.code.subprogs[i].first, round_up(env.stack_depth[i], 8U)});
        }
        std::vector<prog::Ways> ways(env.ways.begin(), env.ways.end());
        std::vector<prog::Callback> callbacks(env.callbacks.begin(), env.callbacks.end());
        return {*env.code.program,
                std::move(ways),
                std::move(accesses_ctx),
                std::move(call_map),
                std::move(callbacks),
                std::move(stacks),
                env.options.allow_uninit_stack};
    }
};

namespace {

State entry_state(Env& env) {
    State state(env.pool);
    Frame& frame = state.push_frame();
    frame.regs[1] = Reg::pointer(RegType::Ctx);
    return state;
}

// A global function is verified once, for all arguments that its signature allows.
State global_state(Env& env, std::uint32_t subprog) {
    State state(env.pool);
    Frame& frame = state.push_frame();
    frame.subprog = subprog;
    const auto& params = env.code.subprogs[subprog].params;
    for (std::size_t i = 0; i < params.size() && i < kMaxArgs; ++i) {
        Reg& reg = frame.regs[i + 1];
        if (!params[i].is_pointer) {
            reg = Reg::unknown();
        } else if (params[i].is_ctx) {
            reg = Reg::pointer(RegType::Ctx);
        } else {
            reg = Reg::pointer(RegType::Mem, params[i].size);
            reg.id = env.fresh_id();
            if (!params[i].is_nonnull) {
                reg.flags = reg_flags::kMaybeNull;
            }
        }
    }
    return state;
}

using Entries = std::vector<std::pair<State, std::uint32_t>>;

// Loops are summarised, which makes long ones short. But a summary relies on everything the loop
// starts with, so that what follows it is seldom covered: where summaries do not help soon, turns
// are gone through one by one, as Linux does; if that is too much, summaries have the last word.
bool explore_paths(Env& env, VerifierStats& stats, const State& entry, std::uint32_t at) {
    constexpr std::uint64_t kSoon = 65'536; // insns
    const std::uint64_t max = env.options.max_explored;
    std::vector<Explorer::Attempt> attempts = {{false, max, max}};
    if (env.options.summarise_loops) {
        attempts = {{true, max, std::min(max, kSoon)}, {false, max, max}, {true, max, max}};
    }
    for (std::size_t i = 0;; ++i) {
        Explorer explorer(env, stats, attempts[i]);
        const std::uint64_t summarised = stats.summarised_loops;
        if (explorer.run(entry, at)) {
            return true;
        }
        const bool may_try_again = env.rejection.slug == Slug::TooManyInsns &&
                                   i + 1 < attempts.size() && max > kSoon &&
                                   (i > 0 || stats.summarised_loops > summarised);
        if (!may_try_again) {
            return false;
        }
        env.path.rewind({}); // while the nodes on it exist
        env.path.retired().clear();
    }
}

bool explore(Env& env, VerifierStats& stats, State entry, std::uint32_t at) {
    switch (env.options.strategy) {
    case MergeStrategy::Prune:
        return explore_paths(env, stats, entry, at);
    case MergeStrategy::Join:
        return check_loops(env) && Fixpoint(env, stats, Judging::On).run(std::move(entry), at);
    }
    std::unreachable();
}

// The program, then each global function that it calls. `entries` gets where they began.
bool explore_all(Env& env, VerifierStats& stats, Entries& entries) {
    entries.emplace_back(entry_state(env), 0);
    if (!explore(env, stats, entries.back().first, 0)) {
        return false;
    }
    std::vector<bool> done(env.called.size(), false);
    for (bool changed = true; changed;) {
        changed = false;
        for (std::uint32_t i = 1; i < env.called.size(); ++i) {
            if (!env.called[i] || done[i]) {
                continue;
            }
            done[i] = changed = true;
            const std::uint32_t first = env.code.subprogs[i].first;
            entries.emplace_back(global_state(env, i), first);
            if (!check_signature(env, i) || !explore(env, stats, entries.back().first, first)) {
                return false;
            }
        }
    }
    return true;
}

void judge(Env& env, Report& report) {
    Entries entries;
    const bool is_accepted = check_shape(env) && explore_all(env, report.stats, entries) &&
                             check_stack_depth(env, report.stats.stack);
    report.stats.peak_bytes = std::max(report.stats.peak_bytes, env.pool.peak_bytes());
    log_end(env, report.stats, is_accepted);
    if (!is_accepted) {
        report.diagnostic = diagnose(env);
        report.verdict = verdict_of(report.diagnostic->slug);
        return;
    }
    report.verdict = Verdict::Accept;
    if (env.options.facts) {
        report.facts = collect_facts(env, entries);
    }
}

} // namespace

Report judge(const Object& object, const Program& program, const VerifierOptions& options,
             std::optional<prog::VerifiedProgram>* verified) {
    const auto start = std::chrono::steady_clock::now();
    Report report;
    const auto code = prepare(object, program, options);
    if (!code) {
        report.diagnostic = Diagnostic{.slug = Slug::InvalidInsn, .message = code.error().message};
        report.diagnostic->help = info(Slug::InvalidInsn).help;
    } else {
        Env env(*code, options);
        judge(env, report);
        if (report.verdict == Verdict::Accept && verified != nullptr) {
            *verified = Seal::accept(env);
        }
    }
    report.stats.nanoseconds =
        std::uint64_t(std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
    return report;
}

} // namespace verifier

Expected<Report> verify(const Object& object, const Program& program,
                        const VerifierOptions& options) {
    const auto is_this = [&](const Program& other) { return &other == &program; };
    if (std::ranges::none_of(object.programs(), is_this)) {
        return fail(Errc::InvalidArgument, "{}: program \"{}\" is not one of the object's",
                    object.name(), program.name);
    }
    return verifier::judge(object, program, options, nullptr);
}

} // namespace ebpfvm
