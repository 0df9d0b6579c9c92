#include "jit/opt/mover.hpp"

#include "jit/opt/target.hpp"

#include <algorithm>
#include <utility>

namespace ebpfvm::jit::opt {

void Mover::load(const x86::Gp& reg, ValueId value) {
    const Node& node = fn_[value];
    if (node.kind == Kind::Frame) {
        as_.lea(reg, x86::ptr(x86::rsp, frame_.offset_of(node.imm)));
    } else if (node.imm == 0) {
        as_.xor_(reg.r32(), reg.r32());
    } else {
        load_const(reg, std::uint64_t(node.imm));
    }
}

void Mover::load_const(const x86::Gp& reg, std::uint64_t value) {
    if (value <= 0xffff'ffff) {
        as_.mov(reg.r32(), value);
    } else {
        as_.mov(reg, value); // sign extended if that is enough
    }
}

void Mover::move(const Place& from, const Place& to) {
    if (to.is_reg()) {
        switch (from.kind) {
        case Place::Kind::Reg:
            as_.mov(x86::gpq(to.number), x86::gpq(from.number));
            return;
        case Place::Kind::Slot:
            as_.mov(x86::gpq(to.number), StackFrame::slot(from.number));
            return;
        case Place::Kind::Const:
            load(x86::gpq(to.number), from.number);
            return;
        case Place::Kind::None:
        case Place::Kind::Split:
            return;
        }
    }
    const x86::Mem slot = StackFrame::slot(to.number);
    if (from.is_reg()) {
        as_.mov(slot, x86::gpq(from.number));
    } else if (from.kind == Place::Kind::Slot) {
        as_.movq(x86::xmm0, StackFrame::slot(from.number));
        as_.movq(slot, x86::xmm0);
    } else if (from.kind == Place::Kind::Const) {
        const Node& node = fn_[from.number];
        if (node.kind == Kind::Const && is_imm32(node.imm)) {
            as_.mov(slot, node.imm);
        } else {
            load(x86::gpq(kScratch), from.number);
            as_.mov(slot, x86::gpq(kScratch));
        }
    }
}

void Mover::move_all(Vec<Move> moves) {
    std::erase_if(moves, [](const Move& m) { return m.from == m.to; });
    while (!moves.empty()) {
        const auto is_read = [&](const Move& done) {
            return std::ranges::any_of(
                moves, [&](const Move& other) { return &other != &done && other.from == done.to; });
        };
        const auto free = std::ranges::find_if_not(moves, is_read);
        if (free != moves.end()) {
            move(free->from, free->to);
            moves.erase(free);
            continue;
        }
        // A cycle: what the first overwrites is read from the scratch register from now on.
        const Place kept{Place::Kind::Reg, kScratch};
        const Place overwritten = moves.front().to;
        move(overwritten, kept);
        for (Move& other : moves) {
            if (other.from == overwritten) {
                other.from = kept;
            }
        }
    }
}

} // namespace ebpfvm::jit::opt
