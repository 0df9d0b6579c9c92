// Checks of the whole program: before exploration its structure, after it the stack it needs.
#include "verifier/shape.hpp"

#include "prog/map_access.hpp"
#include "prog/verify_ctx.hpp"
#include "support/bits.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

using isa::Op;
using isa::Shape;

bool needs_kernel_types(ProgType type) {
    return type == ProgType::Tracing || type == ProgType::Lsm || type == ProgType::StructOps ||
           type == ProgType::Ext;
}

bool check_reachable(Env& env) {
    for (const cfg::BasicBlock& block : env.code.cfg.blocks) {
        if (!block.is_reachable) {
            env.at = block.first;
            return env.reject<Slug::UnreachableInsn>();
        }
    }
    return true;
}

bool check_maps(Env& env) {
    const ProgType type = env.code.program->type;
    for (std::uint32_t at = 0; at < env.code.steps.size(); ++at) {
        const Step& step = env.code.steps[at];
        if (step.op != Op::LddwMapIdx && step.op != Op::LddwMapValueIdx) {
            continue;
        }
        const std::uint32_t index = std::uint32_t(step.imm);
        if (step.next == 0 || index >= env.code.object->maps().size()) {
            continue;
        }
        const MapSpec& map = *env.code.maps[index];
        env.at = at;
        if (map.type == MapType::Arena) {
            return env.reject<Slug::UnsupportedInsn>("arenas are not supported");
        }
        for (const MapField& field : map.fields) {
            if (!prog::may_use_field(type, field.kind)) {
                return env.reject<Slug::MapProgType>(
                    fmt::format("programs of type {} cannot use map \"{}\", which has a {}",
                                name_of(type), map.name, field.kind));
            }
        }
    }
    return true;
}

// Depth-first over calls, with the stack of the chain so far.
class StackChains {
  public:
    StackChains(Env& env, std::uint32_t& deepest)
        : env_(env), deepest_(deepest), has_private_stacks_(gives_private_stacks(env)) {}

    bool visit(std::uint32_t subprog, std::uint32_t above, unsigned depth) {
        if (depth > kMaxFrames) {
            return is_active(subprog) ? env_.reject<Slug::Recursion>()
                                      : env_.reject<Slug::CallDepth>(depth, kMaxFrames);
        }
        const std::uint32_t own = round_up(std::max(env_.stack_depth[subprog], 1U), 32U);
        const bool is_private = has_private_stacks_ && own >= kMinPrivateStack;
        const std::uint32_t total = is_private ? above : above + own;
        deepest_ = std::max(deepest_, is_private ? own : total);
        if (total > env_.options.max_stack || own > env_.options.max_stack) {
            return env_.reject<Slug::StackTooLarge>(depth, total, env_.options.max_stack);
        }
        active_.push_back(subprog);
        const SubprogInfo& info = env_.code.subprogs[subprog];
        for (std::uint32_t at = info.first; at < info.end; ++at) {
            const Step& step = env_.code.steps[at];
            if (step.next == 0 || (step.shape != Shape::CallLocal && step.op != Op::LddwFunc)) {
                continue;
            }
            env_.at = at;
            const std::uint32_t callee = env_.code.subprog_at(step.target);
            if (is_active(callee)) {
                return env_.reject<Slug::Recursion>();
            }
            if (!visit(callee, total, depth + 1)) {
                return false;
            }
        }
        active_.pop_back();
        return true;
    }

  private:
    bool is_active(std::uint32_t subprog) const {
        return std::ranges::find(active_, subprog) != active_.end();
    }

    static constexpr std::uint32_t kMinPrivateStack = 64; // BPF_PRIV_STACK_MIN_SIZE

    // Linux gives the larger functions of tracing programs a stack each, which does not count.
    static bool gives_private_stacks(const Env& env) {
        const ProgType type = env.code.program->type;
        const bool is_tracing = type == ProgType::Kprobe || type == ProgType::Tracepoint ||
                                type == ProgType::PerfEvent || type == ProgType::RawTracepoint;
        return is_tracing && std::ranges::none_of(env.code.steps, [](const Step& step) {
                   return step.shape == Shape::CallHelper && step.imm == kTailCallId;
               });
    }

    Env& env_;
    std::uint32_t& deepest_;
    bool has_private_stacks_;
    std::vector<std::uint32_t> active_;
};

} // namespace

bool check_shape(Env& env) {
    const Program& program = *env.code.program;
    if (needs_kernel_types(program.type)) {
        return env.reject<Slug::UnsupportedProgType>(name_of(program.type));
    }
    env.ctx = prog::ctx_layout(program.type, program.attach_type);
    if (env.ctx == nullptr && env.options.prog_types != nullptr) {
        const ProgTypeInfo* info = env.options.prog_types->find(program.type);
        env.ctx = info != nullptr ? info->ctx : nullptr;
    }
    return check_reachable(env) && check_maps(env);
}

bool check_loops(Env& env) {
    for (std::uint32_t at = 0; at < env.code.steps.size(); ++at) {
        const Step& step = env.code.steps[at];
        if (step.is_loop_head && step.shape != Shape::MayGoto) {
            env.at = at;
            return env.reject<Slug::UnprovedLoop>();
        }
    }
    return true;
}

bool check_signature(Env& env, std::uint32_t subprog) {
    env.at = env.code.subprogs[subprog].first;
    return true;
}

bool check_stack_depth(Env& env, std::uint32_t& deepest) {
    return StackChains(env, deepest).visit(0, 0, 1);
}

} // namespace ebpfvm::verifier
