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
        : program_(program), arity_(arity), cfg_(cfg), live_in_(cfg.blocks.size(), 0),
          is_read_early_(cfg.blocks.size(), false) {}

    void run() {
        cfg_.live.assign(program_.insns.size(), kAllRegs);
        do {
            is_settled_ = true;
            for (block_ = std::uint32_t(cfg_.blocks.size()); block_-- > 0;) {
                pass();
            }
        } while (!is_settled_);
    }

  private:
    // From the end of the current block to its begin.
    void pass() {
        const BasicBlock& block = cfg_.blocks[block_];
        RegSet live = 0;
        for (const std::uint32_t next : block.successors) {
            live |= live_in(next);
        }
        for (std::uint32_t at = block.last;; at -= program_.insns[at - 1].slots) {
            const Effect effect = effect_of(program_.insns[at], at);
            live = RegSet((live & ~effect.defines) | effect.uses);
            cfg_.live[at] = live;
            if (at == block.first) {
                break;
            }
        }
        is_settled_ &= live == live_in_[block_] || !is_read_early_[block_];
        live_in_[block_] = live;
    }

    // What is live where `block` begins. Read before the block's turn, as edges backwards and calls
    // do, it may change yet, which asks for another round.
    RegSet live_in(std::uint32_t block) {
        if (block <= block_) {
            is_read_early_[block] = true;
        }
        return live_in_[block];
    }

    Effect effect_of(const Decoded& insn, std::uint32_t at) {
        switch (isa::shape_of(insn.op)) {
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

    RegSet callee_uses(const Decoded& insn, std::uint32_t at) {
        return live_in(cfg_.block_of[std::uint32_t(isa::target_of(insn, at))]);
    }

    const isa::DecodedProgram& program_;
    const CallArity& arity_;
    Cfg& cfg_;
    std::vector<RegSet> live_in_; // by block
    std::vector<bool> is_read_early_;
    std::uint32_t block_ = 0;
    bool is_settled_ = true;
};

} // namespace

void compute_liveness(const isa::DecodedProgram& program, const CallArity& arity, Cfg& cfg) {
    Liveness(program, arity, cfg).run();
}

} // namespace ebpfvm::cfg
