// Which memory a pointer may be followed into. Offsets are judged by their whole range, signed.
#include "verifier/mem.hpp"

#include "support/bits.hpp"
#include "verifier/alu.hpp"
#include "verifier/ctx.hpp"
#include "verifier/stack.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

using isa::Shape;

bool is_inside(const OffsetRange& range, const MemAccess& access, std::uint64_t limit) {
    return range.min >= 0 && range.max >= range.min && range.max < kMaxOffset &&
           fits(std::uint64_t(range.max), access.size, limit);
}

// "byte 14", "bytes 12 to 13".
std::string reached(const OffsetRange& range, const MemAccess& access) {
    std::int64_t last = 0;
    if (__builtin_add_overflow(range.max, std::int64_t{access.size} - 1, &last)) {
        last = INT64_MAX;
    }
    return last == range.min ? fmt::format("byte {}", last)
                             : fmt::format("bytes {} to {}", range.min, last);
}

bool check_fields(Env& env, const MapSpec& map, const OffsetRange& range, const MemAccess& access) {
    for (const MapField& field : map.fields) {
        const std::int64_t end = range.max + access.size;
        if (field.off < end && range.min < std::int64_t{field.off} + size_of_field(field.kind)) {
            if (field.kind.starts_with("kptr") || field.kind == "uptr") {
                return env.reject<Slug::UnsupportedInsn>(
                    "kernel pointers in map values are not supported");
            }
            return env.reject<Slug::MapValueField>(range.min, end - 1, field.kind, field.off);
        }
    }
    return true;
}

// The bytes of a frozen map that a load at a known place gets.
std::optional<std::uint64_t> frozen_bytes(const Env& env, const Reg& reg,
                                          const MemAccess& access) {
    const MapSpec& map = env.map(reg);
    const bool is_inner = reg.aux >= env.code.object->maps().size(); // others may be there
    const bool is_constant = map.frozen && (map.flags & map_flags::kRdonlyProg) != 0;
    if (!is_constant || is_inner || map.type != MapType::Array || map.max_entries != 1 ||
        !reg.var.is_constant()) {
        return std::nullopt;
    }
    const std::int64_t off = offset_range(reg, access.off).min;
    if (off < 0 || !fits(std::uint64_t(off), access.size, map.data.size())) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    for (std::uint32_t i = 0; i < access.size; ++i) {
        value |= std::uint64_t(map.data[std::size_t(off) + i]) << (8 * i);
    }
    return value;
}

Scalar loaded_number(const Env& env, const Reg& reg, const Step& step) {
    const unsigned bits = step.size * 8U;
    Scalar value = Scalar::of_bits(bits);
    if (reg.type == RegType::MapValue) {
        const MemAccess access{.off = step.off, .size = step.size};
        if (const auto bytes = frozen_bytes(env, reg, access)) {
            value = Scalar::constant(*bytes);
        }
    }
    return step.sign_extends ? sign_extend(bits, isa::Width::W64, value) : value;
}

MemAccess access_of(const Step& step, Access access) {
    return {.off = step.off, .size = step.size, .access = access, .is_plain = !step.sign_extends};
}

bool is_atomic_target(const Reg& reg) {
    switch (reg.type) {
    case RegType::Ctx:
    case RegType::Packet:
    case RegType::PacketMeta:
    case RegType::FlowKeys:
    case RegType::Socket:
    case RegType::SockCommon:
    case RegType::TcpSock:
    case RegType::XdpSock:
        return false;
    default: // the rest is memory, or is refused as none
        return true;
    }
}

bool check_atomic_place(Env& env, const State& state, unsigned number, const Step& step) {
    const Reg& reg = state.reg(number);
    if (!is_atomic_target(reg)) {
        return env.reject<Slug::AtomicTarget>(name_of(reg.type));
    }
    if (reg.is_pointer() && reg.type != RegType::Stack && !is_aligned(reg, step.off, step.size)) {
        return env.reject<Slug::Misaligned>(name_of(reg.type), offset_range(reg, step.off).min,
                                            step.size);
    }
    return true;
}

} // namespace

OffsetRange offset_range(const Reg& pointer, std::int64_t off) {
    const std::int64_t fixed = pointer.off + off;
    const auto shift = [fixed](std::int64_t value) {
        std::int64_t sum = 0;
        if (__builtin_add_overflow(value, fixed, &sum)) {
            return value < 0 ? INT64_MIN : INT64_MAX;
        }
        return sum;
    };
    return {shift(pointer.var.s64.min), shift(pointer.var.s64.max)};
}

