// Which registers later code can still read: a backward dataflow over blocks, callees first known.
#include "cfg/cfg.hpp"

#include <utility>

namespace ebpfvm::cfg {
namespace {

using isa::Decoded;
using isa::Op;
using isa::Shape;
using RegSet = std::uint16_t;

constexpr RegSet kAllRegs = 0x3ff;     // r0..r9; the frame pointer always lives
constexpr RegSet kCallClobbers = 0x3f; // r0..r5
constexpr RegSet kArgs = 0x3e;         // r1..r5

constexpr RegSet bit(unsigned reg) {
    return RegSet((1U << reg) & kAllRegs);
}

struct Effect {
    RegSet uses;
    RegSet defines;
};

bool is_move(Op op) {
    return op == Op::Mov32Imm || op == Op::Mov32Reg || op == Op::Mov64Imm || op == Op::Mov64Reg;
}

class Liveness {
  public:
    Liveness(const isa::DecodedProgram& program, const CallArity& arity, Cfg& cfg)
        : program_(program), arity_(arity), cfg_(cfg), entry_(program.subprogs.size(), 0),
          live_in_(cfg.blocks.size(), 0), is_second_slot_(program.insns.size(), false) {
        for (std::size_t at = 0; at < program.insns.size(); at += program.insns[at].slots) {
            if (program.insns[at].slots == 2) {
                is_second_slot_[at + 1] = true;
            }
        }
    }

    void run() {
        bool changed = true;
        while (changed) {
            changed = false;
            for (std::size_t i = cfg_.blocks.size(); i-- > 0;) {
                const RegSet live = through(cfg_.blocks[i], [](std::uint32_t, RegSet) {});
                changed |= live != live_in_[i];
                live_in_[i] = live;
            }
            for (std::size_t s = 0; s < entry_.size(); ++s) {
                const RegSet live = live_in_[cfg_.block_of[program_.subprogs[s]]];
                changed |= live != entry_[s];
                entry_[s] = live;
            }
        }
        cfg_.live.assign(program_.insns.size(), kAllRegs);
        for (const BasicBlock& block : cfg_.blocks) {
            through(block, [this](std::uint32_t slot, RegSet live) { cfg_.live[slot] = live; });
        }
    }

  private:
    template <class Visit>
    RegSet through(const BasicBlock& block, Visit visit) {
        RegSet live = 0;
        for (const std::uint32_t next : block.successors) {
            live |= live_in_[next];
        }
        for (std::uint32_t at = block.last + 1; at-- > block.first;) {
            if (is_second_slot_[at]) {
                continue;
            }
            const Effect effect = effect_of(program_.insns[at], at);
            live = RegSet((live & ~effect.defines) | effect.uses);
            visit(at, live);
        }
        return live;
    }

    Effect effect_of(const Decoded& insn, std::uint32_t at) const {
        switch (isa::info(insn.op).shape) {
        case Shape::AluImm:
            return {is_move(insn.op) ? RegSet{0} : bit(insn.dst), bit(insn.dst)};
        case Shape::AluReg:
            return {RegSet(bit(insn.src) | (is_move(insn.op) ? 0 : bit(insn.dst))), bit(insn.dst)};
        case Shape::Neg:
        case Shape::Swap:
            return {bit(insn.dst), bit(insn.dst)};
        case Shape::Movsx:
        case Shape::Load:
        case Shape::LoadAcquire:
        case Shape::AddrSpaceCast:
            return {bit(insn.src), bit(insn.dst)};
        case Shape::JmpImm:
        case Shape::StoreImm:
            return {bit(insn.dst), 0};
        case Shape::JmpReg:
        case Shape::StoreReg:
        case Shape::StoreRelease:
        case Shape::Atomic:
            return {RegSet(bit(insn.dst) | bit(insn.src)), 0};
        case Shape::AtomicFetch:
            if (isa::is_cmpxchg(insn.op)) {
                return {RegSet(bit(insn.dst) | bit(insn.src) | bit(0)), 0};
            }
            return {RegSet(bit(insn.dst) | bit(insn.src)), 0};
        case Shape::Lddw:
            return {0, bit(insn.dst)};
        case Shape::LdAbs:
            return {bit(6), kCallClobbers};
        case Shape::LdInd:
            return {RegSet(bit(6) | bit(insn.src)), kCallClobbers};
        case Shape::CallLocal:
            return {RegSet(callee_uses(insn, at) & kArgs), kCallClobbers};
        case Shape::CallHelper:
        case Shape::CallKfunc:
            return {RegSet(((2U << arity_(insn)) - 1) & kArgs), kCallClobbers};
        case Shape::Callx:
        case Shape::CallxImm:
            return {kAllRegs, 0};
        case Shape::Exit:
            return {bit(0), 0};
        case Shape::Ja:
        case Shape::Jal:
        case Shape::MayGoto:
            return {0, 0};
        }
        std::unreachable();
    }

    RegSet callee_uses(const Decoded& insn, std::uint32_t at) const {
        const auto target = std::uint32_t(isa::target_of(insn, at));
        return entry_[cfg_.block(target).subprog];
    }

    const isa::DecodedProgram& program_;
    const CallArity& arity_;
    Cfg& cfg_;
    std::vector<RegSet> entry_;   // live at the entry, by subprogram
    std::vector<RegSet> live_in_; // by block
    std::vector<bool> is_second_slot_;
};

} // namespace

void compute_liveness(const isa::DecodedProgram& program, const CallArity& arity, Cfg& cfg) {
    Liveness(program, arity, cfg).run();
}

} // namespace ebpfvm::cfg
