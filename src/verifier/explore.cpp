// The main loop: one insn after the other, until every path has ended or is covered.
#include "verifier/explore.hpp"

#include "verifier/alu.hpp"
#include "verifier/call.hpp"
#include "verifier/mem.hpp"
#include "verifier/subsume.hpp"

#include <algorithm>

namespace ebpfvm::verifier {

using isa::Shape;

bool Explorer::run(State state, std::uint32_t at) {
    env_.begin = state;
    for (;;) {
        switch (advance(state, at)) {
        case Progress::Continue:
            break;
        case Progress::PathDone:
            if (!take_pending(state, at)) {
                return true;
            }
            break;
        case Progress::Rejected:
            if (!recover(state, at)) {
                return false;
            }
            break;
        }
    }
}

Explorer::Progress Explorer::advance(State& state, std::uint32_t& at) {
    env_.at = at;
    if (skip_visit_) {
        skip_visit_ = false;
    } else if (env_.code.steps[at].is_prune_point) {
        switch (visit(state, at)) {
        case Visit::Explore:
            break;
        case Visit::Covered:
            return Progress::PathDone;
        case Visit::Rejected:
            return Progress::Rejected;
        }
    }
    if (!check_budget()) {
        return Progress::Rejected;
    }
    ++stats_.explored;
    const bool is_again = env_.code.steps[at].ends_by_itself && is_return();
    env_.path.push(at, state.depth());
    if (is_again) {
        env_.path.last().flags |= TraceEntry::kAgain;
    }
    return execute(state, at);
}

Explorer::Progress Explorer::execute(State& state, std::uint32_t& at) {
    const Step& step = env_.code.steps[at];
    bool is_fine = true;
    if (step.writes_frame_pointer) {
        (void)env_.reject<Slug::FramePointer>();
        return Progress::Rejected;
    }
    switch (step.shape) {
    case Shape::AluImm:
    case Shape::AluReg:
    case Shape::Neg:
    case Shape::Movsx:
    case Shape::Swap:
        if ((is_fine = check_alu(env_, state, step))) {
            transfer_alu(env_, state, step);
        }
        break;
    case Shape::Lddw:
        if ((is_fine = check_lddw(env_, state, step))) {
            transfer_lddw(env_, state, step);
        }
        break;
    case Shape::Load:
    case Shape::LoadAcquire:
        if ((is_fine = check_load(env_, state, step))) {
            transfer_load(env_, state, step);
        }
        break;
    case Shape::StoreImm:
    case Shape::StoreReg:
    case Shape::StoreRelease:
        if ((is_fine = check_store(env_, state, step))) {
            transfer_store(env_, state, step);
        }
        break;
    case Shape::Atomic:
    case Shape::AtomicFetch:
        if ((is_fine = check_atomic(env_, state, step))) {
            transfer_atomic(env_, state, step);
        }
        break;
    case Shape::LdAbs:
    case Shape::LdInd:
        return execute_packet_load(state, at);
    case Shape::JmpImm:
    case Shape::JmpReg:
    case Shape::MayGoto:
        return execute_jmp(state, at);
    case Shape::Ja:
    case Shape::Jal:
        ++jumps_;
        return follow(step.target, at);
    case Shape::CallHelper:
    case Shape::CallKfunc:
    case Shape::CallLocal:
        return execute_call(state, at);
    case Shape::Callx:
    case Shape::CallxImm:
        is_fine = env_.reject<Slug::UnsupportedInsn>("indirect calls are not supported");
        break;
    case Shape::AddrSpaceCast:
        is_fine = env_.reject<Slug::UnsupportedInsn>("addr_space_cast needs an arena, which is not supported");
        break;
    case Shape::Exit:
        return execute_exit(state, at);
    }
    return is_fine ? follow(step.next, at) : Progress::Rejected;
}

Explorer::Progress Explorer::follow(std::uint32_t to, std::uint32_t& at) {
    at = to;
    return Progress::Continue;
}

Explorer::Progress Explorer::execute_jmp(State& state, std::uint32_t& at) {
    const Step& step = env_.code.steps[at];
    ++jumps_;
    if (step.shape == Shape::MayGoto) {
        if (!push(state, step.target)) {
            return Progress::Rejected;
        }
        return follow(step.next, at);
    }
    if (!check_jmp(env_, state, step)) {
        return Progress::Rejected;
    }
    State taken;
    switch (transfer_jmp(env_, state, taken, step)) {
    case Edges::Fall:
        return follow(step.next, at);
    case Edges::Taken:
        env_.path.last().flags |= TraceEntry::kTaken;
        return follow(step.target, at);
    case Edges::Both:
        if (!push(std::move(taken), step.target)) {
            return Progress::Rejected;
        }
        return follow(step.next, at);
    }
    std::unreachable();
}

Explorer::Progress Explorer::execute_call(State& state, std::uint32_t& at) {
    const Step& step = env_.code.steps[at];
    ++jumps_;
    if (step.shape == Shape::CallLocal) {
        if (!check_local_call(env_, state, step)) {
            return Progress::Rejected;
        }
        return follow(transfer_local_call(env_, state, step), at);
    }
    CallMeta meta;
    if (!check_helper(env_, state, step, meta)) {
        return Progress::Rejected;
    }
    if (meta.callback != cfg::kNone) {
        if (!check_callback(env_, state, meta)) {
            return Progress::Rejected;
        }
        if (may_call_back(env_, state, meta)) {
            State entered = state;
            enter_callback(env_, entered, meta);
            if (!push(std::move(entered), meta.callback)) {
                return Progress::Rejected;
            }
        }
        state.own_top().callbacks = 0;
    }
    if (meta.id == kTailCallId && state.depth() > 1 && !push_tail_call(state)) {
        return Progress::Rejected;
    }
    transfer_helper(env_, state, meta);
    return follow(step.next, at);
}

// The program that a tail call runs returns in the place of the function that made the call.
bool Explorer::push_tail_call(const State& state) {
    State ended = state;
    ended.own_top().regs[0] = Reg::unknown();
    forget_packets(ended);
    if (!check_exit(env_, ended)) {
        return false;
    }
    const std::uint32_t to = transfer_exit(env_, ended);
    env_.path.last().flags = 0;
    return to == cfg::kNone || push(std::move(ended), to);
}

// A load outside the packet ends the function with r0 = 0.
Explorer::Progress Explorer::execute_packet_load(State& state, std::uint32_t& at) {
    const Step& step = env_.code.steps[at];
    if (!check_packet_load(env_, state, step)) {
        return Progress::Rejected;
    }
    if (state.depth() > 1) {
        State ended = state;
        ended.own_top().regs[0] = Reg::scalar(Scalar::constant(0));
        if (!check_exit(env_, ended)) {
            return Progress::Rejected;
        }
        const std::uint32_t to = transfer_exit(env_, ended);
        if (to != cfg::kNone && !push(std::move(ended), to)) {
            return Progress::Rejected;
        }
    }
    transfer_packet_load(env_, state, step);
    return follow(step.next, at);
}

Explorer::Progress Explorer::execute_exit(State& state, std::uint32_t& at) {
    if (!check_exit(env_, state)) {
        return Progress::Rejected;
    }
    if (state.depth() == 1) {
        return Progress::PathDone;
    }
    const std::uint32_t to = transfer_exit(env_, state);
    return to == cfg::kNone ? Progress::PathDone : follow(to, at);
}

bool Explorer::push(State state, std::uint32_t insn) {
    constexpr std::size_t kMaxPending = 8192; // BPF_COMPLEXITY_LIMIT_JMP_SEQ
    if (pending_.size() >= kMaxPending) {
        return env_.reject<Slug::TooManyBranches>(kMaxPending);
    }
    pending_.push_back({std::move(state), insn, env_.path.mark()});
    return true;
}

bool Explorer::take_pending(State& state, std::uint32_t& at) {
    if (pending_.empty()) {
        env_.path.rewind({});
        confirm_guesses();
        return false;
    }
    Pending& next = pending_.back();
    state = std::move(next.state);
    at = next.insn;
    env_.path.rewind(next.mark);
    TraceEntry& last = env_.path.last(); // there is one: entries have no second way to go
    if (state.depth() > last.depth) {
        last.flags |= TraceEntry::kEntered;
        env_.path.write_frame(state.depth() - 1);
    } else {
        last.flags |= TraceEntry::kTaken;
    }
    pending_.pop_back();
    confirm_guesses();
    for (Node* node : env_.path.retired()) {
        node->state.clear();
        free_nodes_.push_back(node);
    }
    env_.path.retired().clear();
    return true;
}

bool Explorer::check_budget() {
    constexpr std::uint64_t kGuessBudget = 20'000;
    if (!guesses_.empty() && stats_.explored - guesses_.back().explored >
                                 kGuessBudget + guesses_.back().explored) {
        return env_.reject<Slug::TooManyInsns>(stats_.explored, busiest_place());
    }
    if (stats_.explored >= env_.options.max_explored) {
        guesses_.clear();
        return env_.reject<Slug::TooManyInsns>(stats_.explored, busiest_place());
    }
    if ((stats_.explored & 255) == 0) {
        const std::uint64_t bytes =
            env_.pool.bytes() + (nodes_.size() - free_nodes_.size()) * sizeof(Node) +
            pending_.size() * sizeof(Pending) + env_.path.trace().size() * sizeof(TraceEntry);
        stats_.peak_bytes = std::max(stats_.peak_bytes, bytes);
        if (bytes > env_.options.max_bytes) {
            return env_.reject<Slug::TooMuchMemory>(env_.options.max_bytes);
        }
    }
    return true;
}

std::string Explorer::busiest_place() const {
    std::vector<std::uint32_t> visits(env_.code.steps.size());
    for (const TraceEntry& entry : env_.path.trace()) {
        ++visits[entry.insn];
    }
    std::size_t busiest = 0;
    for (std::size_t i = 0; i < visits.size(); ++i) {
        if (env_.code.steps[i].is_loop_head && visits[i] > visits[busiest]) {
            busiest = i;
        }
    }
    if (visits[busiest] < 2) {
        return "there are too many branches";
    }
    return fmt::format("the loop at insn {} was gone through {} times", busiest, visits[busiest]);
}

} // namespace ebpfvm::verifier