std::uint32_t size_of_field(std::string_view kind) {
    if (kind == "spin_lock" || kind == "res_spin_lock" || kind == "refcount") {
        return 4;
    }
    if (kind == "rb_node" || kind == "list_node") {
        return kind == "rb_node" ? 32 : 24;
    }
    return kind.starts_with("kptr") || kind == "uptr" ? 8 : 16;
}

bool check_map_value(Env& env, unsigned number, const Reg& reg, const MemAccess& access) {
    const MapSpec& map = env.map(reg);
    if (access.access == Access::Write && (map.flags & map_flags::kRdonlyProg) != 0) {
        return env.reject<Slug::ReadOnly>(fmt::format("map \"{}\"", map.name));
    }
    if (access.access == Access::Read && (map.flags & map_flags::kWronlyProg) != 0) {
        return env.reject<Slug::WriteOnly>(fmt::format("map \"{}\"", map.name));
    }
    const OffsetRange range = offset_range(reg, access.off);
    if (!is_inside(range, access, map.value_size)) {
        return env.reject<Slug::MapValueOob>(number, reached(range, access), map.value_size);
    }
    return check_fields(env, map, range, access);
}

bool check_mem(Env& env, unsigned number, const Reg& reg, const MemAccess& access) {
    if (access.access == Access::Write && reg.is_read_only()) {
        return env.reject<Slug::ReadOnly>("read-only memory");
    }
    const OffsetRange range = offset_range(reg, access.off);
    if (!is_inside(range, access, reg.aux)) {
        return env.reject<Slug::MemOob>(number, reached(range, access), name_of(reg.type), reg.aux);
    }
    return true;
}

bool check_packet(Env& env, unsigned number, const Reg& reg, const MemAccess& access) {
    if (access.access == Access::Write &&
        (env.ctx == nullptr || env.ctx->packet_access != Access::ReadWrite)) {
        return env.reject<Slug::ReadOnly>("the packet of this program type");
    }
    const std::uint32_t proved = reg.aux >= kBeyondPacketEnd ? 0 : reg.aux;
    const std::int64_t off = std::int64_t{reg.off} + access.off;
    if (reg.var.s64.min < 0 || off < 0 || !fits(std::uint64_t(off), access.size, proved)) {
        const OffsetRange range = offset_range(reg, access.off);
        if (reg.var.is_constant()) {
            return env.reject<Slug::PacketOob>(number, reached(range, access), proved);
        }
        return env.reject<Slug::PacketOob>(number,
                                           fmt::format("bytes {} to {}, {} further,", off,
                                                       off + access.size - 1, describe(reg.var)),
                                           proved);
    }
    return true;
}

namespace {

// Accesses to these are rewritten to the host's structs, insn by insn.
bool is_rewritten(RegType type) {
    switch (type) {
    case RegType::Ctx:
    case RegType::Socket:
    case RegType::SockCommon:
    case RegType::TcpSock:
    case RegType::XdpSock:
        return true;
    default:
        return false;
    }
}

bool check_same_kind(Env& env, RegType type) {
    RegType& before = env.accessed[env.at];
    if (before != RegType::NotInit && before != type &&
        (is_rewritten(before) || is_rewritten(type))) {
        return env.reject<Slug::MixedPointers>(name_of(before), name_of(type));
    }
    before = type;
    return true;
}

} // namespace

bool check_access(Env& env, const State& state, unsigned number, const MemAccess& access) {
    const Reg& reg = state.reg(number);
    if (reg.may_be_null()) {
        return env.reject<Slug::NullDeref>(number, describe(reg));
    }
    switch (reg.type) {
    case RegType::Stack:
        return check_stack(env, state, number, access);
    case RegType::MapValue:
        return check_map_value(env, number, reg, access);
    case RegType::Mem:
        return check_mem(env, number, reg, access);
    case RegType::MapKey:
        if (access.access == Access::Write) {
            return env.reject<Slug::ReadOnly>("a map key");
        }
        if (!is_inside(offset_range(reg, access.off), access, env.map(reg).key_size)) {
            const OffsetRange range = offset_range(reg, access.off);
            return env.reject<Slug::MemOob>(number, reached(range, access), "map key",
                                            env.map(reg).key_size);
        }
        return true;
    case RegType::Packet:
    case RegType::PacketMeta:
        return check_packet(env, number, reg, access);
    case RegType::Ctx:
        return check_ctx(env, number, reg, access);
    case RegType::FlowKeys:
    case RegType::Socket:
    case RegType::SockCommon:
    case RegType::TcpSock:
    case RegType::XdpSock:
    case RegType::TpBuffer:
        return check_object(env, reg, access);
    case RegType::ConstMapPtr:
        return env.reject<Slug::UnsupportedInsn>(
            "access to the kernel's struct bpf_map is not supported");
    case RegType::NotInit:
        return env.reject<Slug::UninitReg>(number);
    case RegType::Scalar:
    case RegType::PacketEnd:
    case RegType::Func:
        return env.reject<Slug::InvalidMem>(number, describe(reg));
    }
    std::unreachable();
}

