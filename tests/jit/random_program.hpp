// Random programs that are well-defined without any verifier: all arithmetic in all register
// combinations, forward jumps, short loops, calls, and memory and atomics on the stack and a
// buffer. r0 ends as a mix of all registers. The same seed gives the same program.
#pragma once

#include "isa/decode.hpp"

#include <cstdint>
#include <random>
#include <vector>

namespace ebpfvm::test {

class RandomProgram {
  public:
    /// The buffer that r1 must point to, in bytes.
    static constexpr std::int16_t kBuffer = 64;

    explicit RandomProgram(std::uint64_t seed) : rng_(seed) {}

    std::vector<Insn> make(unsigned insns) {
        emit({.op = isa::Op::StdwReg, .dst = 10, .src = 1, .off = kSavedBuffer});
        for (std::int16_t off = -8; off >= kScratch; off -= 8) {
            emit({.op = isa::Op::StdwImm, .dst = 10, .off = off, .imm = constant()});
        }
        for (unsigned r = 0; r < kFramePointer; ++r) {
            load_constant(r);
        }
        const bool has_function = rng_() % 4 == 0;
        body(insns);
        mix();
        emit({.op = isa::Op::Exit});
        if (has_function) {
            const auto entry = std::int32_t(insns_.size());
            for (const std::size_t call : calls_) {
                insns_[call].imm = entry - std::int32_t(call) - 1;
            }
            calls_.clear();
            for (const unsigned r : {0U, 6U, 7U, 8U, 9U}) { // no verifier lets it read the caller's
                load_constant(r);
            }
            for (unsigned i = 0; i < 10; ++i) {
                arithmetic();
            }
            emit({.op = isa::Op::Exit});
        } else {
            for (const std::size_t call : calls_) {
                replace(call, {.op = isa::Op::Mov64Imm, .dst = 0, .imm = 7});
            }
        }
        return std::move(insns_);
    }

  private:
    static constexpr std::int16_t kScratch = -64;
    static constexpr std::int16_t kSavedBuffer = -72;
    static constexpr std::int16_t kLoopCounter = -80;

    unsigned below(unsigned limit) { return unsigned(rng_() % limit); }
    std::uint8_t reg() { return std::uint8_t(below(kFramePointer)); }

    std::int32_t constant() {
        static constexpr std::int32_t kCorners[] = {
            0, 1, -1, 2, 7, 31, 32, 63, 64, 127, -128, 255, INT32_MAX, INT32_MIN, 0x10000, -2};
        return below(3) == 0 ? std::int32_t(rng_()) : kCorners[below(std::size(kCorners))];
    }

    void emit(const isa::Decoded& insn) { isa::encode(insn, insns_); }
    void replace(std::size_t at, const isa::Decoded& insn) {
        std::vector<Insn> one;
        isa::encode(insn, one);
        insns_[at] = one.front();
    }

    void load_constant(unsigned r) {
        isa::Decoded insn{.op = isa::Op::LddwImm64, .dst = std::uint8_t(r)};
        insn.set_imm64(below(2) == 0 ? rng_() : std::uint64_t(std::int64_t(constant())));
        emit(insn);
    }

    // Any operation that computes.
    void arithmetic() {
        for (;;) {
            const auto op = isa::Op(below(isa::kOpCount));
            const isa::Shape shape = isa::shape_of(op);
            isa::Decoded insn{.op = op, .dst = reg()};
            switch (shape) {
            case isa::Shape::AluImm:
                insn.imm = constant();
                break;
            case isa::Shape::AluReg:
            case isa::Shape::Movsx:
                insn.src = reg();
                break;
            case isa::Shape::Neg:
            case isa::Shape::Swap:
                break;
            default: // no arithmetic
                continue;
            }
            return emit(insn);
        }
    }

