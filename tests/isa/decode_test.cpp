// What the decoder refuses, one instruction at a time. Whole programs: decode_program_test.cpp.
#include "isa/decode.hpp"
#include "op_samples.hpp"

#include <fmt/format.h>

#include <set>

namespace ebpfvm::isa {
namespace {

class DecodeEveryOp : public EveryOp {};

INSTANTIATE_TEST_SUITE_P(Table, DecodeEveryOp, testing::ValuesIn(all_ops()), name_of_op);

TEST_P(DecodeEveryOp, DecodesToWhatWasEncoded) {
    for (const Decoded& insn : samples(GetParam())) {
        const auto decoded = decode(encoded(insn), 0);
        ASSERT_TRUE(decoded) << decoded.error().message;
        EXPECT_EQ(*decoded, insn);
    }
}

// Field values that select no operation of any opcode.
constexpr std::uint8_t kStraySrc = 15;
constexpr std::uint8_t kStrayDst = 7;
constexpr std::int16_t kStrayOff = 0x55;
constexpr std::int32_t kStrayImm = 0x7777;

void expect_refused(const OpInfo& row, const std::vector<Insn>& slots, std::string_view field,
                    int value) {
    const auto decoded = decode(slots, 0);
    ASSERT_FALSE(decoded) << field;
    EXPECT_EQ(decoded.error().code, Errc::InvalidInsn);
    if (row.shape == Shape::CallxImm) {
        return; // with a stray dst, it may as well be a Callx with a stray imm
    }
    const std::string fact = fmt::format("{} is {}", field, value);
    EXPECT_NE(decoded.error().message.find(fact), std::string::npos) << decoded.error().message;
}

TEST_P(DecodeEveryOp, RefusesEachFieldThatIsNoOperandAndNotAsTheRowSays) {
    const OpInfo& row = GetParam();
    for (const Decoded& insn : samples(row)) {
        if (row.dst == Field::Operand && insn.dst == 0) {
            continue; // `callx` of r0 with an immediate is the older encoding of callx
        }
        std::vector<Insn> slots = encoded(insn);
        const Insn first = slots[0];
        if (row.src == Field::Fixed) {
            slots[0].src = kStraySrc & 0xf;
            expect_refused(row, slots, "src", kStraySrc);
            slots[0] = first;
        }
        if (row.dst == Field::Fixed) {
            slots[0].dst = kStrayDst & 0xf;
            expect_refused(row, slots, "dst", kStrayDst);
            slots[0] = first;
        }
        if (row.off == Field::Fixed) {
            slots[0].off = kStrayOff;
            expect_refused(row, slots, "off", kStrayOff);
            slots[0] = first;
        }
        if (row.imm == Field::Fixed) {
            slots[0].imm = kStrayImm;
            expect_refused(row, slots, "imm", kStrayImm);
        }
    }
}

TEST_P(DecodeEveryOp, IsNotMistakenForANeighbourWhenOneFixedFieldChanges) {
    const OpInfo& row = GetParam();
    const Insn insn = encoded(samples(row).back())[0];
    const auto is_still_row = [&](const Insn& changed) {
        const auto decoded = decode(std::vector{changed, Insn{}}, 0);
        return decoded && decoded->op == row.op;
    };
    for (int value = 0; value < 256; ++value) {
        Insn src = insn, off = insn, imm = insn;
        src.src = value & 0xf;
        off.off = std::int16_t(value);
        imm.imm = value;
        EXPECT_TRUE(row.src == Field::Operand || src == insn || !is_still_row(src)) << value;
        EXPECT_TRUE(row.off == Field::Operand || off == insn || !is_still_row(off)) << value;
        EXPECT_TRUE(row.imm == Field::Operand || imm == insn || !is_still_row(imm)) << value;
    }
}

TEST_P(DecodeEveryOp, RefusesRegistersAboveR10) {
    const OpInfo& row = GetParam();
    for (unsigned reg = kRegCount; reg < 16; ++reg) {
        std::vector<Insn> slots = encoded(samples(row).front());
        if (row.dst == Field::Operand) {
            std::vector<Insn> bad = slots;
            bad[0].dst = reg & 0xf;
            EXPECT_FALSE(decode(bad, 0)) << "dst r" << reg;
        }
        if (row.src == Field::Operand) {
            std::vector<Insn> bad = slots;
            bad[0].src = reg & 0xf;
            EXPECT_FALSE(decode(bad, 0)) << "src r" << reg;
        }
    }
}

std::set<unsigned> opcode_bytes() {
    std::set<unsigned> codes;
    for (const OpInfo& row : all_ops()) {
        codes.insert(row.code);
    }
    return codes;
}

TEST(Decode, RefusesEveryOpcodeByteWithoutARow) {
    for (unsigned code = 0; code < 256; ++code) {
        if (opcode_bytes().contains(code)) {
            continue;
        }
        const auto decoded = decode(std::vector{Insn{.code = std::uint8_t(code)}, Insn{}}, 0);
        ASSERT_FALSE(decoded) << code;
        EXPECT_NE(decoded.error().message.find("unknown opcode"), std::string::npos);
    }
}

TEST(Decode, KnowsAsManyOpcodeBytesAsThereShouldBe) {
    constexpr unsigned kAlu = 12 * 4 + 2 + 3; // {32,64} x {imm,reg}, neg, byte swaps
    constexpr unsigned kJmp = 11 * 4;         // {32,64} x {imm,reg}
    constexpr unsigned kMem = 7 + 4 * 2 + 1;  // loads, stores, lddw
    constexpr unsigned kAtomic = 4;           // by size; 8 and 16 bits for acquire and release
    constexpr unsigned kPacket = 6;           // legacy
    constexpr unsigned kControl = 6;          // goto, gotol, may_goto, call, callx, exit
    EXPECT_EQ(opcode_bytes().size(), kAlu + kJmp + kMem + kAtomic + kPacket + kControl);
}

TEST(Decode, RefusesAnLddwWithoutItsSecondSlot) {
    const auto decoded = decode(std::vector{Insn{.code = 0x18}}, 0);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().message, "insn 0: lddw lacks its second slot");
}

TEST(Decode, RefusesAnySecondSlotOfLddwThatIsMoreThanAnImmediate) {
    const Insn first{.code = 0x18};
    for (const Insn second : {Insn{.code = 0x95}, Insn{.dst = 1}, Insn{.src = 1}, Insn{.off = 1}}) {
        EXPECT_FALSE(decode(std::vector{first, second}, 0));
    }
    EXPECT_TRUE(decode(std::vector{first, Insn{.imm = 1}}, 0));
}

TEST(Decode, RefusesASecondImmediateWhereTheRowSaysZero) {
    for (const OpInfo& row : all_ops()) {
        if (row.shape == Shape::Lddw) {
            const Insn first{.code = 0x18, .src = std::uint8_t(row.src_value & 0xf)};
            EXPECT_EQ(bool(decode(std::vector{first, Insn{.imm = 1}}, 0)), has_second_imm(row.op))
                << row.name;
        }
    }
}

TEST(Decode, RefusesAddressSpacesOtherThanKernelAndArena) {
    for (const std::int32_t imm : {0, 2, 0x10001, -1, 1 << 17}) {
        EXPECT_FALSE(decode(std::vector{Insn{.code = 0xbf, .off = 1, .imm = imm}}, 0)) << imm;
    }
}

TEST(Decode, RefusesACallxImmediateThatIsNoRegister) {
    for (const std::int32_t imm : {11, -1}) {
        EXPECT_FALSE(decode(std::vector{Insn{.code = 0x8d, .imm = imm}}, 0)) << imm;
    }
}

TEST(Decode, NamesTheInsnInItsError) {
    const std::vector<Insn> insns{{.code = 0x95}, {.code = 0xff}};
    const auto decoded = decode(insns, 1);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().message, "insn 1: unknown opcode 0xff (ff 00 0000 00000000)");
}

} // namespace
} // namespace ebpfvm::isa
