// Every concrete state that `state` stands for must be one that the explored state stands for, as
// far as later code can tell.
#include "verifier/subsume.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace ebpfvm::verifier {
namespace {

// Ids are arbitrary names: equal up to renaming, and for numbers up to a common distance.
class IdMap {
  public:
    explicit IdMap(const Node& node)
        : own_first_(node.first_pin), own_end_(node.end_pin) {}

    // Does `current` play the part of `old` everywhere?
    bool match(std::uint32_t old, std::uint32_t current, std::int64_t distance = 0) {
        if (old == 0) {
            return true;
        }
        if (old >= kFirstPin && !(old >= own_first_ && old < own_end_)) {
            return old == current && distance == 0;
        }
        for (unsigned i = 0; i < count_; ++i) {
            if (pairs_[i].old == old) {
                return current != 0 && pairs_[i].current == current &&
                       pairs_[i].distance == distance;
            }
        }
        if (count_ == pairs_.size()) {
            return false;
        }
        pairs_[count_++] = {old, current, distance};
        return true;
    }
    // References are one to one.
    bool match_ref(std::uint32_t old, std::uint32_t current) {
        if ((old == 0) != (current == 0)) {
            return false;
        }
        for (unsigned i = 0; i < count_; ++i) {
            if (pairs_[i].current == current && current != 0 && pairs_[i].old != old) {
                return false;
            }
        }
        return match(old, current);
    }

  private:
    struct Pair {
        std::uint32_t old;
        std::uint32_t current;
        std::int64_t distance;
    };
    std::array<Pair, 64> pairs_;
    unsigned count_ = 0;
    std::uint32_t own_first_; // pins of the loop whose head the node is: its turns rename them
    std::uint32_t own_end_;
};

class Covers {
  public:
    Covers(const Code& code, const Node& node, const State& state, Compare mode)
        : code_(code), node_(node), old_(node.state), state_(state), mode_(mode), ids_(node) {}

    bool run() {
        if (!is_same_place(old_, state_) || old_.refs.size() != state_.refs.size() ||
            old_.lock.map != state_.lock.map) {
            return false;
        }
        for (unsigned f = old_.depth(); f-- > 0;) {
            if (!frame_covers(f)) {
                return false;
            }
        }
        for (std::size_t i = 0; i < old_.refs.size(); ++i) {
            if (!ids_.match_ref(old_.refs[i].id, state_.refs[i].id)) {
                return false;
            }
        }
        return !old_.lock.is_held() || ids_.match_ref(old_.lock.id, state_.lock.id);
    }

    [[nodiscard]] const Places& relied() const { return relied_; }

  private:
    bool frame_covers(unsigned index) {
        const Frame& old = old_.frame(index);
        const Frame& now = state_.frame(index);
        if (old.callbacks > now.callbacks) { // more may follow than did there
            return false;
        }
        // One and the same frame covers itself, but other frames may share its ids.
        std::uint16_t live = live_regs(code_, state_, node_.insn, index);
        for (; live != 0; live &= std::uint16_t(live - 1)) {
            const auto r = unsigned(std::countr_zero(live));
            const bool is_precise = mode_ != Compare::Demanded || node_.precise.has_reg(index, r);
            here_ = {.frame = index, .index = r, .is_slot = false};
            if (!reg_covers(old.regs[r], now.regs[r], is_precise)) {
                return false;
            }
        }
        return stack_covers(index, old, now);
    }

    bool reg_covers(const Reg& old, const Reg& now, bool is_precise) {
        if (old.type == RegType::NotInit) {
            return true;
        }
        if (old.type != now.type || old.flags != now.flags) {
            return covers_less(old, now);
        }
        if (mode_ == Compare::Exact && !(old.var == now.var && old.off == now.off)) {
            return false;
        }
        switch (old.type) {
        case RegType::Scalar:
            if (!is_precise) {
                return true;
            }
            return leq(now.var, old.var) && links_cover(old, now);
        case RegType::Packet:
        case RegType::PacketMeta:
            return packet_covers(old, now);
        default: // all other pointers
            break;
        }
        return old.aux == now.aux && old.frame == now.frame && offset_covers(old, now) &&
               ids_.match(old.id, now.id) &&
               ids_.match(old.map_uid, now.map_uid) && ids_.match_ref(old.ref, now.ref);
    }

    // Constants stand in a known distance to each other without an id.
    bool links_cover(const Reg& old, const Reg& now) {
        constexpr std::uint32_t kConstants = kFirstPin - 1;
        if (old.id != 0 && now.id == 0 && now.var.is_constant()) {
            return ids_.match(old.id, kConstants, std::int64_t(now.var.value()) - old.off);
        }
        return ids_.match(old.id, now.id, std::int64_t{now.off} - old.off);
    }

    // Something that may be null covers both what it is without that, and null.
    bool covers_less(const Reg& old, const Reg& now) {
        if (mode_ == Compare::Exact || !old.may_be_null() || old.ref != 0) {
            return false;
        }
        constexpr std::uint32_t kNull = kFirstPin - 2; // what shares the id must be the same of both
        constexpr std::uint32_t kNotNull = kFirstPin - 3;
        if (now.is_null()) {
            rely_on_here();
            return ids_.match(old.id, kNull);
        }
        return now.type == old.type &&
               (now.flags | reg_flags::kMaybeNull) == old.flags && old.off == now.off &&
               old.aux == now.aux && leq(now.var, old.var) && now.ref == 0 &&
               ids_.match(old.map_uid, now.map_uid) &&
               ids_.match(old.id, now.id != 0 ? now.id : kNotNull);
    }

