#include "helpers/trace_format.hpp"

#include <algorithm>
#include <charconv>

namespace ebpfvm::helpers {
namespace {

// Independent of the host's locale.
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_ascii(char c) {
    return static_cast<unsigned char>(c) < 0x80;
}
// Bytes that are not ASCII are text in some encoding.
bool is_control(char c) {
    return (static_cast<unsigned char>(c) < ' ' && !is_space(c)) || c == '\x7f';
}
bool is_alpha(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr std::size_t kMaxWidth = (std::size_t{1} << 23U) - 1; // FIELD_WIDTH_MAX of the kernel

struct Conversion {
    bool zero = false;
    bool plus = false;
    bool space = false;
    bool left = false;
    std::size_t width = 0;
    bool is_64 = false;
    char kind = 0; // d i u x X c p
};

// Reads what follows a '%' that is not doubled; the rest of the format stays in `rest`.
std::optional<Conversion> parse(std::string_view& rest) {
    Conversion result;
    const auto peek = [&rest] { return rest.empty() ? '\0' : rest.front(); };
    for (;; rest.remove_prefix(1)) {
        bool* flag = peek() == '0'   ? &result.zero
                     : peek() == '+' ? &result.plus
                     : peek() == ' ' ? &result.space
                     : peek() == '-' ? &result.left
                                     : nullptr;
        if (flag == nullptr) {
            break;
        }
        *flag = true;
    }
    for (; is_digit(peek()); rest.remove_prefix(1)) {
        const auto digit = std::size_t(peek() - '0');
        result.width = std::min(result.width * 10 + digit, kMaxWidth);
    }
    for (unsigned i = 0; i < 2 && peek() == 'l'; ++i) {
        result.is_64 = true;
        rest.remove_prefix(1);
    }
    const std::string_view kinds = result.is_64 ? "diuxX" : "diuxXcp";
    if (rest.empty() || kinds.find(peek()) == std::string_view::npos) {
        return std::nullopt;
    }
    result.kind = peek();
    rest.remove_prefix(1);
    if (result.kind == 'p') {
        if (peek() == 'K' || peek() == 'x') {
            while (is_alpha(peek()) || is_digit(peek())) { // vsnprintf() of the kernel does so
                rest.remove_prefix(1);
            }
        } else if (is_alpha(peek()) || is_digit(peek()) || !is_ascii(peek())) {
            return std::nullopt;
        }
    }
    return result;
}

// Counts all characters and keeps those that fit.
class Output {
  public:
    explicit Output(std::span<char> out) : out_(out) {}

    void put(char c) { fill(c, 1); }
    void put(std::string_view text) {
        if (length_ < out_.size()) {
            const std::size_t fitting = std::min(text.size(), out_.size() - length_);
            std::copy_n(text.data(), fitting, out_.data() + length_);
        }
        length_ += text.size();
    }
    void fill(char c, std::size_t count) {
        if (length_ < out_.size()) {
            std::fill_n(out_.data() + length_, std::min(count, out_.size() - length_), c);
        }
        length_ += count;
    }
    [[nodiscard]] std::size_t length() const { return length_; }

  private:
    std::span<char> out_;
    std::size_t length_ = 0;
};

struct Number {
    std::uint64_t magnitude;
    std::string_view sign;
};

Number signed_number(const Conversion& conversion, std::uint64_t arg) {
    const std::int64_t value = conversion.is_64 ? static_cast<std::int64_t>(arg)
                                                : std::int64_t{static_cast<std::int32_t>(arg)};
    if (value < 0) {
        return {std::uint64_t{0} - static_cast<std::uint64_t>(value), "-"};
    }
    return {static_cast<std::uint64_t>(value), conversion.plus ? "+" : conversion.space ? " " : ""};
}

void put_number(Output& out, Conversion conversion, std::uint64_t arg) {
    if (conversion.kind == 'p') {
        conversion.is_64 = true;
        if (conversion.width == 0) {
            conversion.width = 16;
            conversion.zero = true;
        }
    }
    const bool is_signed = conversion.kind == 'd' || conversion.kind == 'i';
    const Number number = is_signed ? signed_number(conversion, arg)
                                    : Number{conversion.is_64 ? arg : std::uint32_t(arg), ""};
    const bool is_decimal = is_signed || conversion.kind == 'u';
    std::array<char, 20> digits{}; // of 2^64 in decimal
    char* end =
        std::to_chars(digits.begin(), digits.end(), number.magnitude, is_decimal ? 10 : 16).ptr;
    if (conversion.kind == 'X') {
        std::transform(digits.begin(), end, digits.begin(),
                       [](char c) { return is_alpha(c) ? char(c - 'a' + 'A') : c; });
    }
    const std::string_view text(digits.data(), std::size_t(end - digits.data()));
    const std::size_t used = number.sign.size() + text.size();
    const std::size_t padding = conversion.width > used ? conversion.width - used : 0;
    const bool zeros = conversion.zero && !conversion.left;
    out.fill(' ', zeros || conversion.left ? 0 : padding);
    out.put(number.sign);
    out.fill('0', zeros ? padding : 0);
    out.put(text);
    out.fill(' ', conversion.left ? padding : 0);
}

void put_char(Output& out, const Conversion& conversion, std::uint64_t arg) {
    const std::size_t padding = conversion.width > 1 ? conversion.width - 1 : 0;
    out.fill(' ', conversion.left ? 0 : padding);
    out.put(static_cast<char>(arg));
    out.fill(' ', conversion.left ? padding : 0);
}

} // namespace

std::optional<std::size_t> format_trace(std::string_view format,
                                        const std::array<std::uint64_t, kTraceArgs>& args,
                                        std::span<char> out) {
    Output output(out);
    std::size_t used = 0;
    for (std::string_view rest = format; !rest.empty();) {
        const char c = rest.front();
        rest.remove_prefix(1);
        if (is_control(c)) {
            return std::nullopt;
        }
        if (c != '%') {
            output.put(c);
            continue;
        }
        if (rest.starts_with('%')) {
            output.put('%');
            rest.remove_prefix(1);
            continue;
        }
        const std::optional<Conversion> conversion = parse(rest);
        if (!conversion || used == args.size()) {
            return std::nullopt;
        }
        const std::uint64_t arg = args[used++];
        if (conversion->kind == 'c') {
            put_char(output, *conversion, arg);
        } else {
            put_number(output, *conversion, arg);
        }
    }
    return output.length();
}

} // namespace ebpfvm::helpers
