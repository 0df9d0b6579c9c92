// Random programs that the kernel's verifier accepts: forward jumps, scalars, and memory that is
// there. The same seed gives the same programs.
#pragma once

#include "ebpfvm/insn.hpp"
#include "isa/decode.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

namespace ebpfvm::test {

/// The value of the map that a random program works on, through r9.
struct RandomState {
    static constexpr unsigned kRegs = 9;     ///< r0..r8 are computed with
    static constexpr unsigned kScratch = 64; ///< bytes

    std::array<std::uint64_t, kRegs> in;             ///< where most registers start
    std::array<std::uint64_t, kRegs> out;            ///< where they end
    std::array<std::uint64_t, kScratch / 8> scratch; ///< loaded, stored, atomically changed
    std::array<std::uint64_t, kScratch / 8> stack;   ///< the stack's scratch bytes at the end

    bool operator==(const RandomState&) const = default;
};

class RandomProgram {
  public:
    explicit RandomProgram(std::uint64_t seed) : rng_(seed) {}

    /// True for operations that belong into such a program: all but those that need a packet, a
    /// helper, an arena or a function pointer.
    static bool is_candidate(isa::Op op) {
        using enum isa::Shape;
        switch (isa::info(op).shape) {
        case Lddw:
            return op == isa::Op::LddwImm64;
        case LdAbs:
        case LdInd:
        case CallHelper:
        case CallKfunc:
        case Callx:
        case CallxImm:
        case Exit: // each program has one
        case AddrSpaceCast:
            return false;
        default:
            return true;
        }
    }

    /// `size` operations out of `ops`, between a fixed beginning and end.
    std::vector<Insn> make(std::span<const isa::Op> ops, std::size_t size) {
        insns_.clear();
        begin();
        for (std::size_t i = 0; i < size; ++i) {
            add(ops[below(ops.size())]);
        }
        end();
        subprogram();
        return encode_with_targets();
    }

    /// Values near the edges of the integer types, and any others.
    std::uint64_t value() {
        switch (below(4)) {
        case 0:
            return below(2) == 0 ? below(8) : 0 - std::uint64_t{below(8)};
        case 1:
            return (std::uint64_t{1} << below(64)) - below(3) + 1;
        case 2:
            return std::uint64_t(std::int64_t(std::int32_t(rng_())));
        default:
            return rng_();
        }
    }

  private:
    using Op = isa::Op;
    static constexpr std::uint8_t kMapValue = 9; // r9 all along
    static constexpr std::uint8_t kStack = kFramePointer;
    static constexpr unsigned kMaxDistance = 8; // of jumps, in insns

    // An insn whose jump, if it is one, still counts insns, not slots.
    using Insns = std::vector<isa::Decoded>;

    static constexpr std::int16_t off_in_value(std::size_t member, std::size_t index) {
        return std::int16_t(member + 8 * index);
    }

    unsigned below(std::size_t limit) { return unsigned(rng_() % limit); }
    std::uint8_t reg() { return std::uint8_t(below(RandomState::kRegs)); }
    std::int32_t imm() { return std::int32_t(value()); }

    void push(isa::Decoded insn) {
        insn.slots = isa::info(insn.op).shape == isa::Shape::Lddw ? 2 : 1;
        insns_.push_back(insn);
    }

    void begin() {
        push({.op = Op::LddwMapValueIdx, .dst = kMapValue});
        for (std::uint8_t r = 0; r < RandomState::kRegs; ++r) {
            if (below(4) == 0) {
                push({.op = Op::LddwImm64, .dst = r, .imm = imm(), .imm_hi = imm()});
            } else {
                push({.op = Op::Ldxdw,
                      .dst = r,
                      .src = kMapValue,
                      .off = off_in_value(offsetof(RandomState, in), r)});
            }
        }
        for (unsigned i = 0; i < RandomState::kScratch / 8; ++i) {
            push({.op = Op::StdwImm, .dst = kStack, .off = stack_off(8 * i), .imm = imm()});
        }
    }