    bool packet_covers(const Reg& old, const Reg& now) {
        const bool old_at_end = old.aux >= kBeyondPacketEnd;
        const bool now_at_end = now.aux >= kBeyondPacketEnd;
        if (old_at_end ? old.aux != now.aux : (!now_at_end && old.aux > now.aux) || (now_at_end && old.aux > 0)) {
            return false;
        }
        return offset_covers(old, now) && ids_.match(old.id, now.id);
    }

    static bool offset_covers(const Reg& old, const Reg& now) {
        if (old.off == now.off) {
            return leq(now.var, old.var);
        }
        if (old.is_packet() || old.var.is_constant()) {
            return false;
        }
        const auto distance = std::uint64_t(std::int64_t{now.off} - old.off);
        return leq(apply(isa::AluOp::Add, isa::Width::W64, now.var, Scalar::constant(distance)),
                   old.var);
    }

    bool stack_covers(unsigned index, const Frame& old, const Frame& now) {
        const bool is_same = old.stack.shares(now.stack);
        for (std::size_t s = 0; s < old.stack.size(); ++s) {
            const bool is_read =
                mode_ != Compare::Demanded || (node_.read[index] >> s & 1) != 0;
            if (!is_read) {
                continue;
            }
            if (is_same && (!old.stack[s].has_spill() || (old.stack[s].spilled.id | old.stack[s].spilled.ref | old.stack[s].spilled.map_uid) == 0)) {
                continue;
            }
            static const StackSlot kNever{};
            const StackSlot& slot = s < now.stack.size() ? now.stack[s] : kNever;
            const bool is_precise =
                mode_ != Compare::Demanded || node_.precise.has_slot(index, unsigned(s));
            here_ = {.frame = index, .index = unsigned(s), .is_slot = true};
            if (!slot_covers(old.stack[s], slot, is_precise)) {
                return false;
            }
        }
        return true;
    }

    bool slot_covers(const StackSlot& old, const StackSlot& now, bool is_precise) {
        for (unsigned i = 0; !code_.allow_uninit_stack && i < kSlotSize; ++i) {
            if (old.bytes[i] != ByteKind::Invalid && now.bytes[i] == ByteKind::Invalid) {
                return false;
            }
        }
        if (old.has_spill()) {
            return spill_covers(old, now, is_precise);
        }
        for (unsigned i = 0; i < kSlotSize; ++i) {
            const ByteKind was = old.bytes[i];
            if (was == ByteKind::Zero && now.bytes[i] != ByteKind::Zero) {
                if (now.bytes[i] != ByteKind::Spill || !now.spilled.is_null()) {
                    return false;
                }
                rely_on_here();
            }
            if (was == ByteKind::Misc && now.has_spill() && now.spilled.is_pointer()) {
                return false; // a load would give a pointer, not a number
            }
        }
        return mode_ != Compare::Exact || old == now;
    }

    bool spill_covers(const StackSlot& old, const StackSlot& now, bool is_precise) {
        if (now.has_spill() && now.spill_size() == old.spill_size()) {
            for (unsigned i = old.spill_size(); i < kSlotSize; ++i) {
                if (old.bytes[i] == ByteKind::Zero && now.bytes[i] != ByteKind::Zero) {
                    return false;
                }
            }
            return reg_covers(old.spilled, now.spilled, is_precise);
        }
        if (!old.spilled.is_scalar() || (now.has_spill() && now.spilled.is_pointer())) {
            return false;
        }
        const bool has_zeros = std::ranges::find(old.bytes, ByteKind::Zero) != old.bytes.end();
        if (has_zeros && !now.is_all(ByteKind::Zero)) {
            return false;
        }
        if (now.is_all(ByteKind::Zero)) {
            return !is_precise || old.spilled.var.contains(0);
        }
        return !is_precise || (old.spilled.var.is_unknown() && old.spilled.id == 0);
    }

    // The state is covered only because this number is what it is.
    void rely_on_here() {
        if (here_.is_slot) {
            relied_.add_slot(here_.frame, here_.index);
        } else {
            relied_.add_reg(here_.frame, here_.index);
        }
    }

    struct Here { // what is being compared
        unsigned frame = 0;
        unsigned index = 0;
        bool is_slot = false;
    };
    Here here_{};
    Places relied_{};
    const Code& code_;
    const Node& node_;
    const State& old_;
    const State& state_;
    Compare mode_;
    IdMap ids_;
};

} // namespace

std::uint16_t live_regs(const Code& code, const State& state, std::uint32_t insn, unsigned index) {
    constexpr std::uint16_t kCalleeSaved = 0x3c0;
    if (index + 1 == state.depth()) {
        return code.steps[insn].live & 0x3ff;
    }
    const Frame& callee = state.frame(index + 1);
    const Step& call = code.steps[callee.callsite];
    if (callee.kind == FrameKind::Callback) {
        return call.live & 0x3ff; // it is made again
    }
    return code.steps[call.next].live & kCalleeSaved;
}

bool is_same_place(const State& a, const State& b) {
    if (a.depth() != b.depth()) {
        return false;
    }
    for (unsigned f = 1; f < a.depth(); ++f) {
        if (a.frame(f).callsite != b.frame(f).callsite || a.frame(f).kind != b.frame(f).kind) {
            return false;
        }
    }
    return true;
}

bool covers(const Code& code, const Node& node, const State& state, Compare mode,
            Places& relied) {
    Covers comparison(code, node, state, mode);
    if (!comparison.run()) {
        return false;
    }
    relied = comparison.relied();
    return true;
}

} // namespace ebpfvm::verifier
