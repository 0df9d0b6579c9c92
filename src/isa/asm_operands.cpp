// Every number is range-checked here, once. Tested by asm_parser_test.cpp and asm_errors_test.cpp.
#include "isa/asm_operands.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace ebpfvm::isa {
namespace {

constexpr std::uint64_t kMinus2To31 = 0xffff'ffff'8000'0000; // sign extended

template <std::signed_integral S>
constexpr bool in_range(std::int64_t value) {
    return value >= std::numeric_limits<S>::min() && value <= std::numeric_limits<S>::max();
}

// The value of a number if `S` holds it.
template <std::signed_integral S>
std::optional<S> value_as(const Number& number) {
    const auto max = std::uint64_t(std::numeric_limits<S>::max());
    if (number.magnitude > max + (number.negative ? 1 : 0)) {
        return std::nullopt;
    }
    return S(number.negative ? std::uint64_t{0} - number.magnitude : number.magnitude);
}

std::string text_of(const Number& number) {
    return fmt::format("{}{:.40}", number.negative ? "-" : "", number.token.text);
}

// The token without the `%` of the second dialect.
std::string_view register_text(const Token& token) {
    return token.text.starts_with('%') ? token.text.substr(1) : token.text;
}

bool is_sign(const Token& token) {
    return token.text == "+" || token.text == "-";
}

// "u8, u16 or u32"
std::string texts_of(Shape shape, bool is_64) {
    std::string list;
    std::string_view last;
    for (const OpInfo& row : all_ops()) {
        if (row.shape != shape || row.is_64 != is_64) {
            continue;
        }
        if (!last.empty()) {
            list += fmt::format("{}{}", list.empty() ? "" : ", ", last);
        }
        last = row.text;
    }
    return list.empty() ? std::string(last) : fmt::format("{} or {}", list, last);
}

} // namespace

Expected<const OpInfo*> row_for(Shape shape, const Token& token, bool is_64) {
    if (const OpInfo* row = find_op(shape, token.text, is_64)) {
        return row;
    }
    return fail_at_token(token, "found {}, expected {}", quoted(token), texts_of(shape, is_64));
}

bool set_displacement(Decoded& insn, std::int64_t displacement) {
    if (has_target_in_imm(info(insn.op).shape)) {
        insn.imm = std::int32_t(displacement);
        return in_range<std::int32_t>(displacement);
    }
    insn.off = std::int16_t(displacement);
    return in_range<std::int16_t>(displacement);
}

bool is_register(const Token& token) {
    const std::string_view text = register_text(token);
    return token.kind == TokenKind::Word && text.size() >= 2 &&
           (text.front() == 'r' || text.front() == 'w') &&
           std::ranges::all_of(text.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

Expected<Reg> parse_any_reg(Cursor& in) {
    if (!is_register(in.peek())) {
        return in.expected("a register r0 to r10");
    }
    const std::string_view text = register_text(in.peek());
    Reg reg{.is_64 = text.front() == 'r', .token = in.peek()};
    const auto read = std::from_chars(text.data() + 1, text.data() + text.size(), reg.number);
    if (read.ec != std::errc{} || reg.number >= kRegCount) {
        return in.expected("a register r0 to r10");
    }
    in.take();
    return reg;
}

Expected<std::uint8_t> parse_reg(Cursor& in, bool is_64) {
    if (!is_register(in.peek()) || (register_text(in.peek()).front() == 'r') != is_64) {
        return in.expected(is_64 ? "a register r0 to r10" : "a register w0 to w10");
    }
    TRY_ASSIGN(const Reg reg, parse_any_reg(in));
    return reg.number;
}

bool starts_number(const Token& token) {
    return token.kind == TokenKind::Number || is_sign(token);
}

Expected<Number> parse_number(Cursor& in) {
    Number number;
    number.negative = in.accept("-");
    if (!number.negative) {
        (void)in.accept("+");
    }
    if (in.peek().kind != TokenKind::Number) {
        return in.expected("a number");
    }
    number.token = in.peek();
    std::string_view digits = number.token.text;
    number.hex = digits.starts_with("0x") || digits.starts_with("0X");
    if (number.hex) {
        digits.remove_prefix(2);
    }
    const char* end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, number.magnitude, number.hex ? 16 : 10);
    if (read.ec == std::errc::result_out_of_range) {
        return fail_at_token(number.token, "number {} does not fit in 64 bits", text_of(number));
    }
    if (read.ec != std::errc{} || read.ptr != end) {
        return in.expected("a decimal or 0x hexadecimal number");
    }
    in.take();
    return number;
}

Expected<std::int32_t> to_imm32(const Number& number) {
    if (const auto value = value_as<std::int32_t>(number)) {
        return *value;
    }
    const bool is_bits = number.magnitude <= std::numeric_limits<std::uint32_t>::max() ||
                         number.magnitude >= kMinus2To31;
    if (number.hex && !number.negative && is_bits) {
        return std::int32_t(std::uint32_t(number.magnitude));
    }
    return fail_at_token(number.token,
                         "immediate {} does not fit in 32 bits: decimal is -2147483648 to "
                         "2147483647, hexadecimal up to 0xffffffff",
                         text_of(number));
}

Expected<std::uint64_t> to_imm64(const Number& number) {
    if (!number.negative) {
        return number.magnitude;
    }
    if (const auto value = value_as<std::int64_t>(number)) {
        return std::uint64_t(*value);
    }
    return fail_at_token(number.token, "immediate {} does not fit in 64 bits", text_of(number));
}

Expected<std::int32_t> parse_imm32(Cursor& in, std::string_view what) {
    if (!starts_number(in.peek())) {
        return in.expected(what);
    }
    TRY_ASSIGN(const Number number, parse_number(in));
    return to_imm32(number);
}

Expected<std::int16_t> parse_off16(Cursor& in) {
    TRY_ASSIGN(const Number number, parse_number(in));
    if (const auto off = value_as<std::int16_t>(number)) {
        return *off;
    }
    return fail_at_token(number.token, "offset {} is out of range, -32768 to 32767 are allowed",
                         text_of(number));
}

Expected<Address> parse_address(Cursor& in) {
    Address address;
    TRY_ASSIGN(address.base, parse_reg(in));
    if (is_sign(in.peek())) {
        TRY_ASSIGN(address.off, parse_off16(in));
    }
    return address;
}

Expected<void> parse_target(Cursor& in, Statement& statement) {
    if (in.peek().kind == TokenKind::Word) {
        const Token word = in.take();
        if (word.text != "pc" || !is_sign(in.peek())) {
            statement.label = word;
            return {};
        }
    }
    if (!is_sign(in.peek())) {
        return in.expected("a label, +N, -N or pc+N");
    }
    TRY_ASSIGN(const Number number, parse_number(in));
    const auto displacement = value_as<std::int64_t>(number);
    if (!displacement || !set_displacement(statement.insn, *displacement)) {
        return fail_at_token(number.token, "displacement {} does not fit in {} bits",
                             text_of(number),
                             has_target_in_imm(info(statement.insn.op).shape) ? 32 : 16);
    }
    return {};
}

} // namespace ebpfvm::isa