    void end() {
        for (std::uint8_t r = 0; r < RandomState::kRegs; ++r) {
            push({.op = Op::StdwReg,
                  .dst = kMapValue,
                  .src = r,
                  .off = off_in_value(offsetof(RandomState, out), r)});
        }
        for (unsigned i = 0; i < RandomState::kScratch / 8; ++i) {
            push({.op = Op::Ldxdw, .dst = 1, .src = kStack, .off = stack_off(8 * i)});
            push({.op = Op::StdwReg,
                  .dst = kMapValue,
                  .src = 1,
                  .off = off_in_value(offsetof(RandomState, stack), i)});
        }
        push({.op = Op::Exit});
        end_ = insns_.size();
    }

    // What CallLocal calls: arithmetic on its arguments.
    void subprogram() {
        const bool is_called = std::ranges::any_of(
            insns_, [](const isa::Decoded& insn) { return insn.op == Op::CallLocal; });
        if (!is_called) { // the kernel refuses code that is never reached
            return;
        }
        push({.op = Op::Mov64Reg, .dst = 0, .src = 3});
        for (const Op op : {Op::Add64Reg, Op::Xor32Reg, Op::Mul64Reg, Op::Sub64Reg, Op::Or32Reg}) {
            push({.op = op, .dst = std::uint8_t(below(6)), .src = std::uint8_t(below(6))});
        }
        push({.op = Op::Add64Reg, .dst = 0, .src = 1});
        push({.op = Op::Exit});
    }

    static constexpr std::int16_t stack_off(unsigned at) {
        return std::int16_t(std::int32_t(at) - std::int32_t(RandomState::kScratch));
    }

    // A place in one of the two scratch areas for what `op` accesses. The kernel wants accesses to
    // the stack and atomics to be aligned.
    void place(Op op, std::uint8_t& base, std::int16_t& off) {
        using enum isa::Shape;
        const isa::Shape shape = isa::info(op).shape;
        const unsigned size = access_size(op);
        // The verifier of Linux 6.18 prunes paths as if AtomicFetch did not read the stack, and
        // then removes code that is not dead.
        const bool on_stack = shape != AtomicFetch && below(2) == 0;
        unsigned at = below(RandomState::kScratch - size + 1);
        if (on_stack || !(shape == Load || shape == StoreImm || shape == StoreReg)) {
            at -= at % size;
        }
        base = on_stack ? kStack : kMapValue;
        off = on_stack ? stack_off(at) : off_in_value(offsetof(RandomState, scratch) + at, 0);
    }

    // Bytes of a load or store, from the size bits of its opcode.
    static unsigned access_size(Op op) {
        constexpr std::array<unsigned, 4> kSizes{4, 2, 1, 8};
        return kSizes[isa::info(op).code >> 3 & 3];
    }

    // An immediate that the verifier allows: no shift by the width or more, no division by zero.
    std::int32_t alu_imm(Op op) {
        const isa::OpInfo& row = isa::info(op);
        const std::int32_t any = imm();
        switch (row.code & 0xf0) {
        case 0x60: // lsh, rsh, arsh
        case 0x70:
        case 0xc0:
            return any & (row.is_64 ? 63 : 31);
        case 0x30: // div, sdiv, mod, smod
        case 0x90:
            return any == 0 ? -1 : any;
        default:
            return any;
        }
    }

    void add(Op op) {
        using enum isa::Shape;
        isa::Decoded insn{.op = op};
        switch (isa::info(op).shape) {
        case AluImm:
            insn.dst = reg();
            insn.imm = alu_imm(op);
            break;
        case AluReg:
        case Movsx:
            insn.dst = reg();
            insn.src = reg();
            break;
        case Neg:
        case Swap:
            insn.dst = reg();
            break;
        case Lddw:
            insn.dst = reg();
            insn.imm = imm();
            insn.imm_hi = imm();
            break;
        case JmpImm:
        case JmpReg:
        case MayGoto:
            return add_jump(insn);
        case Ja:
        case Jal:
            return add_goto(insn);
        case CallLocal:
            return add_call(insn);
        default:
            return add_access(insn);
        }
        push(insn);
    }

