// Calls of helpers: whether the program may make them, and what they leave behind.
#include "ebpfvm/helper.hpp"
#include "maps/map_of_maps.hpp"
#include "prog/map_access.hpp"
#include "verifier/alu.hpp"
#include "verifier/call.hpp"
#include "verifier/stack.hpp"

#include <algorithm>
#include <array>

namespace ebpfvm::verifier {
namespace {

constexpr std::array<std::string_view, 6> kGplLicenses = {
    "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};

bool check_allowed(Env& env, const Step& step, const CallMeta& meta) {
    const Program& program = *env.code.program;
    if (!step.is_offered) {
        return env.reject<Slug::HelperNotAllowed>(name_of(program.type), meta.proto->name, meta.id);
    }
    if (has(meta.proto->flags, HelperFlags::Sleeps) &&
        (program.flags & prog_flags::kSleepable) == 0) {
        return env.reject<Slug::SleepingHelper>(meta.proto->name, meta.id);
    }
    const std::string& license = env.code.object->license();
    if (env.options.check_license && has(meta.proto->flags, HelperFlags::Gpl) &&
        std::ranges::find(kGplLicenses, license) == kGplLicenses.end()) {
        return env.reject<Slug::GplOnly>(meta.proto->name, meta.id, license);
    }
    return true;
}

bool changes_map(const CallMeta& meta) {
    return is(meta, HelperId::map_update_elem) || is(meta, HelperId::map_delete_elem) ||
           is(meta, HelperId::map_push_elem) || is(meta, HelperId::map_pop_elem);
}

bool check_map(Env& env, const CallMeta& meta) {
    if (meta.map.type != RegType::ConstMapPtr) {
        return true;
    }
    const MapSpec& map = env.map(meta.map);
    if (!prog::map_allows_helper(map.type, meta.id, env.code.program->type)) {
        return env.reject<Slug::MapHelper>(map.name, name_of(map.type), meta.proto->name);
    }
    if (changes_map(meta) && (map.flags & map_flags::kRdonlyProg) != 0) {
        return env.reject<Slug::ReadOnly>(fmt::format("map \"{}\"", map.name));
    }
    const bool has_maps = maps::is_map_of_maps(map.type);
    if (has_maps && is(meta, HelperId::map_lookup_elem) &&
        env.code.inner[meta.map.aux] == cfg::kNone) {
        return env.reject<Slug::UnsupportedHelper>(
            meta.proto->name,
            fmt::format("the object does not say which maps are in \"{}\"", map.name));
    }
    return true;
}

bool check_lock(Env& env, const State& state, const CallMeta& meta) {
    if (is(meta, HelperId::spin_lock)) {
        return !state.lock.is_held() ||
               env.reject<Slug::LockHeld>("locking two bpf_spin_locks is not allowed");
    }
    if (is(meta, HelperId::spin_unlock)) {
        if (!state.lock.is_held()) {
            return env.reject<Slug::LockHeld>("bpf_spin_unlock without taking a lock");
        }
        const Reg& value = state.reg(1);
        return (state.lock.map == value.aux && state.lock.id == value.id) ||
               env.reject<Slug::LockHeld>("bpf_spin_unlock of a different lock");
    }
    return !state.lock.is_held() || env.reject<Slug::CallInLock>("function call");
}

bool check_special(Env& env, const State& state, const CallMeta& meta) {
    if (is(meta, HelperId::tail_call)) {
        return check_nothing_held(env, state, "tail call");
    }
    if (is(meta, HelperId::get_local_storage)) {
        env.demand(state, 2);
        return state.reg(2).is_null() ||
               env.reject<Slug::BadArg>(2U, describe(state.reg(2)), 2U, meta.proto->name, "0");
    }
    return true;
}

// Registers.

Reg lookup_result(Env& env, const CallMeta& meta) {
    if (meta.map.type != RegType::ConstMapPtr) {
        return Reg::unknown(); // only where nothing is judged
    }
    const MapSpec& map = env.map(meta.map);
    Reg value = Reg::pointer(RegType::MapValue, meta.map.aux);
    if (is(meta, HelperId::map_lookup_elem)) {
        switch (map.type) {
        case MapType::ArrayOfMaps:
        case MapType::HashOfMaps:
            value = Reg::pointer(RegType::ConstMapPtr, env.code.inner[meta.map.aux]);
            break;
        case MapType::Xskmap:
            value = Reg::pointer(RegType::XdpSock);
            break;
        case MapType::Sockmap:
        case MapType::Sockhash:
            value = Reg::pointer(RegType::Socket);
            break;
        default: // values of all others are memory
            break;
        }
    }
    const bool is_map = value.type == RegType::ConstMapPtr;
    value.map_uid = is_map ? env.fresh_id() : meta.map.map_uid;
    if (!meta.key_is_present || !is(meta, HelperId::map_lookup_elem)) {
        value.flags = reg_flags::kMaybeNull;
    }
    value.id = env.fresh_id();
    return value;
}

Scalar integer_result(const CallMeta& meta) {
    constexpr std::int64_t kMaxErrno = 4095;
    switch (HelperId(meta.id)) {
    case HelperId::get_stack:
    case HelperId::get_task_stack:
    case HelperId::probe_read_str:
    case HelperId::probe_read_kernel_str:
    case HelperId::probe_read_user_str:
        return Scalar::in_signed(-kMaxErrno, std::int64_t(meta.max_size));
    case HelperId::get_smp_processor_id:
        return Scalar::in(0, 8191);
    default: // nothing is known of the others
        return Scalar::unknown();
    }
}

Reg result_of(Env& env, const CallMeta& meta) {
    Reg value;
    switch (meta.proto->ret) {
    case RetType::Integer:
        return Reg::scalar(integer_result(meta));
    case RetType::Void:
        return {};
    case RetType::PtrToMapValueOrNull:
        return lookup_result(env, meta);
    case RetType::PtrToMapValue:
        return Reg::pointer(RegType::MapValue, meta.map.aux);
    case RetType::PtrToRingbufMemOrNull:
        value = Reg::pointer_or_null(RegType::Mem, env.fresh_id());
        value.flags |= reg_flags::kRingbuf;
        value.aux = std::uint32_t(meta.alloc_size);
        return value;
    case RetType::PtrToMemOrNull:
        value = Reg::pointer_or_null(RegType::Mem, env.fresh_id());
        value.aux = meta.proto->ret_size;
        return value;
    case RetType::PtrToSocketOrNull:
        return Reg::pointer_or_null(RegType::Socket, env.fresh_id());
    case RetType::PtrToSockCommonOrNull:
        return Reg::pointer_or_null(RegType::SockCommon, env.fresh_id());
    case RetType::PtrToTcpSockOrNull:
        return Reg::pointer_or_null(RegType::TcpSock, env.fresh_id());
    case RetType::PtrToDynptrMemOrNull:
    case RetType::PtrToBtfId:
    case RetType::PtrToBtfIdOrNull:
    case RetType::PtrToMemOrBtfId:
    case RetType::PtrToMemOrBtfIdOrNull:
        break; // check_helper() refuses them
    }
    std::unreachable();
}

bool is_supported(RetType ret) {
    return ret != RetType::PtrToDynptrMemOrNull && ret != RetType::PtrToBtfId &&
           ret != RetType::PtrToBtfIdOrNull && ret != RetType::PtrToMemOrBtfId &&
           ret != RetType::PtrToMemOrBtfIdOrNull;
}

bool acquires(Env& env, const CallMeta& meta) {
    if (meta.map.type == RegType::ConstMapPtr && is(meta, HelperId::map_lookup_elem)) {
        const MapType type = env.map(meta.map).type;
        return type == MapType::Sockmap || type == MapType::Sockhash;
    }
    return has(meta.proto->flags, HelperFlags::Acquires);
}

// sk_fullsock() and the like give another view of the same reference.
bool is_cast(const CallMeta& meta) {
    switch (HelperId(meta.id)) {
    case HelperId::sk_fullsock:
    case HelperId::tcp_sock:
    case HelperId::skc_to_tcp_sock:
    case HelperId::skc_to_tcp6_sock:
    case HelperId::skc_to_udp6_sock:
    case HelperId::skc_to_tcp_timewait_sock:
    case HelperId::skc_to_tcp_request_sock:
        return true;
    default:
        return false;
    }
}

// Stack that arguments point to.

// Bytes of memory that argument `i` points to.
std::uint32_t size_of_arg(const Env& env, const State& state, const CallMeta& meta, unsigned i) {
    constexpr std::uint32_t kAny = kMaxSlots * kSlotSize;
    const bool knows_map = meta.map.type == RegType::ConstMapPtr;
    switch (meta.proto->args[i]) {
    case ArgType::PtrToMapKey:
        return knows_map ? env.map(meta.map).key_size : kAny;
    case ArgType::PtrToMapValue:
    case ArgType::PtrToMapValueOrNull:
    case ArgType::PtrToUninitMapValue:
        return knows_map ? env.map(meta.map).value_size : kAny;
    case ArgType::PtrToInt:
    case ArgType::PtrToLong:
    case ArgType::PtrToMem:
    case ArgType::PtrToMemOrNull:
    case ArgType::PtrToUninitMem:
    case ArgType::PtrToWritableMem:
    case ArgType::PtrToWritableMemOrNull:
        break;
    default: // not memory
        return 0;
    }
    if (!meta.proto->has_size_arg(i)) {
        return meta.proto->arg_sizes[i];
    }
    const Reg& size = state.reg(i + 2);
    return size.is_scalar() ? std::uint32_t(std::min<std::uint64_t>(size.var.u64.max, kAny)) : kAny;
}

void touch_memory(Env& env, State& state, const CallMeta& meta) {
    for (unsigned i = 0; i < kMaxArgs; ++i) {
        const ArgType type = meta.proto->args[i];
        const Reg reg = state.reg(i + 1);
        const bool is_written = access_to(type) == Access::Write;
        if (!reg.is_pointer() && is_written && !reg.is_null()) {
            clobber_all(env, state); // only where nothing is judged
        }
        if (reg.type != RegType::Stack) {
            continue;
        }
        const std::uint32_t size = size_of_arg(env, state, meta, i);
        if (type != ArgType::PtrToUninitMem && type != ArgType::PtrToUninitMapValue) {
            read_stack_region(env, state, reg, size);
        }
        if (is_written) {
            clobber_stack(env, state, reg, size);
        }
    }
}

void demand_key(Env& env, const CallMeta& meta) {
    if (meta.key_is_present) {
        Places places;
        places.add_slot(meta.key_frame, meta.key_slot);
        env.path.demand_before_last(places);
    }
}

void release(State& state, std::uint32_t ref) {
    std::erase_if(state.refs, [ref](const Reference& held) { return held.id == ref; });
    state.for_each_reg([ref](const Reg& reg) { return reg.ref == ref; },
                       [](Reg& reg) { reg = Reg::unknown(); });
}

void update_lock(State& state, const CallMeta& meta) {
    if (is(meta, HelperId::spin_lock)) {
        state.lock = {.map = state.reg(1).aux, .id = state.reg(1).id};
    } else if (is(meta, HelperId::spin_unlock)) {
        state.lock = {};
    }
}

} // namespace

bool check_nothing_held(Env& env, const State& state, std::string_view what) {
    if (state.lock.is_held()) {
        return env.reject<Slug::LockHeld>(fmt::format("{} while a spin lock is held", what));
    }
    if (!state.refs.empty()) {
        return env.reject<Slug::UnreleasedRef>(state.refs.back().insn);
    }
    return true;
}

bool check_helper(Env& env, const State& state, const Step& step, CallMeta& meta) {
    if (step.shape == isa::Shape::CallKfunc) {
        return check_kfunc(env, state, step, meta);
    }
    meta.id = std::uint32_t(step.imm);
    meta.proto = step.proto;
    if (meta.proto == nullptr) {
        return env.reject<Slug::UnknownHelper>(meta.id);
    }
    if (!check_allowed(env, step, meta) || !check_args(env, state, meta)) {
        return false;
    }
    if (!is_supported(meta.proto->ret)) {
        return env.reject<Slug::UnsupportedHelper>(
            meta.proto->name, "its result is a kernel object that is not tracked here");
    }
    return check_map(env, meta) && check_lock(env, state, meta) && check_special(env, state, meta);
}

bool describe_call(const State& state, const Step& step, CallMeta& meta) {
    meta.id = step.shape == isa::Shape::CallKfunc ? 0 : std::uint32_t(step.imm);
    meta.proto = step.proto;
    for (unsigned i = 0; i < kMaxArgs; ++i) {
        const Reg& reg = state.reg(i + 1);
        switch (meta.proto->args[i]) {
        case ArgType::ConstMapPtr:
            meta.map = reg.type == RegType::ConstMapPtr ? reg : Reg{};
            break;
        case ArgType::ConstSize:
        case ArgType::ConstSizeOrZero:
            meta.max_size = reg.is_scalar() ? reg.var.u64.max : INT32_MAX;
            break;
        case ArgType::ConstAllocSizeOrZero:
            meta.alloc_size = reg.is_scalar() ? reg.var.u64.min : 0;
            break;
        case ArgType::PtrToRingbufMem:
        case ArgType::PtrToSocketRelease:
            meta.releases = reg.ref != 0;
            meta.ref = reg.ref;
            break;
        case ArgType::PtrToFunc:
            if (reg.type != RegType::Func) {
                return false;
            }
            meta.callback = reg.aux;
            break;
        default: // says nothing about the result
            break;
        }
    }
    if (is(meta, HelperId::timer_set_callback) && state.reg(1).type != RegType::MapValue) {
        return false;
    }
    const bool needs_map = is(meta, HelperId::for_each_map_elem);
    return !needs_map || meta.map.type == RegType::ConstMapPtr;
}

bool check_kfunc(Env& env, const State& state, const Step& step, CallMeta& meta) {
    meta.id = 0;
    meta.proto = step.proto;
    if (meta.proto == nullptr) {
        const std::string_view name = env.code.extern_name(step);
        return env.reject<Slug::UnsupportedKfunc>(
            name.empty() ? fmt::format("#{}", std::uint32_t(step.imm)) : std::string(name));
    }
    return check_args(env, state, meta) && check_lock(env, state, meta);
}

void transfer_helper(Env& env, State& state, const CallMeta& meta) {
    update_lock(state, meta);
    demand_key(env, meta);
    touch_memory(env, state, meta);
    Reg result = result_of(env, meta);
    if (meta.releases) {
        release(state, meta.ref);
    }
    if (acquires(env, meta)) {
        result.ref = result.id;
        state.refs.push_back({result.id, env.at});
    } else if (is_cast(meta)) {
        result.ref = meta.ref;
    }
    clobber_args(state);
    state.own_top().regs[0] = result;
    if (has(meta.proto->flags, HelperFlags::ChangesPacket)) {
        forget_packets(state);
    }
}

void clobber_args(State& state) {
    Frame& frame = state.own_top();
    for (unsigned r = 1; r <= kMaxArgs; ++r) {
        frame.regs[r] = Reg{};
    }
}

void forget_packets(State& state) {
    state.for_each_reg(
        [](const Reg& reg) { return reg.is_packet() || reg.type == RegType::PacketEnd; },
        [](Reg& reg) { reg = Reg::unknown(); });
}

} // namespace ebpfvm::verifier
