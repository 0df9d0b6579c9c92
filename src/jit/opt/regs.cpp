#include "jit/opt/regs.hpp"

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

namespace ebpfvm::jit::opt {

using isa::Op;
using isa::Shape;

namespace {

constexpr RegSet kCallClobbers = bit(1) | bit(2) | bit(3) | bit(4) | bit(5);

struct RegUse {
    RegSet reads = 0;
    RegSet writes = 0;
};

// What slots of an operation do, whatever their operands.
struct OpUse {
    RegSet dst_reads = 0; // a set of none or all: which of the slot's dst and src are meant
    RegSet src_reads = 0;
    RegSet dst_writes = 0;
    RegSet src_writes = 0;
    RegUse fixed{};
    bool is_unusual = false;
};

constexpr RegSet kAny = RegSet(~0U);

constexpr OpUse use_of(Op op) {
    constexpr RegUse kCall{0, bit(0) | kCallClobbers};
    switch (isa::shape_of(op)) {
    case Shape::AluImm:
        return {.dst_reads = op == Op::Mov32Imm || op == Op::Mov64Imm ? RegSet(0) : kAny,
                .dst_writes = kAny};
    case Shape::AluReg:
        return {.dst_reads = op == Op::Mov32Reg || op == Op::Mov64Reg ? RegSet(0) : kAny,
                .src_reads = kAny,
                .dst_writes = kAny};
    case Shape::Neg:
    case Shape::Swap:
        return {.dst_reads = kAny, .dst_writes = kAny};
    case Shape::Movsx:
    case Shape::Load:
    case Shape::LoadAcquire:
        return {.src_reads = kAny, .dst_writes = kAny};
    case Shape::AddrSpaceCast:
        return {.src_reads = kAny, .dst_writes = kAny, .is_unusual = true};
    case Shape::JmpImm:
    case Shape::StoreImm:
        return {.dst_reads = kAny};
    case Shape::JmpReg:
    case Shape::StoreReg:
    case Shape::StoreRelease:
    case Shape::Atomic:
        return {.dst_reads = kAny, .src_reads = kAny};
    case Shape::AtomicFetch:
        return isa::is_cmpxchg(op)
                   ? OpUse{.dst_reads = kAny, .src_reads = kAny, .fixed = {bit(0), bit(0)}}
                   : OpUse{.dst_reads = kAny, .src_reads = kAny, .src_writes = kAny};
    case Shape::Lddw:
        return {.dst_writes = kAny};
    case Shape::LdAbs:
        return {.fixed = {bit(6), kCall.writes}, .is_unusual = true};
    case Shape::LdInd:
        return {.src_reads = kAny, .fixed = {bit(6), kCall.writes}, .is_unusual = true};
    case Shape::MayGoto:
        return {.fixed = {bit(kCounter), bit(kCounter)}};
    case Shape::CallHelper: // its arguments are in its prototype
        return {.fixed = kCall, .is_unusual = true};
    case Shape::CallLocal:
        return {.fixed = {kCallClobbers, kCall.writes}, .is_unusual = true};
    case Shape::Callx:
    case Shape::CallxImm:
    case Shape::CallKfunc:
        return {.dst_reads = kAny, .fixed = {kCallClobbers, kCall.writes}, .is_unusual = true};
    case Shape::Exit:
        return {.fixed = {bit(0), 0}};
    case Shape::Ja:
    case Shape::Jal:
        return {};
    }
    std::unreachable();
}

constexpr auto kUses = [] {
    std::array<OpUse, isa::kOpCount> uses{};
    for (unsigned op = 0; op < isa::kOpCount; ++op) {
        uses[op] = use_of(Op(op));
    }
    return uses;
}();

bool is_unusual(const exec::Slot& slot) {
    return !exec::is_insn(slot) || kUses[slot.op].is_unusual;
}

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
    constexpr RegSet kAll = bit(kRegCount) - 1;
    return RegSet(bit(number) & kAll);
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

RegUse regs_of(const exec::Slot& slot) {
    if (!exec::is_insn(slot)) {
        return extra_regs(slot);
    }
    const OpUse& use = kUses[slot.op];
    const RegSet dst = reg(slot.dst);
    const RegSet src = reg(slot.src);
    const RegSet args = Op(slot.op) == Op::CallHelper
                            ? args_of(reinterpret_cast<const Helper*>(slot.imm)->proto)
                            : RegSet(0);
    return {
        RegSet(use.fixed.reads | (use.dst_reads & dst) | (use.src_reads & src) | args),
        RegSet(use.fixed.writes | (use.dst_writes & dst) | (use.src_writes & src)),
    };
}

class ShapeFinder {
  public:
    ShapeFinder(const exec::Code& code, std::uint32_t begin, std::uint32_t end)
        : code_(code), begin_(begin), end_(end) {}