    void add_access(isa::Decoded insn) {
        using enum isa::Shape;
        const isa::Shape shape = isa::info(insn.op).shape;
        const bool is_load = shape == Load || shape == LoadAcquire;
        (is_load ? insn.dst : insn.src) = shape == StoreImm ? std::uint8_t{0} : reg();
        place(insn.op, is_load ? insn.src : insn.dst, insn.off);
        insn.imm = shape == StoreImm ? imm() : 0;
        push(insn);
        if (insn.op == Op::Cmpxchg32) {
            // The high half of r0 must be zero (RFC 9669 §5.3), which x86 leaves to the verifier.
            // That of Linux 6.18 forgets it if the path that looks at the high half was pruned.
            push({.op = Op::Mov32Reg, .dst = 0, .src = 0});
        }
    }

    void add_jump(isa::Decoded insn) {
        const isa::Shape shape = isa::info(insn.op).shape;
        insn.off = std::int16_t(below(kMaxDistance));
        if (shape != isa::Shape::MayGoto) {
            insn.dst = reg();
        }
        if (shape == isa::Shape::JmpReg) {
            insn.src = reg();
        } else if (shape == isa::Shape::JmpImm) {
            insn.imm = imm();
        }
        push(insn);
    }

    // A goto over insns that would not be reached without the jump before it.
    void add_goto(isa::Decoded insn) {
        push({.op = Op::Jset64Imm, .dst = reg(), .off = 1, .imm = imm()});
        const auto distance = std::int16_t(below(kMaxDistance));
        if (insn.op == Op::Jal) {
            insn.imm = distance;
        } else {
            insn.off = distance;
        }
        push(insn);
        push({.op = Op::Neg64, .dst = reg()}); // so that the jump above has its target
    }

    // A call leaves r1 to r5 without value.
    void add_call(isa::Decoded insn) {
        push(insn);
        for (std::uint8_t r = 1; r <= 5; ++r) {
            push({.op = Op::Ldxdw,
                  .dst = r,
                  .src = kMapValue,
                  .off = off_in_value(offsetof(RandomState, in), r)});
        }
    }

    // Turns jumps over insns into jumps over slots; none goes beyond the end of the body.
    std::vector<Insn> encode_with_targets() {
        std::vector<std::int32_t> slot_of; // by insn
        std::int32_t slots = 0;
        for (const isa::Decoded& insn : insns_) {
            slot_of.push_back(slots);
            slots += insn.slots;
        }
        const std::size_t after_body =
            end_ - 1 - RandomState::kRegs - 2 * RandomState::kScratch / 8;
        std::vector<Insn> result;
        for (std::size_t i = 0; i < insns_.size(); ++i) {
            isa::Decoded insn = insns_[i];
            const auto distance_to = [&](std::size_t target) {
                return slot_of[target] - slot_of[i] - insn.slots;
            };
            if (insn.op == Op::CallLocal) {
                insn.imm = distance_to(end_);
            } else if (insn.op == Op::Jal) {
                insn.imm = distance_to(std::min(i + 1 + std::size_t(insn.imm), after_body));
            } else if (isa::is_jump(isa::info(insn.op).shape)) {
                insn.off =
                    std::int16_t(distance_to(std::min(i + 1 + std::size_t(insn.off), after_body)));
            }
            isa::encode(insn, result);
        }
        return result;
    }

    std::mt19937_64 rng_;
    Insns insns_;
    std::size_t end_ = 0; // first insn after exit
};

} // namespace ebpfvm::test
