// One step back undoes what the insn did to the place; compare Path::step_back().
#include "verifier/origin.hpp"

namespace ebpfvm::verifier {

using isa::Shape;

const Reg* value_at(const State& state, const Place& place) {
    if (place.frame >= state.depth()) {
        return nullptr;
    }
    const Frame& frame = state.frame(place.frame);
    if (!place.is_slot) {
        return &frame.regs[place.index];
    }
    const bool has_value = place.index < frame.stack.size() && frame.stack[place.index].has_spill();
    return has_value ? &frame.stack[place.index].spilled : nullptr;
}

namespace {

class Walk {
  public:
    Walk(const History& history, Place place) : history_(history) { found_.place = place; }

    Origin run(std::size_t end) {
        for (step_ = end; step_-- > history_.first();) {
            if (step_back()) {
                found_.step = step_;
                return found_;
            }
        }
        found_.kind = !history_.is_whole() ? OriginKind::Unknown
                      : is_set_before()    ? OriginKind::Entry
                                           : OriginKind::NeverSet;
        return found_;
    }

  private:
    unsigned frame() const { return history_.entry(step_).depth - 1U; }
    bool is_reg(unsigned number) const {
        return !found_.place.is_slot && found_.place.frame == frame() &&
               found_.place.index == number;
    }
    bool is_set_before() const {
        const Reg* value = value_at(history_.before(history_.first()), found_.place);
        return value != nullptr && value->type != RegType::NotInit;
    }
    const Reg& operand(unsigned number) const { return history_.before(step_).reg(number); }
    void go_to_reg(unsigned number) { found_.place = {.frame = frame(), .index = number}; }
    bool found(OriginKind kind) {
        found_.kind = kind;
        return true;
    }

    // True if the value was made here.
    bool step_back() {
        const Step& step = history_.code(step_);
        switch (step.shape) {
        case Shape::AluImm:
        case Shape::AluReg:
        case Shape::Neg:
        case Shape::Swap:
            return is_reg(step.dst) && alu_back(step);
        case Shape::Movsx:
        case Shape::AddrSpaceCast:
            if (is_reg(step.dst)) {
                go_to_reg(step.src);
            }
            return false;
        case Shape::Lddw:
            return is_reg(step.dst) && found(step.op == isa::Op::LddwImm64 ? OriginKind::Constant
                                                                           : OriginKind::Address);
        case Shape::Load:
        case Shape::LoadAcquire:
            return is_reg(step.dst) && load_back(step);
        case Shape::StoreImm:
        case Shape::StoreReg:
        case Shape::StoreRelease:
        case Shape::Atomic:
            return found_.place.is_slot && store_back(step);
        case Shape::AtomicFetch:
            if (is_reg(isa::is_cmpxchg(step.op) ? 0U : step.src)) {
                return found(OriginKind::Loaded);
            }
            return found_.place.is_slot && store_back(step);
        case Shape::LdAbs:
        case Shape::LdInd:
            return call_back(OriginKind::PacketLoad);
        case Shape::JmpImm:
        case Shape::JmpReg:
            branch_back();
            return false;
        case Shape::CallHelper:
        case Shape::CallKfunc:
        case Shape::CallLocal:
        case Shape::Callx:
        case Shape::CallxImm:
            return call_back(OriginKind::Result);
        case Shape::Exit:
            exit_back();
            return false;
        case Shape::Ja:
        case Shape::Jal:
        case Shape::MayGoto:
            return false;
        }
        std::unreachable();
    }

    bool alu_back(const Step& step) {
        const bool has_src = step.shape == Shape::AluReg;
        if ((has_src || step.shape == Shape::AluImm) && step.alu == isa::AluOp::Mov) {
            if (has_src) {
                go_to_reg(step.src);
            }
            return !has_src && found(OriginKind::Constant);
        }
        const Reg* after = value_at(history_.after(step_), found_.place);
        if (after != nullptr && after->is_pointer()) {
            const unsigned pointer = operand(step.dst).is_pointer() ? step.dst : step.src;
            const unsigned number = pointer == step.dst ? step.src : step.dst;
            if (has_src && !operand(number).is_constant()) {
                found_.offsets.push_back({step_, {.frame = frame(), .index = number}});
            }
            go_to_reg(pointer);
            return false;
        }
        if (operand(step.dst).is_pointer() || (has_src && operand(step.src).is_pointer())) {
            return found(OriginKind::Computed);
        }
        if (!found_.computed) {
            found_.computed = step_;
        }
        if (has_src && step.dst != step.src && operand(step.dst).is_constant()) {
            go_to_reg(step.src); // that is where the doubt comes from
        }
        return false;
    }

    bool load_back(const Step& step) {
        const TraceEntry& entry = history_.entry(step_);
        if (operand(step.src).type != RegType::Stack) {
            return found(OriginKind::Loaded);
        }
        if ((entry.flags & TraceEntry::kHasSlot) == 0) {
            return found(OriginKind::StackBytes);
        }
        const Place slot{.frame = entry.slot_frame, .index = entry.slot, .is_slot = true};
        if (value_at(history_.before(step_), slot) == nullptr) {
            return found(OriginKind::StackBytes);
        }
        found_.place = slot;
        return false;
    }

    bool store_back(const Step& step) {
        const TraceEntry& entry = history_.entry(step_);
        if ((entry.flags & TraceEntry::kHasSlot) != 0 && found_.place.frame == entry.slot_frame &&
            found_.place.index == entry.slot) {
            if (step.shape == Shape::StoreImm) {
                return found(OriginKind::Constant);
            }
            go_to_reg(step.src);
            return false;
        }
        const Reg* before = value_at(history_.before(step_), found_.place);
        const Reg* after = value_at(history_.after(step_), found_.place);
        const bool is_same =
            (before == nullptr) == (after == nullptr) && (before == nullptr || *before == *after);
        return !is_same && found(OriginKind::StackBytes);
    }

    bool call_back(OriginKind result) {
        const unsigned caller = frame();
        if (found_.place.frame > caller) { // of the function that it entered
            if (found_.place.is_slot || found_.place.index < 1 || found_.place.index > kMaxArgs) {
                return found(OriginKind::NeverSet);
            }
            found_.place.frame = caller;
            return false;
        }
        if (found_.place.frame == caller && !found_.place.is_slot &&
            found_.place.index <= kMaxArgs) {
            return found(found_.place.index == 0 ? result : OriginKind::Lost);
        }
        const Reg* before = value_at(history_.before(step_), found_.place);
        const Reg* after = value_at(history_.after(step_), found_.place);
        if (before != nullptr && before->is_pointer() && (after == nullptr || after->is_scalar())) {
            return found(OriginKind::Invalidated);
        }
        return found_.place.is_slot && (before == nullptr) != (after == nullptr) &&
               found(OriginKind::StackBytes);
    }

    void exit_back() {
        const bool is_callback = (history_.entry(step_).flags & TraceEntry::kEntered) != 0;
        if (!is_callback && frame() > 0 && !found_.place.is_slot && found_.place.index == 0 &&
            found_.place.frame == frame() - 1) {
            found_.place.frame = frame();
        }
    }

    void branch_back() {
        const Reg* before = value_at(history_.before(step_), found_.place);
        const Reg* after = value_at(history_.after(step_), found_.place);
        if (before != nullptr && after != nullptr && !(*before == *after)) {
            found_.branches.push_back(step_);
        }
    }

    const History& history_;
    Origin found_{};
    std::size_t step_ = 0;
};

} // namespace

Origin find_origin(const History& history, Place place, std::size_t end) {
    return Walk(history, place).run(end);
}

} // namespace ebpfvm::verifier
