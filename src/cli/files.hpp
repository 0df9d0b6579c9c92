// Whole files and hex text, with messages that name the file.
#pragma once

#include "ebpfvm/error.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebpfvm::cli {

/// Errors: Errc::Io if `path` is a directory (which fopen() would open).
Expected<void> refuse_directory(const std::string& path);

/// The content of a file, "-" for standard input. Errors: Errc::Io; Errc::LimitExceeded above
/// 256 MiB.
[[nodiscard]] Expected<std::vector<std::byte>> read_file(const std::string& path);

/// Replaces a file, "-" for standard output. Errors: Errc::Io.
Expected<void> write_file(const std::string& path, std::span<const std::byte> bytes);

[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// "aa bb", "AABB" or "0xaabb": pairs of hex digits, blanks between pairs do not matter.
/// Errors: Errc::MalformedText.
[[nodiscard]] Expected<std::vector<std::byte>> parse_hex(std::string_view text);

/// What a program runs on: the bytes of `hex` if given, else those of the file, else none.
[[nodiscard]] Expected<std::vector<std::byte>> read_data(const std::string& path,
                                                         const std::optional<std::string>& hex);

/// "aa bb" if `separator` is " ".
[[nodiscard]] std::string to_hex(std::span<const std::byte> bytes, std::string_view separator = "");

} // namespace ebpfvm::cli
