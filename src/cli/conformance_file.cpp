// Sections start with "-- name"; what precedes the first is commentary.
#include "cli/conformance_file.hpp"

#include "support/try.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace ebpfvm::cli {
namespace {

enum class Section : std::uint8_t { None, Asm, Raw, Mem, Result, Error, Ignored };

constexpr std::pair<std::string_view, Section> kSections[] = {
    {"asm", Section::Asm},
    {"raw", Section::Raw},
    {"mem", Section::Mem},
    {"result", Section::Result},
    {"error", Section::Error},
    {"c", Section::Ignored},                  // the source of the program
    {"no register offset", Section::Ignored}, // concerns uBPF's interpreter
};

constexpr std::string_view kBlank = " \t\r";

std::string_view trimmed(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
    return text.substr(0, text.find_last_not_of(kBlank) + 1);
}

// The next word of `line`, which is shortened by it; empty at the end.
std::string_view take_word(std::string_view& line) {
    line = trimmed(line);
    const std::string_view word = line.substr(0, line.find_first_of(kBlank));
    line.remove_prefix(word.size());
    return word;
}

template <class U>
std::optional<U> parse_whole(std::string_view text, int base) {
    U value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value, base);
    return read.ec == std::errc{} && read.ptr == text.data() + text.size() ? std::optional(value)
                                                                           : std::nullopt;
}

std::optional<std::uint64_t> parse_u64(std::string_view text) {
    return text.starts_with("0x") ? parse_whole<std::uint64_t>(text.substr(2), 16)
                                  : parse_whole<std::uint64_t>(text, 10);
}

class Reader {
  public:
    Expected<void> add_line(std::string_view line);
    Expected<ConformanceCase> finish();

  private:
    Expected<void> enter(std::string_view name);
    Expected<void> add_result(std::string_view line);
    Expected<void> add_bytes(std::string_view line, std::vector<std::byte>& out);
    Expected<void> add_raw(std::string_view line);

    template <class... Args>
    std::unexpected<Error> fail_here(fmt::format_string<Args...> format, Args&&... args) const {
        return fail_at(Errc::MalformedText, Location{"", line_, 0}, format,
                       std::forward<Args>(args)...);
    }

    ConformanceCase case_;
    bool has_asm_ = false;
    std::vector<std::byte> raw_bytes_;
    Section section_ = Section::None;
    std::vector<std::string> entered_;
    std::uint32_t line_ = 0;
};

Expected<void> Reader::enter(std::string_view name) {
    const auto known =
        std::ranges::find(kSections, name, [](const auto& row) { return row.first; });
    if (known == std::end(kSections)) {
        return fail_here("unknown section \"{}\"", name);
    }
    if (std::ranges::find(entered_, name) != entered_.end()) {
        return fail_here("section \"{}\" appears twice", name);
    }
    entered_.emplace_back(name);
    section_ = known->second;
    has_asm_ |= section_ == Section::Asm;
    case_.has_raw |= section_ == Section::Raw;
    case_.expects_error |= section_ == Section::Error;
    return {};
}

Expected<void> Reader::add_result(std::string_view line) {
    const std::string_view word = take_word(line);
    if (word.empty()) {
        return {};
    }
    const auto value = parse_u64(word);
    if (case_.result || !value || !trimmed(line).empty()) {
        return fail_here("result is \"{}{}\", must be one 64-bit number", word, line);
    }
    case_.result = value;
    return {};
}

Expected<void> Reader::add_bytes(std::string_view line, std::vector<std::byte>& out) {
    for (auto word = take_word(line); !word.empty(); word = take_word(line)) {
        const auto value = parse_whole<std::uint8_t>(word, 16);
        if (!value || word.size() != 2) {
            return fail_here("\"{}\" is no byte, must be two hexadecimal digits", word);
        }
        out.push_back(std::byte{*value});
    }
    return {};
}

// Either eight bytes in memory order, or one number "0x..." per slot.
Expected<void> Reader::add_raw(std::string_view line) {
    if (!line.starts_with("0x")) {
        return add_bytes(line, raw_bytes_);
    }
    for (auto word = take_word(line); !word.empty(); word = take_word(line)) {
        const auto value = parse_u64(word);
        if (!value) {
            return fail_here("\"{}\" is no 64-bit number", word);
        }
        for (unsigned shift = 0; shift < 64; shift += 8) {
            raw_bytes_.push_back(std::byte(*value >> shift & 0xff));
        }
    }
    return {};
}

Expected<void> Reader::add_line(std::string_view line) {
    ++line_;
    if (line.starts_with("-- ")) {
        return enter(trimmed(line.substr(3)));
    }
    const std::string_view content = trimmed(line.substr(0, line.find('#')));
    switch (section_) {
    case Section::None:
        if (!content.empty()) {
            return fail_here("\"{:.40}\" comes before the first section", content);
        }
        return {};
    case Section::Asm:
        if (case_.asm_text.empty()) {
            case_.asm_text.assign(line_ - 1, '\n');
        }
        case_.asm_text.append(line).append("\n");
        return {};
    case Section::Raw:
        return add_raw(content);
    case Section::Mem:
        return add_bytes(content, case_.mem);
    case Section::Result:
        return add_result(content);
    case Section::Error:
        if (case_.error_text.empty()) {
            case_.error_text = trimmed(line);
        }
        return {};
    case Section::Ignored:
        return {};
    }
    std::unreachable();
}

Expected<ConformanceCase> Reader::finish() {
    if (!has_asm_ && !case_.has_raw) {
        return fail_here("neither section \"asm\" nor \"raw\" is there");
    }
    if (!case_.result && !case_.expects_error) {
        return fail_here("neither section \"result\" nor \"error\" is there");
    }
    if (case_.has_raw) {
        if (raw_bytes_.empty() || raw_bytes_.size() % kInsnSize != 0) {
            return fail_here("section \"raw\" has {} bytes, not a positive multiple of {}",
                             raw_bytes_.size(), kInsnSize);
        }
        TRY_ASSIGN(case_.raw, insns_from_bytes(raw_bytes_));
    }
    return std::move(case_);
}

} // namespace

Expected<ConformanceCase> parse_conformance(std::string_view text) {
    Reader reader;
    while (!text.empty()) {
        const std::size_t size = std::min(text.find('\n'), text.size());
        TRY(reader.add_line(text.substr(0, size)));
        text.remove_prefix(std::min(size + 1, text.size()));
    }
    return reader.finish();
}

} // namespace ebpfvm::cli
