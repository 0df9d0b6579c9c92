#include "jit/opt/regs.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {

using isa::Op;
using isa::Shape;

namespace {

constexpr RegSet kCallClobbers = bit(1) | bit(2) | bit(3) | bit(4) | bit(5);

RegSet args_of(const HelperProto& proto) {
    RegSet args = 0;
    for (unsigned i = 0; i < kMaxArgs; ++i) {
        if (proto.args[i] != ArgType::None) {
            args |= bit(i + 1);
        }
    }
    return args;
}

// Hidden registers are always there.
RegSet reg(unsigned number) {
    return number < kRegCount ? bit(number) : 0;
}

RegUse extra_regs(const exec::Slot& slot) {
    switch (slot.op) {
    case exec::kOpTailCall:
        return {bit(1) | bit(2) | bit(3), bit(0) | kCallClobbers};
    case exec::kOpPacketLen:
        return {0, reg(slot.dst)};
    case exec::kOpStoreWidened:
        return {reg(slot.src), 0};
    default: // lookups in maps
        return {bit(2), bit(0) | kCallClobbers};
    }
}

} // namespace

RegUse regs_of(const exec::Slot& slot) {
    if (!exec::is_insn(slot)) {
        return extra_regs(slot);
    }
    const RegSet dst = reg(slot.dst);
    const RegSet src = reg(slot.src);
    const auto op = Op(slot.op);
    switch (isa::shape_of(op)) {
    case Shape::AluImm:
        return {op == Op::Mov32Imm || op == Op::Mov64Imm ? RegSet(0) : dst, dst};
    case Shape::AluReg:
        return {RegSet(src | (op == Op::Mov32Reg || op == Op::Mov64Reg ? 0 : dst)), dst};
    case Shape::Neg:
    case Shape::Swap:
        return {dst, dst};
    case Shape::Movsx:
    case Shape::Load:
    case Shape::LoadAcquire:
    case Shape::AddrSpaceCast:
        return {src, dst};
    case Shape::JmpImm:
        return {dst, 0};
    case Shape::JmpReg:
        return {RegSet(dst | src), 0};
    case Shape::StoreImm:
        return {dst, 0};
    case Shape::StoreReg:
    case Shape::StoreRelease:
    case Shape::Atomic:
        return {RegSet(dst | src), 0};
    case Shape::AtomicFetch:
        return isa::is_cmpxchg(op) ? RegUse{RegSet(dst | src | bit(0)), bit(0)}
                                   : RegUse{RegSet(dst | src), src};
    case Shape::Lddw:
        return {0, dst};
    case Shape::LdAbs:
        return {bit(6), bit(0) | kCallClobbers};
    case Shape::LdInd:
        return {RegSet(bit(6) | src), bit(0) | kCallClobbers};
    case Shape::MayGoto:
        return {bit(kCounter), bit(kCounter)};
    case Shape::CallHelper:
        return {args_of(reinterpret_cast<const Helper*>(slot.imm)->proto), bit(0) | kCallClobbers};
    case Shape::CallLocal:
        return {kCallClobbers, bit(0) | kCallClobbers};
    case Shape::Callx:
    case Shape::CallxImm:
    case Shape::CallKfunc:
        return {RegSet(kCallClobbers | dst), bit(0) | kCallClobbers};
    case Shape::Exit:
        return {bit(0), 0};
    case Shape::Ja:
    case Shape::Jal:
        return {};
    }
    std::unreachable();
}

namespace {

class ShapeFinder {
  public:
    ShapeFinder(const exec::Code& code, std::uint32_t begin, std::uint32_t end)
        : code_(code), begin_(begin), end_(end) {}

    SubprogShape run() {
        find_blocks();
        find_edges();
        find_order();
        find_live();
        return std::move(shape_);
    }

  private:
    [[nodiscard]] const exec::Slot& slot(std::uint32_t at) const { return code_.slots[at]; }
    [[nodiscard]] std::uint32_t target_of(std::uint32_t at) const {
        return std::uint32_t(std::int64_t(at) + 1 + slot(at).off);
    }
    [[nodiscard]] static bool is_exit(const exec::Slot& slot) {
        return exec::is_insn(slot) && exec::shape_of(slot) == Shape::Exit;
    }

