// Calls of the program's own functions, callbacks that helpers make, and exits.
#include "ebpfvm/helper.hpp"
#include "prog/return_range.hpp"
#include "verifier/alu.hpp"
#include "verifier/call.hpp"
#include "verifier/mem.hpp"
#include "verifier/stack.hpp"

namespace ebpfvm::verifier {
namespace {

using isa::Shape;

// May the callee read and write `size` bytes there?
bool check_pointed(Env& env, const State& state, unsigned number, std::uint32_t size,
                   const SubprogInfo& callee) {
    Reg reg = state.reg(number);
    reg.flags &= std::uint8_t(~reg_flags::kMaybeNull); // the callee checks
    for (const Access access : {Access::Read, Access::Write}) {
        const MemAccess range{.off = 0, .size = size, .access = access};
        bool is_fine = false;
        switch (reg.type) {
        case RegType::Stack:
            is_fine = check_stack_region(env, state, number, range);
            break;
        case RegType::MapValue:
            is_fine = check_map_value(env, number, reg, range);
            break;
        case RegType::Mem:
            is_fine = check_mem(env, number, reg, range);
            break;
        case RegType::Packet:
        case RegType::PacketMeta:
            if (callee.changes_packet) { // it would not know that the pointer becomes stale
                return env.reject<Slug::CallArg>(number, describe(reg), number, callee.source->name,
                                                 "memory outside the packet, which it may move");
            }
            is_fine = check_packet(env, number, reg, range);
            break;
        default: // not memory
            return env.reject<Slug::CallArg>(number, describe(reg), number, callee.source->name,
                                             fmt::format("a pointer to {} bytes", size));
        }
        if (!is_fine) {
            return false;
        }
    }
    return true;
}

bool check_param(Env& env, const State& state, unsigned number, const SubprogParam& param,
                 const SubprogInfo& callee) {
    const std::string_view function = callee.source->name;
    const Reg& reg = state.reg(number);
    if (!check_init(env, state, number)) {
        return false;
    }
    if (!param.is_pointer) {
        return reg.is_scalar() ||
               env.reject<Slug::CallArg>(number, describe(reg), number, function, "a number");
    }
    if (param.is_ctx) {
        if (reg.type != RegType::Ctx) {
            return env.reject<Slug::CallArg>(number, describe(reg), number, function, "ctx");
        }
        return reg.off == 0 || env.reject<Slug::CtxModified>(number, reg.off);
    }
    if (reg.is_null() && !param.is_nonnull) {
        env.demand(state, number);
        return true;
    }
    if (reg.may_be_null() && param.is_nonnull) {
        return env.reject<Slug::CallArg>(number, describe(reg), number, function, "not null");
    }
    if (param.size == 0) {
        return env.reject<Slug::CallArg>(number, describe(reg), number, function,
                                         "a pointer to a type of known size");
    }
    return check_pointed(env, state, number, param.size, callee);
}

} // namespace

bool check_local_call(Env& env, const State& state, const Step& step) {
    const std::uint32_t subprog = env.code.subprog_at(step.target);
    const SubprogInfo& callee = env.code.subprogs[subprog];
    if (state.depth() == kMaxFrames) {
        return env.reject<Slug::CallDepth>(kMaxFrames + 1, kMaxFrames);
    }
    if (state.lock.is_held() && callee.is_global) {
        return env.reject<Slug::CallInLock>("call of a global function");
    }
    if (!callee.is_global) {
        return true;
    }
    const auto& params = callee.params;
    for (unsigned i = 0; i < params.size() && i < kMaxArgs; ++i) {
        if (!check_param(env, state, i + 1, params[i], callee)) {
            return false;
        }
    }
    return true;
}

std::uint32_t transfer_local_call(Env& env, State& state, const Step& step) {
    const std::uint32_t subprog = env.code.subprog_at(step.target);
    if (env.code.subprogs[subprog].is_global) {
        env.called[subprog] = true;
        for (unsigned i = 0; i < env.code.subprogs[subprog].params.size(); ++i) {
            const Reg reg = state.reg(i + 1);
            const std::uint32_t size = env.code.subprogs[subprog].params[i].size;
            if (env.code.subprogs[subprog].params[i].is_pointer && !reg.is_pointer() &&
                !reg.is_null()) {
                clobber_all(env, state); // only where nothing is judged
            }
            if (reg.type == RegType::Stack) {
                read_stack_region(env, state, reg, size);
                clobber_stack(env, state, reg, size);
            }
        }
        clobber_args(state);
        state.own_top().regs[0] = Reg::unknown();
        if (env.code.subprogs[subprog].changes_packet) {
            forget_packets(state);
        }
        return step.next;
    }
    env.path.last().flags |= TraceEntry::kEntered;
    const Frame& caller = state.top();
    std::array<Reg, kMaxArgs> args;
    for (unsigned i = 0; i < kMaxArgs; ++i) {
        args[i] = caller.regs[i + 1];
    }
    clobber_args(state);
    state.own_top().regs[0] = Reg{};
    Frame& callee = state.push_frame();
    callee.callsite = env.at;
    callee.subprog = subprog;
    callee.kind = FrameKind::Call;
    for (unsigned i = 0; i < kMaxArgs; ++i) {
        callee.regs[i + 1] = args[i];
    }
    env.path.write_frame(state.depth() - 1);
    return step.target;
}

bool check_callback(Env& env, const State& state, const CallMeta& meta) {
    if (state.depth() == kMaxFrames) {
        return env.reject<Slug::CallDepth>(kMaxFrames + 1, kMaxFrames);
    }
    if (is(meta, HelperId::for_each_map_elem) || is(meta, HelperId::loop) ||
        is(meta, HelperId::timer_set_callback)) {
        return true;
    }
    return env.reject<Slug::UnsupportedHelper>(meta.proto->name,
                                               "its callback gets kernel objects");
}

bool may_call_back(Env& env, const State& state, const CallMeta& meta) {
    if (!is(meta, HelperId::loop)) {
        return true;
    }
    if (!state.reg(1).is_scalar()) {
        return true; // only where nothing is judged
    }
    env.demand(state, 1);
    return state.top().callbacks < state.reg(1).var.u64.max;
}

void enter_callback(Env& env, State& entered, const CallMeta& meta) {
    const Frame& caller = entered.top();
    const Reg count = caller.regs[1];
    const Reg map = caller.regs[1];
    const Reg data = caller.regs[3];
    ++entered.own_top().callbacks;
    Frame& callee = entered.push_frame();
    callee.callsite = env.at;
    callee.subprog = env.code.subprog_at(meta.callback);
    callee.kind = FrameKind::Callback;
    callee.return_max = 1;
    if (is(meta, HelperId::loop)) {
        callee.regs[1] = Reg::scalar(
            !count.is_scalar() ? Scalar::of_bits(32)
            : count.var.u64.max == 0
                ? Scalar::constant(0)
                : Scalar::in(0, std::min<std::uint64_t>(count.var.u64.max, 1U << 23) - 1));
        callee.regs[2] = data;
    } else {
        const Reg& its_map = is(meta, HelperId::timer_set_callback) ? map : meta.map;
        callee.regs[1] = Reg::pointer(RegType::ConstMapPtr, its_map.aux);
        callee.regs[1].map_uid = its_map.map_uid;
        callee.regs[2] = Reg::pointer(RegType::MapKey, its_map.aux);
        callee.regs[3] = Reg::pointer(RegType::MapValue, its_map.aux);
        callee.regs[3].id = env.fresh_id();
        callee.regs[3].map_uid = its_map.map_uid;
        if (!is(meta, HelperId::timer_set_callback)) {
            callee.regs[4] = data;
        }
    }
    if (is(meta, HelperId::timer_set_callback)) {
        callee.kind = FrameKind::AsyncCallback;
        entered.refs.clear(); // they are the caller's affair
        callee.return_max = 0;
    }
    env.path.write_frame(entered.depth() - 1);
}

bool check_return_value(Env& env, const State& state, std::int64_t min, std::int64_t max,
                        std::string_view what) {
    const Reg& r0 = state.reg(0);
    if (!r0.is_scalar()) {
        return env.reject<Slug::ReturnRange>(describe(r0), what, min, max);
    }
    env.demand(state, 0);
    if (r0.var.s64.min < min || r0.var.s64.max > max) {
        return env.reject<Slug::ReturnRange>(describe(r0.var), what, min, max);
    }
    return true;
}

bool check_exit(Env& env, const State& state) {
    const Frame& frame = state.top();
    switch (frame.kind) {
    case FrameKind::Call:
        if (frame.regs[0].type == RegType::Stack) {
            return env.reject<Slug::SubprogReturn>("cannot return stack pointer to the caller");
        }
        return true;
    case FrameKind::AsyncCallback:
        if (!check_nothing_held(env, state, "exit")) {
            return false;
        }
        [[fallthrough]];
    case FrameKind::Callback:
        if (frame.regs[0].type == RegType::NotInit) {
            return env.reject<Slug::ReturnUninit>();
        }
        return check_return_value(env, state, frame.return_min, frame.return_max, "a callback");
    case FrameKind::Entry:
        break;
    }
    if (!check_nothing_held(env, state, "exit")) {
        return false;
    }
    if (frame.regs[0].type == RegType::NotInit) {
        return env.reject<Slug::ReturnUninit>();
    }
    if (frame.subprog != 0) {
        return frame.regs[0].is_scalar() ||
               env.reject<Slug::SubprogReturn>(
                   fmt::format("r0 is {} at the exit of a global function, not a number",
                               describe(frame.regs[0])));
    }
    const Program& program = *env.code.program;
    if (const auto range = prog::return_range(program.type, program.attach_type)) {
        return check_return_value(env, state, range->min, range->max,
                                  fmt::format("a program of type {}", name_of(program.type)));
    }
    return true;
}

std::uint32_t transfer_exit(Env& env, State& state) {
    const Frame& frame = state.top();
    const std::uint32_t callsite = frame.callsite;
    const FrameKind kind = frame.kind;
    const Reg result = frame.regs[0];
    state.pop_frame();
    switch (kind) {
    case FrameKind::Call:
        state.own_top().regs[0] = result;
        return env.code.steps[callsite].next;
    case FrameKind::Callback:
        env.path.last().flags |= TraceEntry::kEntered;
        return callsite;
    case FrameKind::Entry:
    case FrameKind::AsyncCallback:
        return cfg::kNone;
    }
    std::unreachable();
}

bool check_packet_load(Env& env, const State& state, const Step& step) {
    const ProgType type = env.code.program->type;
    if (type != ProgType::SocketFilter && type != ProgType::SchedCls &&
        type != ProgType::SchedAct) {
        return env.reject<Slug::InvalidInsn>(
            fmt::format("BPF_LD_[ABS|IND] is not allowed in programs of type {}", name_of(type)));
    }
    if (!check_nothing_held(env, state, "BPF_LD_[ABS|IND]")) {
        return false;
    }
    if (!check_init(env, state, 6)) {
        return false;
    }
    if (state.reg(6).type != RegType::Ctx) {
        return env.reject<Slug::InvalidMem>(6U, "BPF_LD_[ABS|IND] needs ctx in r6");
    }
    if (state.reg(6).off != 0) {
        return env.reject<Slug::CtxModified>(6U, state.reg(6).off);
    }
    return step.shape != Shape::LdInd || check_init(env, state, step.src);
}

void transfer_packet_load(State& state) {
    clobber_args(state);
    state.own_top().regs[0] = Reg::unknown();
}

} // namespace ebpfvm::verifier
