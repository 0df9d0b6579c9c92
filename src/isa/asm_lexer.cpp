// A hand-written lexer: the longest operator of insn.def, else a word, a number or one character.
// Tested by asm_parser_test.cpp and asm_errors_test.cpp.
#include "isa/asm_lexer.hpp"

#include "isa/opcode.hpp"

#include <algorithm>
#include <vector>

namespace ebpfvm::isa {
namespace {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

constexpr bool starts_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '$';
}

constexpr bool continues_word(char c) {
    return starts_word(c) || is_digit(c);
}

// Longest first, so that "s>>=" wins over "s>".
std::vector<std::string_view> longest_operators_first() {
    std::vector<std::string_view> texts;
    for (const OpInfo& row : all_ops()) {
        if (row.shape == Shape::AluImm || row.shape == Shape::JmpImm ||
            row.shape == Shape::Atomic) {
            texts.push_back(row.text);
        }
    }
    std::ranges::sort(texts, [](std::string_view a, std::string_view b) {
        return a.size() != b.size() ? a.size() > b.size() : a < b;
    });
    texts.erase(std::ranges::unique(texts).begin(), texts.end());
    return texts;
}

// Length of the operator that `rest` starts with; 0 if none.
std::size_t operator_size(std::string_view rest) {
    static const std::vector<std::string_view> operators = longest_operators_first();
    if (rest.size() > 1 && continues_word(rest[0]) && continues_word(rest[1])) {
        return 0; // the usual case: of letters, an operator has at most the s in "s>"
    }
    const auto found = std::ranges::find_if(
        operators, [&](std::string_view text) { return rest.starts_with(text); });
    return found == operators.end() ? 0 : found->size();
}

// Length of the word or number that `rest` starts with, at least 1.
std::size_t word_size(std::string_view rest) {
    const auto end = std::ranges::find_if_not(rest.substr(1), continues_word);
    return std::size_t(end - rest.begin());
}

bool starts_comment(std::string_view rest) {
    return rest.front() == '#' || rest.front() == ';' || rest.starts_with("//");
}

} // namespace

std::string quoted(const Token& token) {
    constexpr std::size_t kShown = 40;
    if (token.kind == TokenKind::End) {
        return "end of line";
    }
    const auto first = static_cast<unsigned char>(token.text.front());
    if (first < ' ' || first > '~') { // always alone: such a character is part of no longer token
        return fmt::format("byte {:#04x}", first);
    }
    return fmt::format("\"{}{}\"", token.text.substr(0, kShown),
                       token.text.size() > kShown ? "..." : "");
}

void Cursor::advance() {
    while (next_ < line_.size() &&
           (line_[next_] == ' ' || line_[next_] == '\t' || line_[next_] == '\r')) {
        ++next_;
    }
    const std::string_view rest = line_.substr(next_);
    token_ = {TokenKind::End, {}, number_, std::uint32_t(next_ + 1)};
    if (rest.empty() || starts_comment(rest)) {
        next_ = line_.size();
        return;
    }
    std::size_t size = operator_size(rest);
    if (size != 0) {
        token_.kind = TokenKind::Operator;
    } else if (is_digit(rest.front())) {
        token_.kind = TokenKind::Number;
        size = word_size(rest);
    } else if (starts_word(rest.front()) ||
               (rest.front() == '%' && rest.size() > 1 && starts_word(rest[1]))) {
        token_.kind = TokenKind::Word;
        size = word_size(rest);
    } else {
        token_.kind = TokenKind::Operator;
        size = 1;
    }
    token_.text = rest.substr(0, size);
    next_ += size;
}

Token Cursor::take() {
    const Token taken = token_;
    advance();
    return taken;
}

bool Cursor::accept(std::string_view text) {
    if (token_.text != text) {
        return false;
    }
    advance();
    return true;
}

Expected<void> Cursor::expect(std::string_view text) {
    if (!accept(text)) {
        return expected(fmt::format("\"{}\"", text));
    }
    return {};
}

std::unexpected<Error> Cursor::expected(std::string_view what) const {
    return fail_at_token(token_, "found {}, expected {}", quoted(token_), what);
}

} // namespace ebpfvm::isa