    void find_blocks() {
        roles_.assign(end_ - begin_ + 1, 0);
        roles_[0] = kLeads;
        for (std::uint32_t at = begin_; at < end_;) {
            const exec::Slot& slot = code_.slots[at];
            if (exec::is_jump(slot)) {
                roles_[target_of(at) - begin_] |= kLeads;
                roles_[at - begin_] |= kEnds;
                roles_[at + 1 - begin_] |= kLeads;
                shape_.has_counter |= Op(slot.op) == Op::MayGoto;
            } else if (is_exit(slot)) {
                roles_[at - begin_] |= kEnds;
                roles_[at + 1 - begin_] |= kLeads;
            }
            at += exec::slots_of(slot);
        }
        shape_.blocks.resize(std::size_t(std::count_if(
            roles_.begin(), roles_.end() - 1, [](std::uint8_t role) { return role & kLeads; })));
        places_.assign(end_ - begin_ + 1, 0);
        std::uint32_t count = 0;
        for (std::uint32_t at = begin_; at < end_; ++at) {
            if ((roles_[at - begin_] & kLeads) != 0) {
                if (count != 0) {
                    shape_.blocks[count - 1].end = at;
                }
                shape_.blocks[count].begin = at;
                shape_.blocks[count++].end = end_;
            }
            places_[at - begin_] = count - 1;
        }
    }

    void find_edges() {
        for (SlotBlock& block : shape_.blocks) {
            const std::uint32_t last = block.end - 1;
            const bool falls_through = (roles_[last - begin_] & kEnds) == 0;
            const exec::Slot& end = slot(last);
            if (!falls_through && is_exit(end)) {
                continue;
            }
            if (!falls_through) {
                block.succs.push_back(places_[target_of(last) - begin_]);
                const Shape shape = exec::shape_of(end);
                if (shape == Shape::Ja || shape == Shape::Jal) {
                    continue;
                }
            }
            if (block.end < end_) {
                block.succs.push_back(places_[block.end - begin_]);
            }
            if (block.succs.size() == 2 && block.succs.front() == block.succs.back()) {
                block.succs.pop_back();
            }
        }
    }

    void find_order() {
        struct Visit {
            std::uint32_t block;
            std::size_t next;
        };
        Vec<Visit> path;
        path.reserve(shape_.blocks.size());
        path.push_back({0, 0});
        shape_.order.reserve(shape_.blocks.size());
        shape_.blocks[0].is_reachable = true;
        while (!path.empty()) {
            Visit& visit = path.back();
            const auto& succs = shape_.blocks[visit.block].succs;
            if (visit.next < succs.size()) {
                const std::uint32_t succ = succs[visit.next++];
                if (!shape_.blocks[succ].is_reachable) {
                    shape_.blocks[succ].is_reachable = true;
                    path.push_back({succ, 0});
                }
            } else {
                shape_.order.push_back(visit.block);
                path.pop_back();
            }
        }
        std::ranges::reverse(shape_.order);
        for (const std::uint32_t from : shape_.order) {
            for (const std::uint32_t to : shape_.blocks[from].succs) {
                shape_.blocks[to].preds.push_back(from);
            }
        }
    }

    void find_live() {
        Vec<RegUse> uses(shape_.blocks.size());
        for (const std::uint32_t place : shape_.order) {
            const SlotBlock& block = shape_.blocks[place];
            RegUse& sum = uses[place];
            for (std::uint32_t at = block.begin; at < block.end; at += exec::slots_of(slot(at))) {
                const RegUse use = regs_of(slot(at));
                sum.reads |= RegSet(use.reads & ~sum.writes);
                sum.writes |= use.writes;
            }
            shape_.writes |= sum.writes;
        }
        for (bool changed = true; changed;) {
            changed = false;
            for (std::size_t i = shape_.order.size(); i-- > 0;) {
                SlotBlock& block = shape_.blocks[shape_.order[i]];
                RegSet live = 0;
                for (const std::uint32_t succ : block.succs) {
                    live |= shape_.blocks[succ].live;
                }
                const RegUse& use = uses[shape_.order[i]];
                live = RegSet((live & ~use.writes) | use.reads);
                changed |= live != block.live;
                block.live = live;
            }
        }
    }

    const exec::Code& code_;
    const std::uint32_t begin_;
    const std::uint32_t end_;
    SubprogShape shape_{};
    enum : std::uint8_t { kLeads = 1, kEnds = 2 };
    Vec<std::uint8_t> roles_{};   // in blocks, by slot
    Vec<std::uint32_t> places_{}; // of blocks, by slot
};

} // namespace

SubprogShape shape_of(const exec::Code& code, std::uint32_t begin, std::uint32_t end) {
    return ShapeFinder(code, begin, end).run();
}

} // namespace ebpfvm::jit::opt
