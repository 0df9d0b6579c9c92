// Terminal output that all commands share.
#include "cli/style.hpp"

#include "support/try.hpp"

#include <algorithm>
#include <cstdlib>
#include <unistd.h>

namespace ebpfvm::cli {
namespace {

void print_message(std::string_view kind, std::string_view message) {
    std::string line(message);
    std::ranges::replace(line, '\n', ' ');
    fmt::print(stderr, "ebpfvm: {}: {}\n", kind, line);
}

} // namespace

bool is_terminal(std::FILE* file) {
    return isatty(fileno(file)) != 0;
}

Style::Style(ColorMode mode)
    : is_on_(mode == ColorMode::Always || (mode == ColorMode::Auto && is_terminal(stdout) &&
                                           std::getenv("NO_COLOR") == nullptr)) {}

std::string Style::wrap(std::string_view code, std::string_view text) const {
    return is_on_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

void print_error(std::string_view message) {
    print_message("error", message);
}

void print_warning(std::string_view message) {
    print_message("warning", message);
}

void print_note(std::string_view message) {
    print_message("note", message);
}

Expected<void> flush_stdout() {
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        return fail(Errc::Io, "standard output: cannot be written");
    }
    return {};
}

} // namespace ebpfvm::cli