bool check_load(Env& env, const State& state, const Step& step) {
    if (!check_init(env, state, step.src)) {
        return false;
    }
    if (step.shape == Shape::LoadAcquire && !check_atomic_place(env, state, step.src, step)) {
        return false;
    }
    return check_access(env, state, step.src, access_of(step, Access::Read)) &&
           check_same_kind(env, state.reg(step.src).type);
}

void transfer_load(Env& env, State& state, const Step& step) {
    const Reg& pointer = state.reg(step.src);
    Reg value;
    switch (pointer.type) {
    case RegType::Stack:
        value = load_stack(env, state, pointer, access_of(step, Access::Read), step.sign_extends);
        break;
    case RegType::Ctx:
    case RegType::FlowKeys:
    case RegType::Socket:
    case RegType::SockCommon:
    case RegType::TcpSock:
    case RegType::XdpSock:
        value = load_object(env, pointer, access_of(step, Access::Read), step.sign_extends);
        break;
    case RegType::NotInit:
    case RegType::Scalar:
        value = Reg::unknown(); // only where nothing is judged
        break;
    default: // plain memory gives numbers
        value = Reg::scalar(loaded_number(env, pointer, step));
        break;
    }
    state.own_top().regs[step.dst] = value;
}

bool check_store(Env& env, const State& state, const Step& step) {
    if (!check_init(env, state, step.dst)) {
        return false;
    }
    const bool has_src = step.shape != Shape::StoreImm;
    if (has_src && !check_init(env, state, step.src)) {
        return false;
    }
    if (step.shape == Shape::StoreRelease && !check_atomic_place(env, state, step.dst, step)) {
        return false;
    }
    const Reg& where = state.reg(step.dst);
    if (where.type == RegType::Stack && has_src && state.reg(step.src).is_pointer()) {
        if (step.size != kSlotSize) {
            return env.reject<Slug::StackSpill>(
                fmt::format("invalid size of register spill: {} of 8 bytes of {}", step.size,
                            name_of(state.reg(step.src).type)));
        }
        if (where.frame != state.depth() - 1 && state.reg(step.src).type == RegType::Stack) {
            return env.reject<Slug::StackSpill>(
                "cannot spill pointers to stack into stack frame of the caller");
        }
    }
    return check_access(env, state, step.dst, access_of(step, Access::Write)) &&
           check_same_kind(env, where.type);
}

void transfer_store(Env& env, State& state, const Step& step) {
    if (!state.reg(step.dst).is_pointer()) {
        return clobber_all(env, state); // only where nothing is judged
    }
    if (state.reg(step.dst).type != RegType::Stack) {
        return;
    }
    const MemAccess access = access_of(step, Access::Write);
    if (step.shape == Shape::StoreImm) {
        return store_stack(env, state, state.reg(step.dst), access, kNoReg,
                           Reg::scalar(truncate(step.size * 8U, Scalar::constant(step.imm))));
    }
    store_stack(env, state, state.reg(step.dst), access, step.src, state.reg(step.src));
}

bool check_atomic(Env& env, const State& state, const Step& step) {
    if (!check_init(env, state, step.src) || !check_init(env, state, step.dst)) {
        return false;
    }
    if (isa::is_cmpxchg(step.op) && !check_init(env, state, 0)) {
        return false;
    }
    if (!check_atomic_place(env, state, step.dst, step)) {
        return false;
    }
    MemAccess access = access_of(step, Access::Read);
    if (!check_access(env, state, step.dst, access)) {
        return false;
    }
    access.access = Access::Write;
    return check_access(env, state, step.dst, access);
}

void transfer_atomic(Env& env, State& state, const Step& step) {
    const Reg where = state.reg(step.dst);
    Reg old = Reg::scalar(Scalar::of_bits(step.size * 8U));
    if (where.type == RegType::Stack) {
        const MemAccess access = access_of(step, Access::Write);
        old = load_stack(env, state, where, access, false);
        store_stack(env, state, where, access, kNoReg, Reg::pointer(RegType::NotInit));
    } else if (!where.is_pointer()) {
        old = Reg::unknown(); // only where nothing is judged
        clobber_all(env, state);
    }
    if (step.shape == Shape::AtomicFetch) {
        state.own_top().regs[isa::is_cmpxchg(step.op) ? 0 : step.src] = old;
    }
}

} // namespace ebpfvm::verifier
