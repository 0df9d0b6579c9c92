// Refinement on the edges of conditional jumps: numbers and what is linked to them, null checks,
// and comparisons with the end of the packet.
#include "verifier/jmp.hpp"

#include "verifier/alu.hpp"

#include <algorithm>
#include <bit>

namespace ebpfvm::verifier {
namespace {

using isa::JmpOp;
using isa::Shape;
using isa::Width;

struct Operands {
    Reg dst;
    Reg src; // the immediate as a number
};

Operands operands(const State& state, const Step& step) {
    return {state.reg(step.dst), step.shape == Shape::JmpReg
                                     ? state.reg(step.src)
                                     : Reg::scalar(Scalar::constant(step.imm))};
}

bool is_equality(const Step& step) {
    return step.jmp == JmpOp::Jeq || step.jmp == JmpOp::Jne;
}

std::optional<Outcome> decide_same(JmpOp op, const Scalar& value, Width width) {
    switch (op) {
    case JmpOp::Jeq:
    case JmpOp::Jge:
    case JmpOp::Jle:
    case JmpOp::Jsge:
    case JmpOp::Jsle:
        return Outcome::Taken;
    case JmpOp::Jne:
    case JmpOp::Jgt:
    case JmpOp::Jlt:
    case JmpOp::Jsgt:
    case JmpOp::Jslt:
        return Outcome::NotTaken;
    case JmpOp::Jset:
        return decide(JmpOp::Jne, width, value, Scalar::constant(0));
    }
    std::unreachable();
}

// Where a packet pointer that is known to lie at or behind the end stands to the end.
std::optional<Outcome> decide_packet_end(JmpOp op, const Reg& pointer) {
    const bool is_beyond = pointer.aux == kBeyondPacketEnd;
    if (!is_beyond && pointer.aux != kAtPacketEnd) {
        return std::nullopt;
    }
    switch (op) { // pointer op end
    case JmpOp::Jle:
        return is_beyond ? std::optional(Outcome::NotTaken) : std::nullopt;
    case JmpOp::Jgt:
        return is_beyond ? std::optional(Outcome::Taken) : std::nullopt;
    case JmpOp::Jlt:
        return Outcome::NotTaken;
    case JmpOp::Jge:
        return Outcome::Taken;
    default: // other comparisons say nothing
        return std::nullopt;
    }
}

JmpOp mirrored(JmpOp op) {
    switch (op) {
    case JmpOp::Jgt:
        return JmpOp::Jlt;
    case JmpOp::Jlt:
        return JmpOp::Jgt;
    case JmpOp::Jge:
        return JmpOp::Jle;
    case JmpOp::Jle:
        return JmpOp::Jge;
    default: // not needed of the others
        return op;
    }
}

// Does the host see to it that such a pointer is not null? An empty packet may well begin at null,
// and so may plain memory that is passed as the context.
bool is_never_null(const Env& env, const Reg& reg) {
    switch (reg.type) {
    case RegType::Packet:
    case RegType::PacketMeta:
    case RegType::PacketEnd:
        return false;
    case RegType::Ctx:
        return env.ctx != nullptr && env.ctx->plain == Access::None;
    default:
        return reg.is_pointer() && !reg.may_be_null();
    }
}

std::optional<Outcome> decide_pointers(const Env& env, const Operands& op, const Step& step) {
    if (step.width != Width::W64) {
        return std::nullopt;
    }
    if (is_equality(step) && op.src.is_null() && is_never_null(env, op.dst)) {
        return step.jmp == JmpOp::Jne ? Outcome::Taken : Outcome::NotTaken;
    }
    if (op.dst.type == RegType::Packet && op.src.type == RegType::PacketEnd) {
        return decide_packet_end(step.jmp, op.dst);
    }
    if (op.dst.type == RegType::PacketEnd && op.src.type == RegType::Packet) {
        return decide_packet_end(mirrored(step.jmp), op.src);
    }
    return std::nullopt;
}

std::optional<Outcome> decide_edge(const Env& env, const Operands& op, const Step& step) {
    if (step.shape == Shape::JmpReg && step.dst == step.src) {
        return op.dst.is_scalar() ? decide_same(step.jmp, op.dst.var, step.width) : std::nullopt;
    }
    if (op.dst.is_scalar() && op.src.is_scalar()) {
        return decide(step.jmp, step.width, op.dst.var, op.src.var);
    }
    return decide_pointers(env, op, step);
}

void demand_operands(Env& env, const State& state, const Step& step) {
    env.demand(state, step.dst);
    if (step.shape == Shape::JmpReg) {
        env.demand(state, step.src);
    }
}

// Numbers.

// All places whose value stands in a known distance to `id`.
Places linked_places(const State& state, std::uint32_t id, Places places, unsigned& count) {
    for (unsigned f = 0; f < state.depth(); ++f) {
        const Frame& frame = state.frame(f);
        for (unsigned r = 0; r < kFramePointer; ++r) {
            if (frame.regs[r].is_scalar() && frame.regs[r].id == id) {
                places.add_reg(f, r);
                ++count;
            }
        }
        for (unsigned s = 0; s < frame.stack.size(); ++s) {
            const StackSlot& slot = frame.stack[s];
            if (slot.has_spill() && slot.spilled.is_scalar() && slot.spilled.id == id) {
                places.add_slot(f, s);
                ++count;
            }
        }
    }
    return places;
}

void refine_links(State& state, const Reg& known) {
    if (known.id == 0) {
        return;
    }
    state.for_each_reg(
        [&](const Reg& reg) {
            return reg.is_scalar() && reg.id == known.id &&
                   !(reg.var == known.var && reg.off == known.off);
        },
        [&](Reg& reg) {
            const auto distance = std::uint64_t(std::int64_t{reg.off} - known.off);
            const Scalar value = distance == 0 ? known.var
                                               : apply(isa::AluOp::Add, Width::W64, known.var,
                                                       Scalar::constant(distance));
            Scalar met = reg.var;
            if (meet(met, value)) {
                reg.var = met;
            }
        });
}

void set_number(State& state, unsigned number, const Scalar& value) {
    Reg& reg = state.own_top().regs[number];
    if (reg.var == value) {
        return;
    }
    reg.var = value;
    refine_links(state, Reg(reg));
}

// False if no values have that outcome.
bool assume_edge(State& state, const Step& step, Outcome outcome) {
    Operands op = operands(state, step);
    if (!assume(step.jmp, outcome, step.width, op.dst.var, op.src.var)) {
        return false;
    }
    set_number(state, step.dst, op.dst.var);
    if (step.shape == Shape::JmpReg) {
        set_number(state, step.src, op.src.var);
    }
    return true;
}

void note_links(Env& env, const State& state, const Operands& op, const Step& step) {
    Places places;
    unsigned count = 0;
    if (op.dst.id != 0) {
        places = linked_places(state, op.dst.id, places, count);
    }
    if (step.shape == Shape::JmpReg && op.src.id != 0 && op.src.id != op.dst.id) {
        places = linked_places(state, op.src.id, places, count);
    }
    if (count > 1) {
        env.path.note_links(places);
    }
}

Edges split_numbers(Env& env, State& state, State& taken, const Step& step, const Operands& op) {
    if (op.dst.id != 0 || op.src.id != 0) {
        note_links(env, state, op, step);
    }
    taken = state;
    if (step.shape == Shape::JmpReg && step.dst == step.src) {
        return Edges::Both;
    }
    if (!assume_edge(taken, step, Outcome::Taken)) {
        demand_operands(env, state, step);
        return Edges::Fall;
    }
    if (!assume_edge(state, step, Outcome::NotTaken)) {
        demand_operands(env, taken, step);
        state = std::move(taken);
        return Edges::Taken;
    }
    return Edges::Both;
}

// Pointers.

// What is proved of `pointer` holds for all packet pointers of its origin.
void prove_packet(State& state, const Reg& pointer, bool is_strict) {
    if (pointer.off < 0 || (pointer.off == 0 && is_strict) ||
        pointer.var.u64.max > std::uint64_t(kMaxPacketOffset) ||
        pointer.var.u64.max + std::uint64_t(pointer.off) > std::uint64_t(kMaxPacketOffset)) {
        return;
    }
    const std::uint32_t proved = std::uint32_t(pointer.off) + (is_strict ? 1 : 0);
    state.for_each_reg(
        [&](const Reg& reg) {
            return reg.type == pointer.type && reg.id == pointer.id &&
                   (reg.aux >= kBeyondPacketEnd || reg.aux < proved);
        },
        [&](Reg& reg) { reg.aux = proved; });
}

void mark_end(State& state, unsigned number, bool is_strict) {
    Reg& reg = state.own_top().regs[number];
    if (reg.type == RegType::Packet) {
        reg.aux = is_strict ? kBeyondPacketEnd : kAtPacketEnd;
    }
}

bool are_packet_and_end(const Reg& pointer, const Reg& end) {
    if (pointer.type == RegType::Packet) {
        return end.type == RegType::PacketEnd;
    }
    return pointer.type == RegType::PacketMeta && end.type == RegType::Packet && end.off == 0 &&
           end.var.is_constant() && end.var.value() == 0 && end.id == 0;
}

// `number` op end: the edge on which the pointer is below the end proves bytes, the other one that
// it is at or behind it.
void split_packet(State& state, State& taken, JmpOp op, unsigned number) {
    const Reg pointer = state.reg(number);
    switch (op) {
    case JmpOp::Jgt: // taken: pointer > end
        prove_packet(state, pointer, false);
        return mark_end(taken, number, true);
    case JmpOp::Jge:
        prove_packet(state, pointer, true);
        return mark_end(taken, number, false);
    case JmpOp::Jlt:
        prove_packet(taken, pointer, true);
        return mark_end(state, number, false);
    case JmpOp::Jle:
        prove_packet(taken, pointer, false);
        return mark_end(state, number, true);
    default: // other comparisons prove nothing
        return;
    }
}

void split_null(State& state, State& taken, const Step& step, const Reg& pointer) {
    const bool taken_is_null = step.jmp == JmpOp::Jeq;
    resolve_null(taken, pointer.id, taken_is_null);
    resolve_null(state, pointer.id, !taken_is_null);
}

// Equal to a pointer that is not null.
void learn_not_null(const Env& env, State& state, State& taken, const Step& step,
                    const Operands& op) {
    if (op.dst.may_be_null() == op.src.may_be_null()) {
        return;
    }
    const Reg& unsure = op.dst.may_be_null() ? op.dst : op.src;
    const Reg& sure = op.dst.may_be_null() ? op.src : op.dst;
    if (is_never_null(env, sure)) {
        resolve_null(step.jmp == JmpOp::Jeq ? taken : state, unsure.id, false);
    }
}

Edges split_pointers(Env& env, State& state, State& taken, const Step& step, const Operands& op) {
    taken = state;
    if (step.width != Width::W64) {
        return Edges::Both;
    }
    if (is_equality(step) && op.dst.may_be_null() && op.src.is_null()) {
        demand_operands(env, state, step); // that the number is 0
        split_null(state, taken, step, op.dst);
    } else if (is_equality(step) && op.src.may_be_null() && op.dst.is_null()) {
        demand_operands(env, state, step);
        split_null(state, taken, step, op.src);
    } else if (is_equality(step)) {
        learn_not_null(env, state, taken, step, op);
    } else if (are_packet_and_end(op.dst, op.src)) {
        split_packet(state, taken, step.jmp, step.dst);
    } else if (are_packet_and_end(op.src, op.dst)) {
        split_packet(state, taken, mirrored(step.jmp), step.src);
    }
    return Edges::Both;
}

} // namespace

void resolve_null(State& state, std::uint32_t null_id, bool is_null) {
    if (is_null) {
        std::erase_if(state.refs, [&](const Reference& ref) { return ref.id == null_id; });
    }
    state.for_each_reg([&](const Reg& reg) { return reg.may_be_null() && reg.id == null_id; },
                       [&](Reg& reg) {
                           if (is_null) {
                               reg = Reg::scalar(Scalar::constant(0));
                               return;
                           }
                           reg.flags &= std::uint8_t(~reg_flags::kMaybeNull);
                           if (reg.type != RegType::MapValue) {
                               reg.id = 0; // a value's id still tells its lock from others
                           }
                       });
}

bool check_jmp(Env& env, const State& state, const Step& step) {
    return (step.shape != Shape::JmpReg || check_init(env, state, step.src)) &&
           check_init(env, state, step.dst);
}

Edges transfer_jmp(Env& env, State& state, State& taken, const Step& step) {
    const Operands op = operands(state, step);
    if (const auto outcome = decide_edge(env, op, step)) {
        demand_operands(env, state, step);
        return *outcome == Outcome::Taken ? Edges::Taken : Edges::Fall;
    }
    env.path.last().flags |= TraceEntry::kBranch;
    if (op.dst.is_scalar() && op.src.is_scalar()) {
        return split_numbers(env, state, taken, step, op);
    }
    return split_pointers(env, state, taken, step, op);
}

} // namespace ebpfvm::verifier
