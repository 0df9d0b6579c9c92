// Files and hex text for all commands. Tested by files_test.cpp.
#include "cli/files.hpp"

#include "support/try.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

namespace ebpfvm::cli {
namespace {

constexpr std::size_t kMaxFileSize = std::size_t{256} << 20;

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

std::unexpected<Error> fail_errno(const std::string& path) {
    return fail(Errc::Io, "{}: {}", path, std::strerror(errno));
}

Expected<std::vector<std::byte>> read_all(std::FILE* file, const std::string& path) {
    std::vector<std::byte> content;
    std::array<std::byte, 1 << 16> block;
    while (const std::size_t size = std::fread(block.data(), 1, block.size(), file)) {
        if (content.size() + size > kMaxFileSize) {
            return fail(Errc::LimitExceeded, "{}: larger than {} bytes", path, kMaxFileSize);
        }
        content.insert(content.end(), block.begin(), block.begin() + std::ptrdiff_t(size));
    }
    if (std::ferror(file) != 0) {
        return fail_errno(path);
    }
    return content;
}

Expected<void> write_all(std::FILE* file, const std::string& path,
                         std::span<const std::byte> bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() ||
        std::fflush(file) != 0) {
        return fail_errno(path);
    }
    return {};
}

} // namespace

Expected<void> refuse_directory(const std::string& path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
        return fail(Errc::Io, "{}: is a directory", path);
    }
    return {};
}

Expected<std::vector<std::byte>> read_file(const std::string& path) {
    if (path == "-") {
        return read_all(stdin, "standard input");
    }
    TRY(refuse_directory(path));
    const File file(std::fopen(path.c_str(), "rb"));
    if (!file) {
        return fail_errno(path);
    }
    return read_all(file.get(), path);
}

Expected<void> write_file(const std::string& path, std::span<const std::byte> bytes) {
    if (path == "-") {
        return write_all(stdout, "standard output", bytes);
    }
    const File file(std::fopen(path.c_str(), "wb"));
    if (!file) {
        return fail_errno(path);
    }
    return write_all(file.get(), path, bytes);
}

Expected<std::vector<std::byte>> parse_hex(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    std::vector<std::byte> bytes;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        text.remove_prefix(2);
    }
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
        if (text.empty()) {
            return bytes;
        }
        unsigned value = 0;
        const std::string_view pair = text.substr(0, 2);
        const auto [end, error] = std::from_chars(pair.begin(), pair.end(), value, 16);
        if (error != std::errc{} || end != pair.begin() + 2) {
            return fail(Errc::MalformedText, "hex bytes: \"{}\" after {} bytes is not a byte", pair,
                        bytes.size());
        }
        bytes.push_back(std::byte(value));
        text.remove_prefix(2);
    }
}

Expected<std::vector<std::byte>> read_data(const std::string& path,
                                           const std::optional<std::string>& hex) {
    if (hex) {
        return parse_hex(*hex);
    }
    return path.empty() ? std::vector<std::byte>() : read_file(path);
}

std::string to_hex(std::span<const std::byte> bytes, std::string_view separator) {
    std::string text;
    for (const std::byte byte : bytes) {
        text += text.empty() ? std::string_view() : separator;
        fmt::format_to(std::back_inserter(text), "{:02x}", std::to_integer<unsigned>(byte));
    }
    return text;
}

} // namespace ebpfvm::cli
