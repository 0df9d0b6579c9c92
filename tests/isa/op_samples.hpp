// Operand values that every operation of insn.def is tried with.
#pragma once

#include "isa/decode.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace ebpfvm::isa {

inline std::vector<std::int32_t> sample_imms(const OpInfo& row) {
    if (row.shape == Shape::AddrSpaceCast) {
        return {1, 1 << 16};
    }
    if (row.shape == Shape::CallxImm) { // a register number; zero would be `callx r0`
        return {1, 10};
    }
    return {0, 1, -1, std::numeric_limits<std::int32_t>::max(),
            std::numeric_limits<std::int32_t>::min()};
}

/// Valid instructions of one operation: all combinations of a few values of each operand.
inline std::vector<Decoded> samples(const OpInfo& row) {
    const auto or_zero = [](Field field, auto values) {
        return field == Field::Operand ? values : decltype(values){0};
    };
    const std::vector<std::uint8_t> regs{0, 3, 10};
    const std::vector<std::int16_t> offs{0, 8, -8, 32767, -32768};
    const bool two_imms = row.shape == Shape::Lddw && has_second_imm(row.op);
    std::vector<Decoded> out;
    for (const auto dst : or_zero(row.dst, regs)) {
        for (const auto src : or_zero(row.src, regs)) {
            for (const auto off : or_zero(row.off, offs)) {
                for (const auto imm : or_zero(row.imm, sample_imms(row))) {
                    Decoded insn{.op = row.op, .dst = dst, .src = src, .off = off, .imm = imm};
                    insn.imm_hi = two_imms ? imm / 2 + 1 : 0;
                    insn.slots = row.shape == Shape::Lddw ? 2 : 1;
                    out.push_back(insn);
                }
            }
        }
    }
    return out;
}

inline std::vector<Insn> encoded(const Decoded& insn) {
    std::vector<Insn> slots;
    encode(insn, slots);
    return slots;
}

/// A test of one row of insn.def. Each file derives its own suite, to be instantiated once.
class EveryOp : public testing::TestWithParam<OpInfo> {};

inline std::string name_of_op(const testing::TestParamInfo<OpInfo>& param) {
    return std::string(param.param.name);
}

// gtest prints a failing parameter with this.
inline void PrintTo(const OpInfo& row, std::ostream* out) {
    *out << row.name;
}

} // namespace ebpfvm::isa