    // A load, store or atomic on the stack or the buffer.
    void memory() {
        std::uint8_t base = kFramePointer;
        std::int16_t off = std::int16_t(kScratch + 8 * int(below(8)));
        if (below(2) == 0) {
            base = reg();
            emit({.op = isa::Op::Ldxdw, .dst = base, .src = 10, .off = kSavedBuffer});
            off = std::int16_t(8 * below(kBuffer / 8));
        }
        for (;;) {
            const auto op = isa::Op(below(isa::kOpCount));
            isa::Decoded insn{.op = op, .dst = base, .src = reg(), .off = off};
            switch (isa::shape_of(op)) {
            case isa::Shape::Load:
            case isa::Shape::LoadAcquire:
                std::swap(insn.dst, insn.src);
                break;
            case isa::Shape::StoreImm:
                insn.src = 0;
                insn.imm = constant();
                break;
            case isa::Shape::StoreReg:
            case isa::Shape::StoreRelease:
            case isa::Shape::Atomic:
            case isa::Shape::AtomicFetch:
                break;
            default: // no access
                continue;
            }
            // Addresses differ from run to run: they must not become results.
            const bool stores_address = base != kFramePointer && insn.src == base;
            if (!stores_address || isa::shape_of(op) == isa::Shape::Load ||
                isa::shape_of(op) == isa::Shape::LoadAcquire ||
                isa::shape_of(op) == isa::Shape::StoreImm) {
                emit(insn);
                if (base != kFramePointer) {
                    load_constant(base);
                }
                return;
            }
        }
    }

    void jump_over(unsigned depth) {
        for (;;) {
            const auto op = isa::Op(below(isa::kOpCount));
            isa::Decoded insn{.op = op, .dst = reg()};
            const isa::Shape shape = isa::shape_of(op);
            if (shape == isa::Shape::JmpImm) {
                insn.imm = constant();
            } else if (shape == isa::Shape::JmpReg) {
                insn.src = reg();
            } else {
                continue;
            }
            const std::size_t at = insns_.size();
            emit(insn);
            body(1 + below(6), depth + 1);
            insns_[at].off = std::int16_t(insns_.size() - at - 1);
            return;
        }
    }

    // A few turns; the counter lies on the stack, where nothing else goes.
    void loop(unsigned depth) {
        emit({.op = isa::Op::StdwImm,
              .dst = 10,
              .off = kLoopCounter,
              .imm = std::int32_t(below(9))});
        const std::size_t head = insns_.size();
        body(1 + below(5), 100);
        const std::uint8_t counter = reg();
        emit({.op = isa::Op::Ldxdw, .dst = counter, .src = 10, .off = kLoopCounter});
        emit({.op = isa::Op::Add64Imm, .dst = counter, .imm = -1});
        emit({.op = isa::Op::StdwReg, .dst = 10, .src = counter, .off = kLoopCounter});
        const auto back = std::int16_t(std::int64_t(head) - std::int64_t(insns_.size()) - 1);
        emit({.op = isa::Op::Jsgt64Imm, .dst = counter, .off = back, .imm = 0});
        (void)depth;
    }

    void call() {
        calls_.push_back(insns_.size());
        emit({.op = isa::Op::CallLocal});
        for (unsigned r = 1; r <= 5; ++r) {
            load_constant(r);
        }
    }

    void body(unsigned insns, unsigned depth = 0) {
        for (unsigned i = 0; i < insns; ++i) {
            const unsigned kind = below(100);
            if (kind < 60) {
                arithmetic();
            } else if (kind < 82) {
                memory();
            } else if (kind < 94) {
                depth > 3 ? arithmetic() : jump_over(depth);
            } else if (kind < 97) {
                depth > 0 ? arithmetic() : loop(depth);
            } else {
                call();
            }
        }
    }

    void mix() {
        for (std::uint8_t r = 1; r < kFramePointer; ++r) {
            emit({.op = isa::Op::Mul64Imm, .dst = 0, .imm = 0x01000193});
            emit({.op = isa::Op::Xor64Reg, .dst = 0, .src = r});
        }
        for (std::int16_t off = -8; off >= kScratch; off -= 8) {
            emit({.op = isa::Op::Mul64Imm, .dst = 0, .imm = 0x01000193});
            emit({.op = isa::Op::Ldxdw, .dst = 1, .src = 10, .off = off});
            emit({.op = isa::Op::Add64Reg, .dst = 0, .src = 1});
        }
    }

    std::mt19937_64 rng_;
    std::vector<Insn> insns_;
    std::vector<std::size_t> calls_;
};

} // namespace ebpfvm::test
