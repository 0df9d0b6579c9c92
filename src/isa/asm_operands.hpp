// Registers, numbers, addresses and jump targets: what both dialects of assembly text share.
#pragma once

#include "isa/asm_lexer.hpp"
#include "isa/decode.hpp"

#include <optional>

namespace ebpfvm::isa {

/// One instruction as read. A `label` is where it goes; its displacement is still to be set.
struct Statement {
    Decoded insn;
    std::optional<Token> label;
};

[[nodiscard]] inline Statement statement(Op op) {
    return {.insn = {.op = op}, .label = std::nullopt};
}

/// The row of that shape whose text `token` reads, or an error that lists what there is.
[[nodiscard]] Expected<const OpInfo*> row_for(Shape shape, const Token& token, bool is_64 = true);

/// Stores the displacement of a jump, a local call or a function address in the field of its
/// shape. False if it does not fit.
[[nodiscard]] bool set_displacement(Decoded& insn, std::int64_t displacement);

/// A register as written: `w3` is the 32-bit view of `r3`.
struct Reg {
    std::uint8_t number = 0;
    bool is_64 = true;
    Token token;
};

/// Is the token spelled like a register? Its number may be too large: that is for parse_reg().
[[nodiscard]] bool is_register(const Token& token);

/// The register `r0` to `r10`, or `w0` to `w10`; a `%` in front does not matter.
[[nodiscard]] Expected<Reg> parse_any_reg(Cursor& in);

/// The number of a register that must be 64 bits wide (`r`), or else 32 (`w`).
[[nodiscard]] Expected<std::uint8_t> parse_reg(Cursor& in, bool is_64 = true);

/// An integer as written. Hexadecimal spells bits, decimal spells a value: 0xffffffff is a 32-bit
/// immediate (-1), 4294967295 is out of range.
struct Number {
    std::uint64_t magnitude = 0;
    bool negative = false;
    bool hex = false;
    Token token;
};

[[nodiscard]] bool starts_number(const Token& token);
[[nodiscard]] Expected<Number> parse_number(Cursor& in);

/// The number as an immediate of that size. Hexadecimal may spell a 32-bit immediate in 32 bits or
/// sign extended to 64.
[[nodiscard]] Expected<std::int32_t> to_imm32(const Number& number);
[[nodiscard]] Expected<std::uint64_t> to_imm64(const Number& number);

/// `what` names the operand in the message if there is no number.
[[nodiscard]] Expected<std::int32_t> parse_imm32(Cursor& in, std::string_view what = "a number");

/// A 16-bit offset.
[[nodiscard]] Expected<std::int16_t> parse_off16(Cursor& in);

/// `r1`, `r1 + 8` or `r1 -8`, without the brackets around.
struct Address {
    std::uint8_t base = 0;
    std::int16_t off = 0;
};
[[nodiscard]] Expected<Address> parse_address(Cursor& in);

/// `+3`, `-3`, `pc+3` or a label, into `statement`, whose op is set.
[[nodiscard]] Expected<void> parse_target(Cursor& in, Statement& statement);

} // namespace ebpfvm::isa
