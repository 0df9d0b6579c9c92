// Colours of text output, and one-line messages on stderr.
#pragma once

#include "ebpfvm/error.hpp"

#include <cstdio>
#include <string>
#include <string_view>

namespace ebpfvm::cli {

enum class ColorMode : std::uint8_t { Auto, Always, Never };

/// Marks up text for a terminal, or leaves it as it is.
class Style {
  public:
    /// Auto: colours if stdout is a terminal and the environment does not set NO_COLOR.
    explicit Style(ColorMode mode);

    [[nodiscard]] std::string heading(std::string_view text) const { return wrap("1", text); }
    [[nodiscard]] std::string good(std::string_view text) const { return wrap("32", text); }
    [[nodiscard]] std::string bad(std::string_view text) const { return wrap("31", text); }
    [[nodiscard]] std::string quiet(std::string_view text) const { return wrap("2", text); }

  private:
    [[nodiscard]] std::string wrap(std::string_view code, std::string_view text) const;
    bool is_on_;
};

/// "ebpfvm: error: ..." on stderr, always one line.
void print_error(std::string_view message);
/// "ebpfvm: warning: ..." on stderr.
void print_warning(std::string_view message);
/// "ebpfvm: note: ..." on stderr: nothing is wrong.
void print_note(std::string_view message);

/// Errors: Errc::Io if something printed to stdout could not be written.
Expected<void> flush_stdout();

[[nodiscard]] bool is_terminal(std::FILE* file);

} // namespace ebpfvm::cli
