// Tested by json_test.cpp.
#include "cli/json_parse.hpp"

#include "support/try.hpp"

#include <charconv>
#include <cstdint>

namespace ebpfvm::cli {
namespace {

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Expected<Json> parse() {
        TRY_ASSIGN(Json value, parse_value(0));
        skip_blanks();
        if (at_ != text_.size()) {
            return wrong("the end");
        }
        return value;
    }

  private:
    static constexpr unsigned kMaxDepth = 64;

    std::unexpected<Error> wrong(std::string_view expected) const {
        return fail(Errc::MalformedText, "JSON: {} expected at column {}", expected, at_ + 1);
    }
    void skip_blanks() {
        while (at_ < text_.size() &&
               std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) {
            ++at_;
        }
    }
    bool take(char c) {
        skip_blanks();
        const bool is_there = at_ < text_.size() && text_[at_] == c;
        at_ += is_there ? 1 : 0;
        return is_there;
    }
    bool take(std::string_view word) {
        const bool is_there = text_.substr(at_).starts_with(word);
        at_ += is_there ? word.size() : 0;
        return is_there;
    }

    Expected<Json> parse_value(unsigned depth) {
        if (depth > kMaxDepth) {
            return wrong("less depth");
        }
        if (take('{')) {
            return parse_object(depth);
        }
        if (take('[')) {
            return parse_array(depth);
        }
        if (at_ < text_.size() && text_[at_] == '"') {
            TRY_ASSIGN(std::string text, parse_string());
            return Json(std::move(text));
        }
        if (take("null")) {
            return Json();
        }
        if (take("true")) {
            return Json(true);
        }
        if (take("false")) {
            return Json(false);
        }
        return parse_number();
    }

    Expected<Json> parse_object(unsigned depth) {
        Json object = Json::object();
        if (take('}')) {
            return object;
        }
        do {
            skip_blanks();
            TRY_ASSIGN(std::string key, parse_string());
            if (!take(':')) {
                return wrong("a colon");
            }
            TRY_ASSIGN(Json value, parse_value(depth + 1));
            if (object.find(key) == nullptr) { // the first one counts
                object.add(std::move(key), std::move(value));
            }
        } while (take(','));
        if (!take('}')) {
            return wrong("a comma or the end of the object");
        }
        return object;
    }

    Expected<Json> parse_array(unsigned depth) {
        Json array = Json::array();
        if (take(']')) {
            return array;
        }
        do {
            TRY_ASSIGN(Json value, parse_value(depth + 1));
            array.push(std::move(value));
        } while (take(','));
        if (!take(']')) {
            return wrong("a comma or the end of the array");
        }
        return array;
    }

    Expected<std::string> parse_string() {
        if (!take('"')) {
            return wrong("a string");
        }
        std::string text;
        while (at_ < text_.size() && text_[at_] != '"') {
            if (text_[at_] != '\\') {
                text += text_[at_++];
                continue;
            }
            ++at_;
            if (!take_escape(text)) {
                return wrong("an escape sequence");
            }
        }
        if (at_++ >= text_.size()) {
            return wrong("the end of the string");
        }
        return text;
    }

    bool take_escape(std::string& text) {
        if (at_ >= text_.size()) {
            return false;
        }
        constexpr std::string_view kNames = "\"\\/bfnrt";
        constexpr std::string_view kBytes = "\"\\/\b\f\n\r\t";
        const char name = text_[at_++];
        if (const auto found = kNames.find(name); found != std::string_view::npos) {
            text += kBytes[found];
            return true;
        }
        std::uint32_t code = 0;
        const std::string_view digits = text_.substr(at_, 4);
        const auto [end, error] = std::from_chars(digits.begin(), digits.end(), code, 16);
        if (name != 'u' || digits.size() != 4 || error != std::errc() || end != digits.end()) {
            return false;
        }
        at_ += 4;
        append_utf8(text, code);
        return true;
    }

    // Halves of surrogate pairs are encoded one by one; this program writes none.
    static void append_utf8(std::string& text, std::uint32_t code) {
        if (code < 0x80) {
            text += char(code);
        } else if (code < 0x800) {
            text += char(0xc0 | code >> 6);
            text += char(0x80 | (code & 0x3f));
        } else {
            text += char(0xe0 | code >> 12);
            text += char(0x80 | (code >> 6 & 0x3f));
            text += char(0x80 | (code & 0x3f));
        }
    }

    Expected<Json> parse_number() {
        const std::string_view rest = text_.substr(at_);
        const std::string_view digits = rest.substr(0, rest.find_first_not_of("+-.0123456789eE"));
        at_ += digits.size();
        const auto is_whole = [&](auto& number) {
            const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
            return error == std::errc() && end == digits.end() && !digits.empty();
        };
        if (std::uint64_t number = 0; is_whole(number)) {
            return Json(number);
        }
        if (std::int64_t number = 0; is_whole(number)) {
            return Json(number);
        }
        if (double number = 0; is_whole(number)) {
            return Json(number);
        }
        return wrong("a value");
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

} // namespace

Expected<Json> parse_json(std::string_view text) {
    return Parser(text).parse();
}

} // namespace ebpfvm::cli