    SubprogShape run() {
        find_blocks();
        find_edges();
        find_order();
        find_changes();
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
        std::size_t jumps = 0;
        for (std::uint32_t at = begin_; at < end_;) {
            const exec::Slot& slot = code_.slots[at];
            if (exec::is_jump(slot)) {
                roles_[target_of(at) - begin_] |= kLeads;
                roles_[at - begin_] |= kEnds;
                roles_[at + 1 - begin_] |= kLeads;
                shape_.has_counter |= Op(slot.op) == Op::MayGoto;
                ++jumps;
            } else if (is_exit(slot)) {
                roles_[at - begin_] |= kEnds;
                roles_[at + 1 - begin_] |= kLeads;
                ++jumps;
            }
            at += exec::slots_of(slot);
        }
        shape_.blocks.reserve(2 * jumps + 1);
        uses_.reserve(2 * jumps + 1);
        places_.resize(end_ - begin_ + 1);
        for (std::uint32_t at = begin_; at < end_;) {
            if ((roles_[at - begin_] & kLeads) != 0) {
                places_[at - begin_] = std::uint32_t(shape_.blocks.size());
                shape_.blocks.emplace_back().begin = at;
                uses_.emplace_back();
            }
            const exec::Slot& slot = code_.slots[at];
            if (is_unusual(slot)) {
                shape_.unusual.push_back(at);
            }
            const RegUse use = regs_of(slot);
            RegUse& sum = uses_.back();
            sum.reads |= RegSet(use.reads & ~sum.writes);
            sum.writes |= use.writes;
            at += exec::slots_of(slot);
            shape_.blocks.back().end = at;
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
        positions_.resize(shape_.blocks.size());
        for (std::uint32_t i = 0; i < shape_.order.size(); ++i) {
            const std::uint32_t from = shape_.order[i];
            positions_[from] = i;
            shape_.writes |= uses_[from].writes;
            for (const std::uint32_t to : shape_.blocks[from].succs) {
                shape_.blocks[to].preds.push_back(from);
            }
        }
    }

    // A loop is all that lies in `order` from its header to the last block that leads there, with
    // the loops that begin in between.
    void find_changes() {
        Vec<std::uint32_t> ends(shape_.order.size()); // of loops, by position of the header
        for (std::uint32_t i = std::uint32_t(ends.size()); i-- > 0;) {
            SlotBlock& header = shape_.blocks[shape_.order[i]];
            bool is_loop = false;
            std::uint32_t end = i;
            for (const std::uint32_t pred : header.preds) {
                is_loop |= positions_[pred] >= i;
                end = std::max(end, positions_[pred]);
            }
            header.changes = is_loop ? uses_[shape_.order[i]].writes : RegSet(0);
            for (std::uint32_t k = i + 1; k <= end; k = ends[k] + 1) {
                const std::uint32_t inner = shape_.order[k];
                end = std::max(end, ends[k]);
                header.changes |= shape_.blocks[inner].changes;
                header.changes |= uses_[inner].writes;
                for (const std::uint32_t pred : shape_.blocks[inner].preds) {
                    if (positions_[pred] < i) { // another way into the loop
                        header.changes = kAny;
                    }
                }
            }
            ends[i] = end;
            has_loops_ |= is_loop;
        }
    }

    void find_live() {
        for (bool changed = true; changed;) {
            changed = false;
            for (const std::uint32_t place : std::views::reverse(shape_.order)) {
                SlotBlock& block = shape_.blocks[place];
                RegSet live = 0;
                for (const std::uint32_t succ : block.succs) {
                    live |= shape_.blocks[succ].live;
                }
                const RegUse& use = uses_[place];
                live = RegSet((live & ~use.writes) | use.reads);
                changed |= has_loops_ && live != block.live;
                block.live = live;
            }
        }
    }

    const exec::Code& code_;
    const std::uint32_t begin_;
    const std::uint32_t end_;
    SubprogShape shape_{};
    enum : std::uint8_t { kLeads = 1, kEnds = 2 };
    Vec<std::uint8_t> roles_{};      // in blocks, by slot
    Vec<std::uint32_t> places_{};    // of blocks, by first slot
    Vec<RegUse> uses_{};             // by block
    Vec<std::uint32_t> positions_{}; // of blocks in `order`
    bool has_loops_ = false;
};

} // namespace

SubprogShape shape_of(const exec::Code& code, std::uint32_t begin, std::uint32_t end) {
    return ShapeFinder(code, begin, end).run();
}

} // namespace ebpfvm::jit::opt
