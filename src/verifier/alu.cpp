// Scalars compute in the numeric domain; pointers move. What Linux forbids of pointers
// (adjust_ptr_min_max_vals()) is forbidden here.
#include "verifier/alu.hpp"

namespace ebpfvm::verifier {
namespace {

using isa::AluOp;
using isa::Shape;
using isa::Width;

enum class Kind : std::uint8_t {
    Scalars,
    MovePointer,
    AddToPointer,   // dst is the pointer
    AddPointer,     // src is the pointer
    SubFromPointer, // dst is the pointer
    Forget,         // pointers become numbers that nothing is known of
    Forbidden,
};

Scalar operand(const State& state, const Step& step) {
    return step.shape == Shape::AluReg ? state.reg(step.src).var : Scalar::constant(step.imm);
}

Kind classify(const State& state, const Step& step) {
    const Reg& dst = state.reg(step.dst);
    switch (step.shape) {
    case Shape::Neg:
    case Shape::Swap:
        return dst.is_pointer() ? Kind::Forget : Kind::Scalars;
    case Shape::Movsx:
        return state.reg(step.src).is_pointer() ? Kind::Forget : Kind::Scalars;
    default: // AluImm and AluReg are left
        break;
    }
    const bool src_is_pointer = step.shape == Shape::AluReg && state.reg(step.src).is_pointer();
    if (step.alu == AluOp::Mov) {
        return !src_is_pointer            ? Kind::Scalars
               : step.width == Width::W64 ? Kind::MovePointer
                                          : Kind::Forget;
    }
    if (!dst.is_pointer() && !src_is_pointer) {
        return Kind::Scalars;
    }
    if (step.width == Width::W32) {
        return step.alu == AluOp::Sub ? Kind::Forget : Kind::Forbidden;
    }
    if (dst.is_pointer() && src_is_pointer) {
        return step.alu == AluOp::Sub ? Kind::Forget : Kind::Forbidden;
    }
    if (step.alu == AluOp::Add) {
        return dst.is_pointer() ? Kind::AddToPointer : Kind::AddPointer;
    }
    return step.alu == AluOp::Sub && dst.is_pointer() ? Kind::SubFromPointer : Kind::Forbidden;
}

bool allows_arithmetic(const Reg& pointer, const Scalar& off, AluOp op) {
    switch (pointer.type) {
    case RegType::Ctx:
    case RegType::MapValue:
    case RegType::MapKey:
    case RegType::Stack:
    case RegType::Packet:
    case RegType::PacketMeta:
    case RegType::TpBuffer:
    case RegType::Mem:
    case RegType::Func:
        return true;
    case RegType::FlowKeys:
        return off.is_constant();
    case RegType::ConstMapPtr:
        return off.is_constant() && off.value() == 0 && op == AluOp::Add;
    case RegType::PacketEnd:
    case RegType::Socket:
    case RegType::SockCommon:
    case RegType::TcpSock:
    case RegType::XdpSock:
        return false;
    case RegType::NotInit:
    case RegType::Scalar:
        break;
    }
    std::unreachable();
}

// pointer +/- off. The constant part of the offset stays apart as long as it fits.
Reg move_pointer(Env& env, const Reg& pointer, const Scalar& off, AluOp op) {
    Reg result = pointer;
    const bool goes_back = op == AluOp::Sub ? off.s64.max > 0 : off.s64.min < 0;
    if (pointer.is_packet() && pointer.aux >= kBeyondPacketEnd && goes_back) {
        result.aux = 0; // it need not lie behind the end any more
    }
    if (off.is_constant()) {
        const auto delta = std::int64_t(off.value());
        std::int64_t sum = 0;
        const bool overflows = op == AluOp::Add ? __builtin_add_overflow(pointer.off, delta, &sum)
                                                : __builtin_sub_overflow(pointer.off, delta, &sum);
        if (!overflows && sum == std::int32_t(sum)) {
            result.off = std::int32_t(sum);
            return result;
        }
    }
    result.var = apply(op, Width::W64, pointer.var, off);
    if (pointer.is_packet()) {
        result.id = env.fresh_id();
        if (op == AluOp::Add || off.s64.min < 0) {
            result.aux = 0; // nothing is proved of the new origin
        }
    }
    return result;
}

bool check_bounds(Env& env, const Reg& pointer, const Scalar& value) {
    if (value.is_constant()) {
        const auto off = std::int64_t(value.value());
        if (off >= kMaxOffset || off <= -kMaxOffset) {
            return env.reject<Slug::UnboundedOffset>(fmt::format(
                "math between {} pointer and {} is not allowed", name_of(pointer.type), off));
        }
        return true;
    }
    if (value.s64.min == INT64_MIN) {
        return env.reject<Slug::UnboundedOffset>(fmt::format(
            "math between {} pointer and a register with unbounded min value is not allowed ({})",
            name_of(pointer.type), describe(value)));
    }
    if (value.s64.min >= kMaxOffset || value.s64.min <= -kMaxOffset) {
        return env.reject<Slug::UnboundedOffset>(
            fmt::format("value {} makes the {} pointer be out of bounds", value.s64.min,
                        name_of(pointer.type)));
    }
    return true;
}

bool check_pointer(Env& env, const Step& step, unsigned number, const Reg& pointer,
                   const Scalar& off) {
    if (!allows_arithmetic(pointer, off, step.alu)) {
        return env.reject<Slug::PointerArithmetic>(
            fmt::format("r{}: pointer arithmetic on {} prohibited", number, name_of(pointer.type)));
    }
    if (pointer.may_be_null()) {
        return env.reject<Slug::NullArithmetic>(number, describe(pointer));
    }
    if (step.alu == AluOp::Sub && pointer.type == RegType::Stack) {
        return env.reject<Slug::PointerArithmetic>(
            fmt::format("r{}: subtraction from stack pointer prohibited", number));
    }
    if (!check_bounds(env, pointer, off)) {
        return false;
    }
    const Reg moved = move_pointer(env, pointer, off, step.alu);
    if (moved.off >= kMaxOffset || moved.off <= -kMaxOffset) {
        return env.reject<Slug::UnboundedOffset>(
            fmt::format("{} pointer offset {} is not allowed", name_of(pointer.type), moved.off));
    }
    return check_bounds(env, pointer, moved.var);
}

std::string forbidden_message(const State& state, const Step& step) {
    const isa::OpInfo& row = isa::info(step.op);
    if (step.width == Width::W32) {
        return fmt::format("r{}: 32-bit pointer arithmetic prohibited", step.dst);
    }
    if (step.alu == AluOp::Sub) {
        return fmt::format("r{}: tried to subtract pointer from scalar", step.dst);
    }
    const unsigned number = state.reg(step.dst).is_pointer() ? step.dst : step.src;
    return fmt::format("r{}: pointer arithmetic with {} prohibited ({})", number, row.text,
                       name_of(state.reg(number).type));
}

// A copy of a number that is not constant: what is learned of one is learned of both.
void copy_scalar(Env& env, State& state, const Step& step) {
    Frame& frame = state.own_top();
    Reg& src = frame.regs[step.src];
    if (src.id == 0 && !src.var.is_constant()) {
        src.id = env.fresh_id();
        src.off = 0;
    }
    frame.regs[step.dst] = src;
}

void transfer_move(Env& env, State& state, const Step& step) {
    Reg& dst = state.own_top().regs[step.dst];
    if (step.shape == Shape::AluImm) {
        dst = Reg::scalar(
            Scalar::constant(step.width == Width::W64 ? step.imm : std::uint32_t(step.imm)));
        return;
    }
    const Reg& src = state.reg(step.src);
    if (step.width == Width::W64 || src.var.u64.max <= UINT32_MAX) {
        return copy_scalar(env, state, step);
    }
    dst = Reg::scalar(truncate(32, src.var));
}

// Does a sign extension change nothing?
bool keeps_value(const Step& step, const Scalar& value) {
    const auto limit = std::int64_t{1} << (step.size * 8 - 1);
    return value.s64.min >= (step.width == Width::W64 ? -limit : 0) && value.s64.max < limit;
}

// dst + constant still stands in a known distance to the values dst was copied from.
void keep_link(Reg& dst, const Reg& before, const Step& step, const Scalar& operand) {
    if (before.id == 0 || !operand.is_constant() ||
        (step.alu != AluOp::Add && step.alu != AluOp::Sub)) {
        return;
    }
    std::int64_t distance = std::int64_t(operand.value());
    if (step.width == Width::W32) {
        distance = std::int32_t(std::uint32_t(operand.value()));
    }
    if (distance != std::int32_t(distance)) {
        return;
    }
    distance = step.alu == AluOp::Add ? distance : -distance;
    if (step.width == Width::W32) { // only if it does what the 64-bit form would do
        std::uint32_t min = 0;
        std::uint32_t max = 0;
        if (__builtin_add_overflow(before.var.u64.min, distance, &min) ||
            __builtin_add_overflow(before.var.u64.max, distance, &max)) {
            return;
        }
    }
    const std::int64_t sum = before.off + distance;
    if (sum == std::int32_t(sum) && !dst.var.is_constant()) {
        dst.id = before.id;
        dst.off = std::int32_t(sum);
    }
}

void transfer_scalars(Env& env, State& state, const Step& step) {
    const Reg before = state.reg(step.dst);
    if (step.shape == Shape::Movsx) {
        const Reg& src = state.reg(step.src);
        if (keeps_value(step, src.var)) {
            return copy_scalar(env, state, step);
        }
        state.own_top().regs[step.dst] =
            Reg::scalar(sign_extend(step.size * 8U, step.width, src.var));
        return;
    }
    if (step.shape == Shape::Neg) {
        state.own_top().regs[step.dst] = Reg::scalar(negate(step.width, before.var));
        return;
    }
    if (step.shape == Shape::Swap) {
        state.own_top().regs[step.dst] =
            Reg::scalar(step.swaps ? byteswap(step.size * 8U, before.var)
                                   : truncate(step.size * 8U, before.var));
        return;
    }
    const bool is_same = step.shape == Shape::AluReg && step.src == step.dst;
    const Scalar src = operand(state, step);
    Reg& dst = state.own_top().regs[step.dst];
    if (is_same && (step.alu == AluOp::Sub || step.alu == AluOp::Xor)) {
        dst = Reg::scalar(Scalar::constant(0));
        return;
    }
    dst = Reg::scalar(apply(step.alu, step.width, before.var, src));
    keep_link(dst, before, step, src);
}

// Linux refuses immediates that RFC 9669 gives a meaning to.
bool check_imm(Env& env, const Step& step) {
    const unsigned width = step.width == Width::W64 ? 64 : 32;
    switch (step.alu) {
    case AluOp::Div:
    case AluOp::Mod:
    case AluOp::Sdiv:
    case AluOp::Smod:
        return step.imm != 0 || env.reject<Slug::DivByZero>();
    case AluOp::Lsh:
    case AluOp::Rsh:
    case AluOp::Arsh:
        return step.imm < width || env.reject<Slug::InvalidShift>(width, std::int64_t(step.imm));
    default: // all others take any
        return true;
    }
}

bool moves_null(const State& state, const Step& step, Kind kind) {
    switch (kind) {
    case Kind::AddToPointer:
    case Kind::SubFromPointer:
        return state.reg(step.dst).may_be_null();
    case Kind::AddPointer:
        return state.reg(step.src).may_be_null();
    default: // moves and numbers
        return false;
    }
}

bool reads_src(const Step& step) {
    return step.shape == Shape::AluReg || step.shape == Shape::Movsx;
}

bool reads_dst(const Step& step) {
    return step.shape != Shape::Movsx &&
           !((step.shape == Shape::AluReg || step.shape == Shape::AluImm) &&
             step.alu == AluOp::Mov);
}

} // namespace

bool check_init(Env& env, const State& state, unsigned reg) {
    return state.reg(reg).type != RegType::NotInit || env.reject<Slug::UninitReg>(reg);
}

bool check_alu(Env& env, const State& state, const Step& step) {
    if (reads_src(step) && !check_init(env, state, step.src)) {
        return false;
    }
    if (reads_dst(step) && !check_init(env, state, step.dst)) {
        return false;
    }
    if (step.shape == Shape::AluImm && !check_imm(env, step)) {
        return false;
    }
    switch (classify(state, step)) {
    case Kind::Scalars:
    case Kind::MovePointer:
    case Kind::Forget:
        return true;
    case Kind::AddToPointer:
    case Kind::SubFromPointer:
        return check_pointer(env, step, step.dst, state.reg(step.dst), operand(state, step));
    case Kind::AddPointer:
        return check_pointer(env, step, step.src, state.reg(step.src), state.reg(step.dst).var);
    case Kind::Forbidden:
        return env.reject<Slug::PointerArithmetic>(forbidden_message(state, step));
    }
    std::unreachable();
}

void transfer_alu(Env& env, State& state, const Step& step) {
    if ((reads_src(step) && state.reg(step.src).type == RegType::NotInit) ||
        (reads_dst(step) && state.reg(step.dst).type == RegType::NotInit)) {
        state.own_top().regs[step.dst] = Reg::unknown(); // only where nothing is judged
        return;
    }
    const Kind kind = classify(state, step);
    if (moves_null(state, step, kind)) {
        state.own_top().regs[step.dst] = Reg::unknown(); // likewise
        return;
    }
    switch (kind) {
    case Kind::Scalars:
        if (step.shape != Shape::Neg && step.shape != Shape::Swap && step.shape != Shape::Movsx &&
            step.alu == AluOp::Mov) {
            return transfer_move(env, state, step);
        }
        return transfer_scalars(env, state, step);
    case Kind::MovePointer:
        state.own_top().regs[step.dst] = state.reg(step.src);
        return;
    case Kind::Forget:
        state.own_top().regs[step.dst] = Reg::unknown();
        return;
    case Kind::AddToPointer:
    case Kind::SubFromPointer: {
        if (step.shape == Shape::AluReg) {
            env.demand(state, step.src);
        }
        const Scalar off = operand(state, step);
        Reg& dst = state.own_top().regs[step.dst];
        dst = move_pointer(env, dst, off, step.alu);
        return;
    }
    case Kind::AddPointer: {
        env.demand(state, step.dst);
        Reg& dst = state.own_top().regs[step.dst];
        dst = move_pointer(env, state.reg(step.src), dst.var, step.alu);
        return;
    }
    case Kind::Forbidden:
        state.own_top().regs[step.dst] = Reg::unknown();
        return;
    }
    std::unreachable();
}

bool check_lddw(Env& env, const Step& step) {
    const std::uint32_t low = std::uint32_t(step.imm);
    switch (step.op) {
    case isa::Op::LddwImm64:
    case isa::Op::LddwFunc:
        return true;
    case isa::Op::LddwMapIdx:
    case isa::Op::LddwMapValueIdx:
        if (low >= env.code.object->maps().size()) {
            return env.reject<Slug::InvalidInsn>(fmt::format("there is no map {}", low));
        }
        if (step.op == isa::Op::LddwMapValueIdx) {
            const MapSpec& map = *env.code.maps[low];
            if (map.type != MapType::Array || map.max_entries != 1) {
                return env.reject<Slug::InvalidInsn>(fmt::format(
                    "map \"{}\" is no array of one element, only those have direct values",
                    map.name));
            }
            if (step.imm >> 32 >= map.value_size) {
                return env.reject<Slug::InvalidInsn>(
                    fmt::format("direct value offset {} is outside map \"{}\" of {} bytes",
                                step.imm >> 32, map.name, map.value_size));
            }
        }
        return true;
    default: // kernel symbols, and descriptors, which mean nothing here
        return env.reject<Slug::UnsupportedInsn>("addresses of kernel symbols are not supported");
    }
}

void transfer_lddw(State& state, const Step& step) {
    Reg& dst = state.own_top().regs[step.dst];
    switch (step.op) {
    case isa::Op::LddwMapIdx:
        dst = Reg::pointer(RegType::ConstMapPtr, std::uint32_t(step.imm));
        return;
    case isa::Op::LddwMapValueIdx:
        dst = Reg::pointer(RegType::MapValue, std::uint32_t(step.imm));
        dst.off = std::int32_t(step.imm >> 32);
        return;
    case isa::Op::LddwFunc:
        dst = Reg::pointer(RegType::Func, step.target);
        return;
    default:
        dst = Reg::scalar(Scalar::constant(step.imm));
        return;
    }
}

} // namespace ebpfvm::verifier
