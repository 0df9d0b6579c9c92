// Rendering of value trees. Tested by json_test.cpp.
#include "cli/json.hpp"

#include "support/assert.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ebpfvm::cli {
namespace {

bool is_continuation(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

// Length of the well-formed UTF-8 sequence that `text` begins with; 0 if there is none.
// (Surrogates and overlong three-byte forms are not worth telling apart here.)
std::size_t utf8_length(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    std::size_t length = 0;
    if (lead < 0x80) {
        length = 1;
    } else if (lead >= 0xc2 && lead < 0xe0) {
        length = 2;
    } else if (lead >= 0xe0 && lead < 0xf0) {
        length = 3;
    } else if (lead >= 0xf0 && lead < 0xf5) {
        length = 4;
    }
    const std::string_view rest = text.substr(1, length == 0 ? 0 : length - 1);
    return rest.size() + 1 == length && std::ranges::all_of(rest, is_continuation) ? length : 0;
}

void append_escaped(std::string& out, char byte) {
    switch (byte) {
    case '"':
        out += "\\\"";
        break;
    case '\\':
        out += "\\\\";
        break;
    case '\n':
        out += "\\n";
        break;
    case '\t':
        out += "\\t";
        break;
    default:
        if (static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(byte));
        } else {
            out += byte;
        }
    }
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 1) {
            append_escaped(out, text.front());
        } else {
            out += length == 0 ? std::string_view("\xef\xbf\xbd") : text.substr(0, length);
        }
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return out + '"';
}

enum class Form : std::uint8_t { Json, Text };

// Words, such as names of enumerators, need no quotes for people.
bool is_word(const std::string& text) {
    const auto is_letter = [](char c) {
        return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               (c >= '0' && c <= '9');
    };
    return !text.empty() && (text[0] < '0' || text[0] > '9') &&
           std::ranges::all_of(text, is_letter);
}

// The pieces in which the two renderings differ.
struct Renderer {
    Form form;

    std::string operator()(std::nullptr_t) const { return "null"; }
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(std::int64_t value) const { return fmt::to_string(value); }
    std::string operator()(std::uint64_t value) const { return fmt::to_string(value); }
    std::string operator()(double value) const {
        if (!std::isfinite(value)) { // JSON has no such numbers
            return form == Form::Json ? "null" : fmt::to_string(value);
        }
        return fmt::format("{:.10g}", value);
    }
    std::string operator()(const std::string& value) const {
        return form == Form::Text && is_word(value) ? value : quoted(value);
    }
    std::string operator()(const Json::Array& elements) const;
    std::string operator()(const Json::Object& members) const;

    [[nodiscard]] std::string render(const Json& json) const {
        return std::visit(*this, json.value());
    }
    [[nodiscard]] const char* separator() const { return form == Form::Json ? "," : ", "; }
};

std::string Renderer::operator()(const Json::Array& elements) const {
    constexpr std::ptrdiff_t kLongestUnfolded = 4;
    std::string out = "[";
    for (auto at = elements.begin(); at != elements.end();) {
        auto end = at + 1;
        if (form == Form::Text) {
            end =
                std::find_if(end, elements.end(), [&](const Json& other) { return other != *at; });
        }
        const bool is_folded = end - at > kLongestUnfolded;
        const auto next = is_folded ? end : at + 1;
        out += out.size() > 1 ? separator() : "";
        out += render(*at);
        if (is_folded) {
            out += fmt::format(" x {}", end - at);
        }
        at = next;
    }
    return out + "]";
}

std::string Renderer::operator()(const Json::Object& members) const {
    std::string out = "{";
    for (const Json::Member& member : members) {
        out += out.size() > 1 ? separator() : "";
        out += form == Form::Json ? quoted(member.key) + ":" : member.key + ": ";
        out += render(member.value);
    }
    return out + "}";
}

} // namespace

const Json* Json::find(std::string_view key) const {
    const auto* members = std::get_if<Object>(&value_);
    if (members == nullptr) {
        return nullptr;
    }
    const auto found = std::ranges::find(*members, key, &Member::key);
    return found == members->end() ? nullptr : &found->value;
}

Json& Json::add(std::string key, Json value) {
    auto* members = std::get_if<Object>(&value_);
    EBPFVM_ASSERT(members != nullptr);
    members->push_back({std::move(key), std::move(value)});
    return *this;
}

Json& Json::push(Json value) {
    auto* elements = std::get_if<Array>(&value_);
    EBPFVM_ASSERT(elements != nullptr);
    elements->push_back(std::move(value));
    return *this;
}

std::string to_json(const Json& value) {
    return Renderer{Form::Json}.render(value);
}

std::string to_text(const Json& value) {
    return Renderer{Form::Text}.render(value);
}

} // namespace ebpfvm::cli
