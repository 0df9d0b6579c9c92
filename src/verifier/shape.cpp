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

// Depth-first over calls, each function once.
class StackChains {
  public:
    StackChains(Env& env, std::uint32_t& deepest)
        : env_(env), deepest_(deepest), has_private_stacks_(gives_private_stacks(env)),
          needs_(env.code.subprogs.size()) {}

    bool check() {
        const std::uint32_t end = env_.at;
        if (!visit(0, 1)) {
            return false;
        }
        const Need& need = needs_[0];
        deepest_ = std::max(deepest_, need.bytes);
        if (deepest_ > env_.options.max_stack) {
            env_.at = need.calls > 1 ? need.at : end;
            return env_.reject<Slug::StackTooLarge>(need.calls, deepest_, env_.options.max_stack);
        }
        return true;
    }

  private:
    // What a function and all that it calls need.
    struct Need {
        std::uint32_t frames = 0; // of the longest chain; 0: not known yet
        std::uint32_t bytes = 0;  // of the chain that needs most
        std::uint32_t calls = 1;  // functions in that chain
        std::uint32_t at = 0;     // its last call
        bool is_active = false;
    };

    bool visit(std::uint32_t subprog, unsigned depth) {
        needs_[subprog].is_active = true;
        Need need{.frames = 1, .bytes = 0, .calls = 1, .at = 0, .is_active = false};
        const SubprogInfo& info = env_.code.subprogs[subprog];
        for (std::uint32_t at = info.first; at < info.end; ++at) {
            const Step& step = env_.code.steps[at];
            if (step.next == 0 || (step.shape != Shape::CallLocal && step.op != Op::LddwFunc)) {
                continue;
            }
            env_.at = at;
            const std::uint32_t callee = env_.code.subprog_at(step.target);
            if (!visit_callee(callee, depth)) {
                return false;
            }
            const Need& below = needs_[callee];
            need.frames = std::max(need.frames, below.frames + 1);
            if (below.bytes > need.bytes) {
                need.bytes = below.bytes;
                need.calls = below.calls + 1;
                need.at = below.calls > 1 ? below.at : at;
            }
        }
        const std::uint32_t own = round_up(std::max(env_.stack_depth[subprog], 1U), 32U);
        if (has_private_stacks_ && own >= kMinPrivateStack) {
            deepest_ = std::max(deepest_, own);
        } else {
            need.bytes += own;
        }
        needs_[subprog] = need;
        return true;
    }

    bool visit_callee(std::uint32_t callee, unsigned depth) {
        if (needs_[callee].is_active) {
            return env_.reject<Slug::Recursion>();
        }
        if (depth == kMaxFrames || depth + needs_[callee].frames > kMaxFrames) {
            return env_.reject<Slug::CallDepth>(kMaxFrames + 1, kMaxFrames);
        }
        return needs_[callee].frames != 0 || visit(callee, depth + 1);
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
    std::vector<Need> needs_; // by subprogram
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
    return StackChains(env, deepest).check();
}

} // namespace ebpfvm::verifier
