// Extrapolation of registers and stack slots, place by place.
#include "verifier/widen.hpp"

#include "verifier/subsume.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

class Widener {
  public:
    Widener(Env& env, const Node& before, std::span<const std::uint64_t> thresholds, Widening how)
        : env_(env), before_(before), thresholds_(thresholds), how_(how) {}

    std::optional<State> run(const State& now) {
        const State& old = before_.state;
        if (old.depth() != now.depth() || old.refs != now.refs || old.lock != now.lock) {
            return std::nullopt;
        }
        State result = now;
        for (unsigned f = 0; f < now.depth(); ++f) {
            if (old.frame_ptr(f) != now.frame_ptr(f)) {
                frame_ = f;
                widen_frame(old.frame(f), result.own(f), live_regs(env_.code, now, before_.insn, f));
            }
        }
        return result;
    }

  private:
    void widen_frame(const Frame& old, Frame& frame, std::uint16_t live) {
        frame.callbacks = 0;
        for (unsigned r = 0; r < kFramePointer; ++r) {
            if ((live >> r & 1) == 0) {
                frame.regs[r] = Reg{};
            } else {
                widen_reg(old.regs[r], frame.regs[r], before_.precise.has_reg(frame_, r));
            }
        }
        for (std::size_t s = 0; s < frame.stack.size(); ++s) {
            const StackSlot never{};
            const StackSlot& was = s < old.stack.size() ? old.stack[s] : never;
            if (!(was == frame.stack[s])) {
                widen_slot(was, frame.own_slot(s), before_.precise.has_slot(frame_, unsigned(s)));
            }
        }
    }

    void widen_reg(const Reg& old, Reg& reg, bool is_demanded) {
        if (old.type != reg.type || old.flags != reg.flags || old.aux != reg.aux ||
            old.frame != reg.frame || old.ref != reg.ref) {
            if (reg.is_packet() && old.type == reg.type) {
                reg.aux = std::min(old.aux, reg.aux); // fewer bytes are proved
            } else {
                reg = old.is_scalar() && reg.is_scalar() ? Reg::unknown() : Reg{};
                return;
            }
        }
        if (reg.is_scalar()) {
            return widen_number(old, reg, is_demanded);
        }
        if (old.off == reg.off && old.var == reg.var) {
            return;
        }
        if (reg.is_packet()) {
            reg.id = env_.fresh_id();
            reg.aux = 0;
        }
        const Scalar moved =
            apply(isa::AluOp::Add, isa::Width::W64, reg.var,
                  Scalar::constant(std::uint64_t(std::int64_t{reg.off} - old.off)));
        reg.off = old.off;
        reg.var = verifier::widen(old.var, moved, thresholds_);
    }

    void widen_number(const Reg& old, Reg& reg, bool is_demanded) {
        if (old.var == reg.var && (old.id != 0) == (reg.id != 0) && old.off == reg.off) {
            return;
        }
        if (how_ == Widening::Undemanded) {
            if (!is_demanded) {
                reg = Reg::unknown();
            }
            return;
        }
        const std::uint32_t pin = pin_of(old.var, reg);
        reg.var = verifier::widen(old.var, reg.var, thresholds_);
        reg.id = pin;
        reg.off = 0;
    }

    // Places that hold one number now are taken to hold one always.
    std::uint32_t pin_of(const Scalar& old, const Reg& now) {
        for (const Changed& changed : changed_) {
            const bool is_same = now.var.is_constant() ||
                                 (now.id != 0 && changed.now.id == now.id && changed.now.off == now.off);
            if (changed.old == old && changed.now.var == now.var && is_same) {
                return changed.pin;
            }
        }
        changed_.push_back({old, now, env_.fresh_pin()});
        return changed_.back().pin;
    }

    void widen_slot(const StackSlot& old, StackSlot& slot, bool is_demanded) {
        if (old.has_spill() && slot.has_spill() && old.bytes == slot.bytes) {
            widen_reg(old.spilled, slot.spilled, is_demanded);
            if (slot.spilled.type == RegType::NotInit) {
                slot = StackSlot{};
            }
            return;
        }
        const bool has_pointer = (old.has_spill() && old.spilled.is_pointer()) ||
                                 (slot.has_spill() && slot.spilled.is_pointer());
        slot.spilled = Reg{};
        for (unsigned i = 0; i < kSlotSize; ++i) {
            const bool stays = old.bytes[i] == slot.bytes[i] && slot.bytes[i] != ByteKind::Spill;
            slot.bytes[i] = stays         ? slot.bytes[i]
                            : has_pointer ? ByteKind::Invalid
                                          : ByteKind::Misc;
        }
    }

    struct Changed {
        Scalar old;
        Reg now;
        std::uint32_t pin;
    };

    Env& env_;
    const Node& before_;
    std::span<const std::uint64_t> thresholds_;
    Widening how_;
    unsigned frame_ = 0;
    std::vector<Changed> changed_;
};

} // namespace

std::vector<std::uint64_t> thresholds_of(const Code& code) {
    std::vector<std::uint64_t> result;
    for (const Step& step : code.steps) {
        const bool is_constant = step.shape == isa::Shape::JmpImm || step.op == isa::Op::LddwImm64 ||
                                 (step.shape == isa::Shape::AluImm && step.alu == isa::AluOp::Mov);
        if (!is_constant) {
            continue;
        }
        const std::uint64_t value =
            step.width == isa::Width::W32 ? std::uint32_t(step.imm) : step.imm;
        for (const std::uint64_t near : {value - 1, value, value + 1}) {
            result.push_back(near);
        }
    }
    std::ranges::sort(result);
    const auto rest = std::ranges::unique(result);
    result.erase(rest.begin(), rest.end());
    return result;
}

std::optional<State> widen(Env& env, const Node& before, const State& now,
                           std::span<const std::uint64_t> thresholds, Widening how) {
    return Widener(env, before, thresholds, how).run(now);
}

} // namespace ebpfvm::verifier
