// Dispatch of insns to their checks and transfers, and where control goes.
#include "verifier/step.hpp"

#include "verifier/alu.hpp"
#include "verifier/call.hpp"
#include "verifier/jmp.hpp"
#include "verifier/mem.hpp"

#include <algorithm>

namespace ebpfvm::verifier {

using isa::Shape;

namespace {

// Other domains than the product forget a part of every number.
void project_numbers(State& state, NumericDomain domain) {
    for (unsigned r = 0; r < kFramePointer; ++r) {
        const Reg& reg = state.reg(r);
        if (reg.type != RegType::NotInit && !reg.var.is_constant()) {
            state.own_top().regs[r].var = project(reg.var, domain);
        }
    }
}

} // namespace

bool Stepper::step(State& state, std::uint32_t at) {
    env_.ways[at].is_reached |= judging_ == Judging::On;
    if (!dispatch(state, at)) {
        return false;
    }
    if (env_.options.domain != NumericDomain::Product) {
        project_numbers(state, env_.options.domain);
        for (Successor& other : others_) {
            project_numbers(other.state, env_.options.domain);
        }
    }
    return true;
}

bool Stepper::dispatch(State& state, std::uint32_t at) {
    const Step& step = env_.code.steps[at];
    next_ = step.next;
    switch (step.shape) {
    case Shape::JmpImm:
    case Shape::JmpReg:
    case Shape::MayGoto:
        return jump(state, step);
    case Shape::Ja:
    case Shape::Jal:
        next_ = step.target;
        return true;
    case Shape::CallHelper:
    case Shape::CallKfunc:
    case Shape::CallLocal:
        return call(state, step);
    case Shape::Exit:
        return leave(state);
    case Shape::LdAbs:
    case Shape::LdInd:
        return packet_load(state, step);
    default: // the rest goes on behind itself
        return plain(state, step);
    }
}

bool Stepper::plain(State& state, const Step& step) {
    const bool judges = judging_ == Judging::On;
    if (step.writes_frame_pointer) {
        return env_.reject<Slug::FramePointer>();
    }
    switch (step.shape) {
    case Shape::AluImm:
    case Shape::AluReg:
    case Shape::Neg:
    case Shape::Movsx:
    case Shape::Swap:
        if (judges && !check_alu(env_, state, step)) {
            return false;
        }
        transfer_alu(env_, state, step);
        return true;
    case Shape::Lddw:
        if (judges && !check_lddw(env_, step)) {
            return false;
        }
        transfer_lddw(state, step);
        return true;
    case Shape::Load:
    case Shape::LoadAcquire:
        if (judges && !check_load(env_, state, step)) {
            return false;
        }
        transfer_load(env_, state, step);
        return true;
    case Shape::StoreImm:
    case Shape::StoreReg:
    case Shape::StoreRelease:
        if (judges && !check_store(env_, state, step)) {
            return false;
        }
        transfer_store(env_, state, step);
        return true;
    case Shape::Atomic:
    case Shape::AtomicFetch:
        if (judges && !check_atomic(env_, state, step)) {
            return false;
        }
        transfer_atomic(env_, state, step);
        return true;
    case Shape::Callx:
    case Shape::CallxImm:
        return env_.reject<Slug::UnsupportedInsn>("indirect calls are not supported");
    case Shape::AddrSpaceCast:
        return env_.reject<Slug::UnsupportedInsn>(
            "addr_space_cast needs an arena, which is not supported");
    default: // step() has the others
        std::unreachable();
    }
}

bool Stepper::jump(State& state, const Step& step) {
    if (step.shape == Shape::MayGoto) {
        others_.push_back({state, step.target});
        return true;
    }
    if (judging_ == Judging::On && !check_jmp(env_, state, step)) {
        return false;
    }
    State taken;
    const Edges edges = transfer_jmp(env_, state, taken, step);
    if (judging_ == Judging::On) {
        env_.ways[env_.at].falls |= edges != Edges::Taken;
        env_.ways[env_.at].jumps |= edges != Edges::Fall;
    }
    switch (edges) {
    case Edges::Fall:
        return true;
    case Edges::Taken:
        env_.path.last().flags |= TraceEntry::kTaken;
        next_ = step.target;
        return true;
    case Edges::Both:
        others_.push_back({std::move(taken), step.target});
        return true;
    }
    std::unreachable();
}

bool Stepper::call(State& state, const Step& step) {
    if (step.shape != Shape::CallLocal) {
        return call_helper(state, step);
    }
    if (judging_ == Judging::On && !check_local_call(env_, state, step)) {
        return false;
    }
    next_ = transfer_local_call(env_, state, step);
    return true;
}

bool Stepper::call_helper(State& state, const Step& step) {
    CallMeta meta;
    if (judging_ == Judging::On) {
        if (!check_helper(env_, state, step, meta)) {
            return false;
        }
    } else if (!describe_call(state, step, meta)) {
        return false;
    }
    if (meta.callback != cfg::kNone) {
        if (!check_callback(env_, state, meta)) {
            return false;
        }
        note_callback({env_.at, meta.callback});
        if (may_call_back(env_, state, meta)) {
            State entered = state;
            enter_callback(env_, entered, meta);
            others_.push_back({std::move(entered), meta.callback});
        }
        state.own_top().callbacks = 0;
    }
    if (meta.id == kTailCallId && state.depth() > 1 && !tail_call(state)) {
        return false;
    }
    transfer_helper(env_, state, meta);
    return true;
}

void Stepper::note_callback(const prog::Callback& callback) {
    if (judging_ == Judging::On &&
        std::ranges::find(env_.callbacks, callback) == env_.callbacks.end()) {
        env_.callbacks.push_back(callback);
    }
}

// The program that a tail call runs returns in the place of the function that made the call.
bool Stepper::tail_call(const State& state) {
    State ended = state;
    ended.own_top().regs[0] = Reg::unknown();
    forget_packets(ended);
    return return_early(std::move(ended));
}

// A load outside the packet ends the function with r0 = 0.
bool Stepper::packet_load(State& state, const Step& step) {
    if (judging_ == Judging::On && !check_packet_load(env_, state, step)) {
        return false;
    }
    if (state.depth() > 1) {
        State ended = state;
        ended.own_top().regs[0] = Reg::scalar(Scalar::constant(0));
        if (!return_early(std::move(ended))) {
            return false;
        }
    }
    transfer_packet_load(state);
    return true;
}

bool Stepper::return_early(State ended) {
    if (judging_ == Judging::On && !check_exit(env_, ended)) {
        return false;
    }
    const std::uint32_t to = transfer_exit(env_, ended);
    env_.path.last().flags = 0;
    if (to != cfg::kNone) {
        others_.push_back({std::move(ended), to});
    }
    return true;
}

bool Stepper::leave(State& state) {
    if (judging_ == Judging::On && !check_exit(env_, state)) {
        return false;
    }
    next_ = state.depth() == 1 ? cfg::kNone : transfer_exit(env_, state);
    return true;
}

} // namespace ebpfvm::verifier
