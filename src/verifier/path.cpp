// Demands travelling back along the path. What each insn does to them mirrors what it does to
// values (the kernel's backtrack_insn() has the same purpose).
#include "verifier/path.hpp"

#include <algorithm>
#include <bit>

namespace ebpfvm::verifier {

using isa::Shape;

bool Places::empty() const {
    return std::ranges::all_of(regs, [](auto mask) { return mask == 0; }) &&
           std::ranges::all_of(slots, [](auto mask) { return mask == 0; });
}

PathMark Path::mark() const {
    return {.trace_size = std::uint32_t(trace_.size()),
            .node_count = std::uint32_t(nodes_.size()),
            .link_count = std::uint32_t(links_.size()),
            .written = written_};
}

void Path::rewind(const PathMark& mark) {
    while (nodes_.size() > mark.node_count) {
        Node* node = nodes_.back();
        node->is_complete = true;
        if (!node->is_listed) {
            retired_.push_back(node);
        }
        nodes_.pop_back();
    }
    trace_.resize(mark.trace_size);
    links_.resize(mark.link_count);
    written_ = mark.written;
}

void Path::enter(Node& node) {
    node.trace_size = std::uint32_t(trace_.size());
    node.written = written_;
    written_ = {};
    nodes_.push_back(&node);
}

void Path::note_slot(unsigned frame, unsigned slot) {
    TraceEntry& entry = trace_.back();
    entry.flags |= TraceEntry::kHasSlot;
    entry.slot_frame = std::uint8_t(frame);
    entry.slot = std::uint8_t(slot);
}

void Path::note_links(const Places& places) {
    TraceEntry& entry = trace_.back();
    entry.flags |= TraceEntry::kHasLinks;
    entry.links = std::uint32_t(links_.size());
    links_.push_back(places);
}

void Path::read_slots(const SlotMasks& mask) {
    for (unsigned frame = 0; frame < kMaxFrames; ++frame) {
        std::uint64_t wanted = mask[frame] & ~written_[frame];
        for (std::size_t i = nodes_.size(); wanted != 0 && i-- > 0;) {
            Node& node = *nodes_[i];
            if (frame >= node.state.depth()) {
                break;
            }
            wanted &= ~node.read[frame];
            node.read[frame] |= wanted;
            wanted &= ~node.written[frame];
        }
    }
}

namespace {

bool is_anything(const Reg& reg) {
    return reg.is_scalar() && reg.id == 0 && reg.var.is_unknown();
}

// Of a value that may be any number nothing was relied on.
void drop_unknown(const State& state, Places& places) {
    for (unsigned f = 0; f < state.depth(); ++f) {
        const Frame& frame = state.frame(f);
        for (std::uint16_t left = places.regs[f]; left != 0; left &= std::uint16_t(left - 1)) {
            const auto r = unsigned(std::countr_zero(left));
            if (is_anything(frame.regs[r])) {
                places.drop_reg(f, r);
            }
        }
        for (std::uint64_t left = places.slots[f]; left != 0; left &= left - 1) {
            const auto s = unsigned(std::countr_zero(left));
            if (s >= frame.stack.size() || !frame.stack[s].has_spill() ||
                is_anything(frame.stack[s].spilled)) {
                places.drop_slot(f, s);
            }
        }
    }
}

} // namespace

void Path::demand_from(Places places, std::size_t at) {
    std::size_t next_node = nodes_.size();
    for (;; --at) {
        while (next_node > 0 && nodes_[next_node - 1]->trace_size == at) {
            Node& node = *nodes_[--next_node];
            drop_unknown(node.state, places);
            for (unsigned f = 0; f < kMaxFrames; ++f) {
                places.regs[f] &= std::uint16_t(~node.precise.regs[f]);
                node.precise.regs[f] |= places.regs[f];
                places.slots[f] &= ~node.precise.slots[f];
                node.precise.slots[f] |= places.slots[f];
            }
            if (places.empty()) {
                return;
            }
        }
        if (at == 0) {
            return;
        }
        step_back(trace_[at - 1], places);
        if ((at & 7) == 0 && places.empty()) {
            return;
        }
    }
}

namespace {

// dst was computed from src alone.
void move_back(Places& places, unsigned frame, const Step& step) {
    if (places.has_reg(frame, step.dst)) {
        places.drop_reg(frame, step.dst);
        places.add_reg(frame, step.src);
    }
}

void load_back(const TraceEntry& entry, Places& places, unsigned frame, unsigned dst) {
    if (places.has_reg(frame, dst)) {
        places.drop_reg(frame, dst);
        if ((entry.flags & TraceEntry::kHasSlot) != 0) {
            places.add_slot(entry.slot_frame, entry.slot);
        }
    }
}

// True if the slot was among the places, and is not any more.
bool store_back(const TraceEntry& entry, Places& places) {
    if ((entry.flags & TraceEntry::kHasSlot) == 0 ||
        !places.has_slot(entry.slot_frame, entry.slot)) {
        return false;
    }
    places.drop_slot(entry.slot_frame, entry.slot);
    return true;
}

constexpr std::uint16_t kArgRegs = 0x3e;
constexpr std::uint16_t kCallerSaved = 0x3f;

void call_back(const TraceEntry& entry, Places& places, unsigned frame, bool is_local) {
    if ((entry.flags & TraceEntry::kEntered) == 0) {
        places.regs[frame] &= std::uint16_t(~kCallerSaved);
        return;
    }
    if (is_local) {
        places.regs[frame] |= std::uint16_t(places.regs[frame + 1] & kArgRegs);
    }
    places.regs[frame + 1] = 0;
    places.slots[frame + 1] = 0;
}

void exit_back(const TraceEntry& entry, Places& places, unsigned frame) {
    if (frame == 0) {
        return;
    }
    const unsigned caller = frame - 1;
    if ((entry.flags & TraceEntry::kEntered) != 0) {
        return; // a callback: its caller makes the same call again, with the same registers
    }
    if (places.has_reg(caller, 0)) {
        places.add_reg(frame, 0);
    }
    places.regs[caller] &= std::uint16_t(~kCallerSaved);
}

void include_links(const Places& links, Places& places) {
    bool meets = false;
    for (unsigned f = 0; f < kMaxFrames; ++f) {
        meets |= (places.regs[f] & links.regs[f]) != 0 || (places.slots[f] & links.slots[f]) != 0;
    }
    for (unsigned f = 0; meets && f < kMaxFrames; ++f) {
        places.regs[f] |= links.regs[f];
        places.slots[f] |= links.slots[f];
    }
}

} // namespace

void Path::step_back(const TraceEntry& entry, Places& places) const {
    const Step& step = code_.steps[entry.insn];
    const unsigned frame = entry.depth - 1U;
    const bool has_links = (entry.flags & TraceEntry::kHasLinks) != 0;
    switch (step.shape) {
    case Shape::AluImm:
        if (step.alu == isa::AluOp::Mov) {
            places.drop_reg(frame, step.dst);
        }
        return;
    case Shape::AluReg:
        if (step.alu == isa::AluOp::Mov) {
            move_back(places, frame, step);
        } else if (places.has_reg(frame, step.dst)) {
            places.add_reg(frame, step.src);
        }
        return;
    case Shape::Movsx:
    case Shape::AddrSpaceCast:
        return move_back(places, frame, step);
    case Shape::Load:
    case Shape::LoadAcquire:
        return load_back(entry, places, frame, step.dst);
    case Shape::StoreReg:
    case Shape::StoreRelease:
        if (store_back(entry, places)) {
            places.add_reg(frame, step.src);
        }
        return;
    case Shape::StoreImm:
        store_back(entry, places);
        return;
    case Shape::AtomicFetch:
        return load_back(entry, places, frame, isa::is_cmpxchg(step.op) ? 0 : step.src);
    case Shape::Lddw:
        places.drop_reg(frame, step.dst);
        return;
    case Shape::LdAbs:
    case Shape::LdInd:
        places.regs[frame] &= std::uint16_t(~kCallerSaved);
        return;
    case Shape::JmpReg:
        if (has_links) { // what is linked to one operand was compared with the other
            include_links(links_[entry.links], places);
        }
        if (places.has_reg(frame, step.dst) || places.has_reg(frame, step.src)) {
            places.add_reg(frame, step.dst);
            places.add_reg(frame, step.src);
        }
        [[fallthrough]];
    case Shape::JmpImm:
        if (has_links) {
            include_links(links_[entry.links], places);
        }
        return;
    case Shape::CallLocal:
        return call_back(entry, places, frame, true);
    case Shape::CallHelper:
    case Shape::CallKfunc:
    case Shape::Callx:
    case Shape::CallxImm:
        return call_back(entry, places, frame, false);
    case Shape::Exit:
        return exit_back(entry, places, frame);
    case Shape::Neg:
    case Shape::Swap:
    case Shape::Atomic:
    case Shape::Ja:
    case Shape::Jal:
    case Shape::MayGoto:
        return;
    }
    std::unreachable();
}

} // namespace ebpfvm::verifier
