// Exploration drops paths whose numbers do not matter to it, so its states say nothing about all
// paths. A fixpoint over joined states does; exploration only tells it which edges are dead.
#include "verifier/facts.hpp"

#include "prog/verify_ctx.hpp"
#include "verifier/fixpoint.hpp"
#include "verifier/mem.hpp"

#include <algorithm>

namespace ebpfvm {

std::string_view name_of(ValueKind kind) {
    switch (kind) {
    case ValueKind::Unknown:
        return "unknown";
    case ValueKind::Number:
        return "number";
    case ValueKind::Ctx:
        return "ctx";
    case ValueKind::Stack:
        return "stack";
    case ValueKind::MapPtr:
        return "map_ptr";
    case ValueKind::MapValue:
        return "map_value";
    case ValueKind::MapKey:
        return "map_key";
    case ValueKind::Packet:
        return "packet";
    case ValueKind::PacketMeta:
        return "packet_meta";
    case ValueKind::PacketEnd:
        return "packet_end";
    case ValueKind::Memory:
        return "memory";
    case ValueKind::Object:
        return "object";
    case ValueKind::Function:
        return "function";
    }
    std::unreachable();
}

namespace verifier {
namespace {

ValueKind kind_of(const Reg& reg) {
    switch (reg.type) {
    case RegType::NotInit:
        return ValueKind::Unknown;
    case RegType::Scalar:
        return reg.var.is_unknown() ? ValueKind::Unknown : ValueKind::Number;
    case RegType::Ctx:
        return ValueKind::Ctx;
    case RegType::Stack:
        return ValueKind::Stack;
    case RegType::ConstMapPtr:
        return ValueKind::MapPtr;
    case RegType::MapValue:
        return ValueKind::MapValue;
    case RegType::MapKey:
        return ValueKind::MapKey;
    case RegType::Packet:
        return ValueKind::Packet;
    case RegType::PacketMeta:
        return ValueKind::PacketMeta;
    case RegType::PacketEnd:
        return ValueKind::PacketEnd;
    case RegType::Mem:
    case RegType::TpBuffer:
        return ValueKind::Memory;
    case RegType::FlowKeys:
    case RegType::Socket:
    case RegType::SockCommon:
    case RegType::TcpSock:
    case RegType::XdpSock:
        return ValueKind::Object;
    case RegType::Func:
        return ValueKind::Function;
    }
    std::unreachable();
}

ValueFact fact_of(const State& state, const Reg& reg) {
    ValueFact fact{.kind = kind_of(reg), .may_be_null = reg.may_be_null()};
    if (reg.type == RegType::Stack) {
        fact.frame = std::uint8_t(state.depth() - 1 - reg.frame);
    }
    if (fact.kind == ValueKind::Unknown) {
        return fact;
    }
    Scalar value = reg.var;
    if (reg.is_pointer()) {
        value = apply(isa::AluOp::Add, isa::Width::W64, value,
                      Scalar::constant(std::uint64_t(std::int64_t{reg.off})));
        const bool has_map = reg.type == RegType::MapValue || reg.type == RegType::MapKey ||
                             reg.type == RegType::ConstMapPtr;
        fact.map = has_map ? reg.aux : 0;
        if (reg.type == RegType::Packet && reg.aux < kBeyondPacketEnd && reg.var.is_constant()) {
            fact.proved = std::uint32_t(reg.var.value()) + reg.aux;
        }
    }
    fact.known_value = value.bits.value;
    fact.unknown_mask = value.bits.mask;
    fact.umin = value.u64.min;
    fact.umax = value.u64.max;
    fact.smin = value.s64.min;
    fact.smax = value.s64.max;
    return fact;
}

ValueFact merge(const ValueFact& a, const ValueFact& b) {
    if (a.kind != b.kind || a.frame != b.frame || a.map != b.map) {
        return {};
    }
    ValueFact result = a;
    result.may_be_null |= b.may_be_null;
    result.proved = std::min(a.proved, b.proved);
    result.unknown_mask |= b.unknown_mask | (a.known_value ^ b.known_value);
    result.known_value = a.known_value & ~result.unknown_mask;
    result.umin = std::min(a.umin, b.umin);
    result.umax = std::max(a.umax, b.umax);
    result.smin = std::min(a.smin, b.smin);
    result.smax = std::max(a.smax, b.smax);
    return result;
}

std::vector<SlotFact> slots_of(const State& state) {
    std::vector<SlotFact> result;
    const Stack& stack = state.top().stack;
    for (std::size_t s = 0; s < stack.size(); ++s) {
        if (stack[s].has_spill() && kind_of(stack[s].spilled) != ValueKind::Unknown) {
            result.push_back({.off = -std::int32_t((s + 1) * kSlotSize),
                              .size = std::uint8_t(stack[s].spill_size()),
                              .value = fact_of(state, stack[s].spilled)});
        }
    }
    return result;
}

void merge_slots(std::vector<SlotFact>& into, const std::vector<SlotFact>& from) {
    std::erase_if(into, [&](SlotFact& slot) {
        const auto other = std::ranges::find_if(from, [&](const SlotFact& candidate) {
            return candidate.off == slot.off && candidate.size == slot.size;
        });
        if (other == from.end()) {
            return true;
        }
        slot.value = merge(slot.value, other->value);
        return slot.value.kind == ValueKind::Unknown;
    });
}

void add_state(InsnFacts& facts, const State& state) {
    const bool is_first = !facts.is_reachable;
    facts.is_reachable = true;
    facts.depth = is_first || facts.depth == state.depth() ? std::uint8_t(state.depth()) : 0;
    for (unsigned r = 0; r < kRegCount; ++r) {
        const ValueFact fact = fact_of(state, state.reg(r));
        facts.regs[r] = is_first ? fact : merge(facts.regs[r], fact);
    }
    if (is_first) {
        facts.slots = slots_of(state);
    } else {
        merge_slots(facts.slots, slots_of(state));
    }
}

void add_name(std::vector<std::string>& names, const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) {
        names.push_back(name);
    }
}

void add_uses(const Env& env, std::uint32_t at, const State& state, Facts& facts) {
    const Step& step = env.code.steps[at];
    const bool is_load = step.shape == isa::Shape::Load;
    const bool is_store = step.shape == isa::Shape::StoreReg || step.shape == isa::Shape::StoreImm;
    if ((is_load || is_store) && env.ctx != nullptr) {
        const Reg& reg = state.reg(is_load ? step.src : step.dst);
        const OffsetRange range = offset_range(reg, step.off);
        if (reg.type == RegType::Ctx && range.min == range.max && range.min >= 0) {
            const CtxField* field = env.ctx->find(std::uint64_t(range.min), step.size);
            if (field != nullptr && !field->name.empty()) {
                add_name(facts.ctx_fields, field->name);
            }
        }
    }
}

template <class T>
void sort_unique(std::vector<T>& values) {
    std::ranges::sort(values);
    const auto rest = std::ranges::unique(values);
    values.erase(rest.begin(), rest.end());
}

void add_tables(const Env& env, Facts& facts) {
    for (std::uint32_t at = 0; at < facts.insns.size(); ++at) {
        const Step& step = env.code.steps[at];
        if (!facts.insns[at].is_reachable) {
            continue;
        }
        if (step.op == isa::Op::LddwMapIdx || step.op == isa::Op::LddwMapValueIdx) {
            facts.maps.push_back(std::uint32_t(step.imm));
        } else if (step.shape == isa::Shape::CallHelper) {
            facts.helpers.push_back(std::uint32_t(step.imm));
        }
    }
    sort_unique(facts.maps);
    sort_unique(facts.helpers);
    std::ranges::sort(facts.ctx_fields);
    facts.stack_bytes.assign(env.stack_depth.begin(), env.stack_depth.end());
}

} // namespace

std::shared_ptr<const Facts>
collect_facts(Env& env, const std::vector<std::pair<State, std::uint32_t>>& entries) {
    auto facts = std::make_shared<Facts>();
    facts->insns.resize(env.code.steps.size());
    for (const auto& [state, at] : entries) {
        VerifierStats stats;
        Fixpoint fixpoint(env, stats, Judging::Off);
        if (!fixpoint.run(state, at)) {
            return nullptr;
        }
        fixpoint.for_each_state([&](std::uint32_t slot, const State& reached) {
            add_state(facts->insns[slot], reached);
            add_uses(env, slot, reached, *facts);
        });
    }
    for (std::uint32_t at = 0; at < facts->insns.size(); ++at) {
        InsnFacts& insn = facts->insns[at];
        insn.live = env.code.steps[at].live;
        insn.may_fall_through = env.ways[at].falls;
        insn.may_jump = env.ways[at].jumps;
    }
    add_tables(env, *facts);
    return facts;
}

} // namespace verifier
} // namespace ebpfvm
