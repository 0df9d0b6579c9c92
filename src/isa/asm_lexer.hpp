// Words, numbers and operators of one line of assembly text.
#pragma once

#include "support/try.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace ebpfvm::isa {

enum class TokenKind : std::uint8_t {
    Word,     ///< letters, digits and `_.$`; may start with `%`, as registers do in one dialect
    Number,   ///< whatever starts with a digit; not yet known to be well formed
    Operator, ///< an operator of insn.def, else one character
    End       ///< nothing left but blanks and a comment
};

/// A piece of the text, which must outlive it.
struct Token {
    TokenKind kind = TokenKind::End;
    std::string_view text;
    std::uint32_t line = 0;   ///< 1-based
    std::uint32_t column = 0; ///< 1-based
};

/// The token for a message: quoted and shortened, a control character by its number.
[[nodiscard]] std::string quoted(const Token& token);

/// An Errc::MalformedText at the place of a token.
template <class... Args>
[[nodiscard]] std::unexpected<Error>
fail_at_token(const Token& token, fmt::format_string<Args...> format, Args&&... args) {
    return fail_at(Errc::MalformedText, Location{"", token.line, token.column}, format,
                   std::forward<Args>(args)...);
}

/// Reads one line from left to right, one token ahead. A copy looks further ahead.
class Cursor {
  public:
    /// `line` has no newline; `number` is its 1-based number.
    Cursor(std::string_view line, std::uint32_t number) : line_(line), number_(number) {
        advance();
    }

    [[nodiscard]] const Token& peek() const { return token_; }
    [[nodiscard]] bool at_end() const { return token_.kind == TokenKind::End; }

    /// The current token, which the cursor leaves behind.
    Token take();

    /// Takes the current token if it reads `text`.
    [[nodiscard]] bool accept(std::string_view text);

    [[nodiscard]] Expected<void> expect(std::string_view text);

    /// `found "x", expected <what>` at the current token.
    [[nodiscard]] std::unexpected<Error> expected(std::string_view what) const;

  private:
    void advance();

    std::string_view line_;
    std::size_t next_ = 0; // where the token after token_ may start
    std::uint32_t number_;
    Token token_;
};

} // namespace ebpfvm::isa
