// verify(): the pipeline of the verifier, on one screen.
#include "ebpfvm/verifier.hpp"

#include "prog/verify_ctx.hpp"
#include "support/try.hpp"
#include "verifier/explore.hpp"
#include "verifier/facts.hpp"
#include "verifier/fixpoint.hpp"
#include "verifier/log.hpp"
#include "verifier/report.hpp"
#include "verifier/shape.hpp"

#include <chrono>

namespace ebpfvm {
namespace verifier {
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

bool explore(Env& env, VerifierStats& stats, State entry, std::uint32_t at) {
    switch (env.options.strategy) {
    case MergeStrategy::Prune:
        return Explorer(env, stats).run(std::move(entry), at);
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
} // namespace verifier

Expected<Report> verify(const Object& object, const Program& program,
                        const VerifierOptions& options) {
    const auto start = std::chrono::steady_clock::now();
    Report report;
    const auto code = verifier::prepare(object, program, options);
    if (!code) {
        report.diagnostic = Diagnostic{.slug = Slug::InvalidInsn, .message = code.error().message};
        report.diagnostic->help = info(Slug::InvalidInsn).help;
    } else {
        verifier::Env env(*code, options);
        verifier::judge(env, report);
    }
    report.stats.nanoseconds = std::uint64_t(
        std::chrono::nanoseconds(std::chrono::steady_clock::now() - start).count());
    return report;
}

} // namespace ebpfvm
