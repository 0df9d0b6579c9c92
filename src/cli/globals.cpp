// Tested by run_once_test.cpp.
#include "cli/globals.hpp"

#include "cli/files.hpp"
#include "support/try.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

namespace ebpfvm::cli {
namespace {

// Two's complement of what was written.
std::optional<std::uint64_t> parse_integer(std::string_view text, std::uint32_t size) {
    if (text == "true" || text == "false") {
        return text == "true";
    }
    const bool is_negative = text.starts_with('-');
    std::string_view digits = text.substr(is_negative ? 1 : 0);
    const bool is_hex = digits.starts_with("0x") || digits.starts_with("0X");
    digits.remove_prefix(is_hex ? 2 : 0);
    std::uint64_t magnitude = 0;
    const auto [end, error] =
        std::from_chars(digits.begin(), digits.end(), magnitude, is_hex ? 16 : 10);
    if (error != std::errc{} || end != digits.end()) {
        return std::nullopt;
    }
    const std::uint64_t most = ~std::uint64_t{0} >> (64 - 8 * size);
    if (magnitude > (is_negative ? most / 2 + 1 : most)) {
        return std::nullopt;
    }
    return is_negative ? std::uint64_t{0} - magnitude : magnitude;
}

Expected<std::vector<std::byte>> parse_value(const Global& global, std::string_view text) {
    constexpr std::string_view kHex = "hex:";
    if (text.starts_with(kHex)) {
        return parse_hex(text.substr(kHex.size()));
    }
    if (!std::has_single_bit(global.size) || global.size > sizeof(std::uint64_t)) {
        return fail(Errc::InvalidArgument, "global \"{}\" has {} bytes: give them as {}=hex:...",
                    global.name, global.size, global.name);
    }
    const auto value = parse_integer(text, global.size);
    if (!value) {
        return fail(Errc::InvalidArgument, "global \"{}\": \"{}\" is no integer of {} bytes",
                    global.name, text, global.size);
    }
    std::vector<std::byte> bytes(global.size); // eBPF objects here are little endian
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = std::byte(*value >> (8 * i) & 0xff);
    }
    return bytes;
}

} // namespace

Expected<void> set_global(Object& object, std::string_view setting) {
    const std::size_t equals = setting.find('=');
    if (equals == 0 || equals == std::string_view::npos) {
        return fail(Errc::InvalidArgument, "--global \"{}\" is not name=value", setting);
    }
    const std::string_view name = setting.substr(0, equals);
    const auto global = std::ranges::find(object.globals(), name, &Global::name);
    if (global == object.globals().end()) {
        std::vector<std::string_view> names;
        std::ranges::transform(object.globals(), std::back_inserter(names), &Global::name);
        return fail(Errc::NotFound, "{}: no global \"{}\", there are: {}", object.name(), name,
                    names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")));
    }
    TRY_ASSIGN(const auto bytes, parse_value(*global, setting.substr(equals + 1)));
    return object.set_global(name, bytes);
}

} // namespace ebpfvm::cli
