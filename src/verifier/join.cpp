// Place by place. An unknown number stands for anything, pointers included: no use of it is allowed
// that a pointer would make unsafe.
#include "verifier/join.hpp"

#include "verifier/subsume.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

class Joiner {
  public:
    Joiner(Env& env, std::span<const std::uint64_t> thresholds, bool widens)
        : env_(env), thresholds_(thresholds), widens_(widens) {}

    JoinResult run(State& into, const State& from) {
        for (unsigned f = 0; f < into.depth(); ++f) {
            for (unsigned r = 0; r < kFramePointer; ++r) {
                Reg joined = into.frame(f).regs[r];
                if (join_reg(joined, from.frame(f).regs[r])) {
                    into.own(f).regs[r] = joined;
                    changed_ = true;
                }
            }
            join_stack(into, from.frame(f).stack, f);
        }
        join_lock(into.lock, from.lock);
        return changed_ ? JoinResult::Changed : JoinResult::Same;
    }

  private:
    void join_stack(State& into, const Stack& from, unsigned f) {
        for (std::size_t s = 0; s < into.frame(f).stack.size(); ++s) {
            StackSlot joined = into.frame(f).stack[s];
            const StackSlot never{};
            const StackSlot& other = s < from.size() ? from[s] : never;
            if (join_slot(joined, other)) {
                into.own(f).own_slot(s) = joined;
                changed_ = true;
            }
        }
    }

    bool join_slot(StackSlot& into, const StackSlot& from) {
        if (into.has_spill() && from.has_spill() && into.bytes == from.bytes) {
            return join_reg(into.spilled, from.spilled);
        }
        const StackSlot before = into;
        if (into.has_spill()) {
            into.forget_spill();
        }
        for (unsigned i = 0; i < kSlotSize; ++i) {
            const ByteKind other =
                from.bytes[i] == ByteKind::Spill ? ByteKind::Misc : from.bytes[i];
            if (into.bytes[i] != other) {
                into.bytes[i] = into.bytes[i] == ByteKind::Invalid || other == ByteKind::Invalid
                                    ? ByteKind::Invalid
                                    : ByteKind::Misc;
            }
        }
        return !(before == into);
    }

    // True if `into` changed.
    bool join_reg(Reg& into, const Reg& from) {
        if (into.type == RegType::NotInit) {
            return false;
        }
        if (from.type == RegType::NotInit) {
            into = Reg{};
            return true;
        }
        if (join_null(into, from)) {
            return true;
        }
        const bool is_null_already = into.may_be_null() && from.is_null();
        if (is_null_already) {
            return false;
        }
        const bool is_same_kind =
            into.type == from.type && into.frame == from.frame &&
            (into.flags | reg_flags::kMaybeNull) == (from.flags | reg_flags::kMaybeNull) &&
            (into.aux == from.aux || into.is_packet() || into.type == RegType::Mem);
        if (!is_same_kind || !is_same_ref(into.ref, from.ref)) {
            return forget(into);
        }
        bool changed = join_value(into, from);
        if (from.may_be_null() && !into.may_be_null()) {
            into.flags |= reg_flags::kMaybeNull;
            into.id = env_.fresh_id();
            changed = true;
        }
        if (into.aux != from.aux) { // fewer bytes are known to exist
            const bool is_at_end =
                into.is_packet() && std::max(into.aux, from.aux) >= kBeyondPacketEnd;
            const std::uint32_t common = is_at_end ? 0 : std::min(into.aux, from.aux);
            changed |= into.aux != common;
            into.aux = common;
        }
        return join_id(into, from) || changed;
    }

    // NULL and a pointer make a pointer that may be null.
    bool join_null(Reg& into, const Reg& from) {
        const bool from_can = from.is_pointer() && can_be_null(from.type);
        if (into.is_null() && from_can) {
            into = from;
        } else if (!(from.is_null() && into.is_pointer() && can_be_null(into.type) &&
                     !into.may_be_null())) {
            return false;
        }
        into.flags |= reg_flags::kMaybeNull;
        into.id = env_.fresh_id();
        into.ref = 0;
        return true;
    }

    static bool can_be_null(RegType type) {
        switch (type) {
        case RegType::MapValue:
        case RegType::Mem:
        case RegType::Socket:
        case RegType::SockCommon:
        case RegType::TcpSock:
        case RegType::XdpSock:
            return true;
        default:
            return false;
        }
    }

    static bool forget(Reg& into) {
        const bool changed = !(into == Reg::unknown());
        into = Reg::unknown();
        return changed;
    }

    bool join_value(Reg& into, const Reg& from) {
        Scalar value = from.var;
        if (into.is_pointer() && into.off != from.off) {
            value = apply(isa::AluOp::Add, isa::Width::W64, value,
                          Scalar::constant(std::uint64_t(std::int64_t{from.off} - into.off)));
        }
        if (leq(value, into.var)) {
            return false;
        }
        into.var = widens_ ? verifier::widen(into.var, value, thresholds_)
                           : verifier::join(into.var, value);
        if (into.is_packet()) {
            into.id = env_.fresh_id();
        }
        return true;
    }

    // Places that share an id in `into` must do so in `from`, at the same distance.
    bool join_id(Reg& into, const Reg& from) {
        if (into.id == 0) {
            return false;
        }
        const std::int64_t distance = std::int64_t{from.off} - into.off;
        for (const Pair& pair : pairs_) {
            if (pair.into == into.id) {
                if (pair.from == from.id && from.id != 0 && pair.distance == distance) {
                    return false;
                }
                into.id = into.is_scalar() ? 0 : env_.fresh_id();
                return true;
            }
        }
        pairs_.push_back({into.id, from.id, distance});
        return false;
    }

    // References are one to one; what holds another one in each state holds none that can be given
    // back.
    bool is_same_ref(std::uint32_t into, std::uint32_t from) {
        for (const auto& [first, second] : refs_) {
            if (first == into || second == from) {
                return first == into && second == from;
            }
        }
        refs_.emplace_back(into, from);
        return (into == 0) == (from == 0);
    }

    // A lock that is not of one value in both states is no register's.
    void join_lock(HeldLock& into, const HeldLock& from) {
        constexpr std::uint32_t kNone = ~std::uint32_t{0};
        const auto pair = std::ranges::find(pairs_, into.id, &Pair::into);
        const std::uint32_t same = pair != pairs_.end() ? pair->from : into.id;
        if (into.is_held() && into.id != kNone && (into.map != from.map || same != from.id)) {
            into.id = kNone;
            changed_ = true;
        }
    }

    struct Pair {
        std::uint32_t into;
        std::uint32_t from;
        std::int64_t distance;
    };

    Env& env_;
    std::span<const std::uint64_t> thresholds_;
    bool widens_;
    bool changed_ = false;
    std::vector<Pair> pairs_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> refs_{{0, 0}};
};

} // namespace

bool is_joinable(const State& a, const State& b) {
    return is_same_place(a, b) && a.refs.size() == b.refs.size() &&
           a.lock.is_held() == b.lock.is_held();
}

JoinResult join(Env& env, State& into, const State& from, std::span<const std::uint64_t> thresholds,
                bool widens) {
    return Joiner(env, thresholds, widens).run(into, from);
}

} // namespace ebpfvm::verifier
