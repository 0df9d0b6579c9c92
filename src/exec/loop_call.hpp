// bpf_loop() in terms of insns: each call of it is one of a subprogram that lies behind the
// program.
#pragma once

#include "exec/code.hpp"

#include <array>

namespace ebpfvm::exec {

/// At most r1 turns of the callback at r2, which gets the turn's number and r3, until it returns
/// something else than 0; r0 is how many there were.
inline constexpr auto kLoopCall = [] {
    using enum isa::Op;
    constexpr auto slot = [](isa::Op op, std::uint8_t dst, std::uint8_t src, std::int32_t off,
                             std::int64_t imm) {
        return Slot{.op = std::uint8_t(op), .dst = dst, .src = src, .off = off, .imm = imm};
    };
    constexpr std::int64_t kMaxTurns = 1 << 23; // BPF_MAX_LOOPS
    constexpr std::int64_t kInvalid = -22;      // EINVAL: there are no flags
    constexpr std::int64_t kTooMany = -7;       // E2BIG
    // clang-format off
    return std::array{
        slot(Jne64Imm, 4, 0, 20, 0),         //  0: if r4 != 0 goto 21
        slot(Jgt64Imm, 1, 0, 21, kMaxTurns), //  1: if r1 > kMaxTurns goto 23
        slot(Mov64Reg, 6, 1, 0, 0),          //  2: r6 = r1
        slot(Mov64Reg, 7, 2, 0, 0),          //  3: r7 = r2
        slot(Mov64Reg, 8, 3, 0, 0),          //  4: r8 = r3
        slot(Mov64Imm, 9, 0, 0, 0),          //  5: r9 = 0
        slot(Mov64Imm, 3, 0, 0, 0),          //  6: r3 = 0
        slot(Mov64Imm, 4, 0, 0, 0),          //  7: r4 = 0
        slot(Mov64Imm, 5, 0, 0, 0),          //  8: r5 = 0
        slot(Jeq64Imm, 6, 0, 6, 0),          //  9: if r6 == 0 goto 16
        slot(Mov64Reg, 1, 9, 0, 0),          // 10: r1 = r9
        slot(Mov64Reg, 2, 8, 0, 0),          // 11: r2 = r8
        slot(Callx, 7, 0, 0, 0),             // 12: callx r7
        slot(Jne64Imm, 0, 0, 4, 0),          // 13: if r0 != 0 goto 18
        slot(Add64Imm, 9, 0, 0, 1),          // 14: r9 += 1
        slot(Jlt64Reg, 9, 6, -6, 0),         // 15: if r9 < r6 goto 10
        slot(Mov64Reg, 0, 9, 0, 0),          // 16: r0 = r9
        slot(Exit, 0, 0, 0, 0),              // 17: exit
        slot(Mov64Reg, 0, 9, 0, 0),          // 18: r0 = r9
        slot(Add64Imm, 0, 0, 0, 1),          // 19: r0 += 1
        slot(Exit, 0, 0, 0, 0),              // 20: exit
        slot(Mov64Imm, 0, 0, 0, kInvalid),   // 21: r0 = -EINVAL
        slot(Exit, 0, 0, 0, 0),              // 22: exit
        slot(Mov64Imm, 0, 0, 0, kTooMany),   // 23: r0 = -E2BIG
        slot(Exit, 0, 0, 0, 0),              // 24: exit
    };
    // clang-format on
}();
/// Where it calls the callback.
inline constexpr std::uint32_t kLoopCallback = 12;

} // namespace ebpfvm::exec
