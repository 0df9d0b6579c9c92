// Objects of unknown form, and in files.
#include "ebpfvm/insn.hpp"
#include "ebpfvm/object.hpp"
#include "elf/elf_format.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

namespace ebpfvm {
namespace {

bool is_elf(std::span<const std::byte> bytes) {
    return bytes.size() >= sizeof(elf::kElfMagic) &&
           std::memcmp(bytes.data(), elf::kElfMagic, sizeof(elf::kElfMagic)) == 0;
}

// bpft begins, after comments, with the word "prog", and holds no control characters.
bool is_bpft(std::string_view text) {
    const bool is_text = std::ranges::all_of(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte >= 0x20 && byte != 0x7f) || c == '\n' || c == '\r' || c == '\t';
    });
    if (!is_text) {
        return false;
    }
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
        if (!text.starts_with('#')) {
            return text.starts_with("prog ") || text.starts_with("prog\t");
        }
        text.remove_prefix(std::min(text.find('\n'), text.size()));
    }
}

// A terminal's or a pipe's size is unknown before the end: read up to one byte too many.
Expected<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t max_bytes) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored)) {
        return fail(Errc::Io, "{}: is a directory", path);
    }
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                               &std::fclose);
    if (file == nullptr) {
        return fail(Errc::Io, "{}: {}", path, std::strerror(errno));
    }
    std::vector<std::byte> bytes;
    std::array<std::byte, 65536> chunk;
    std::size_t count = 0;
    while ((count = std::fread(chunk.data(), 1, chunk.size(), file.get())) != 0) {
        bytes.insert(bytes.end(), chunk.begin(), chunk.begin() + std::ptrdiff_t(count));
        if (bytes.size() > max_bytes) {
            return fail(Errc::LimitExceeded, "{}: more than {} bytes", path, max_bytes);
        }
    }
    if (std::ferror(file.get()) != 0) {
        return fail(Errc::Io, "{}: {}", path, std::strerror(errno));
    }
    return bytes;
}

} // namespace

Expected<Object> load_object(std::span<const std::byte> bytes, const LoadObjectOptions& options) {
    if (is_elf(bytes)) {
        return load_elf(bytes, options);
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (is_bpft(text)) {
        return load_bpft(text, options);
    }
    if (bytes.size() > options.max_bytes) {
        return fail(Errc::LimitExceeded, "{}: {} bytes, at most {} allowed", options.name,
                    bytes.size(), options.max_bytes);
    }
    auto insns = insns_from_bytes(bytes);
    if (!insns) {
        return fail(insns.error().code, "{}: neither ELF nor bpft, and as raw bytecode: {}",
                    options.name, insns.error().message);
    }
    return Object::from_insns(options.name, options.default_type, *std::move(insns));
}

Expected<Object> load_object_file(const std::string& path, LoadObjectOptions options) {
    TRY_ASSIGN(const auto bytes, read_file(path, options.max_bytes));
    options.name = path;
    return load_object(bytes, options);
}

} // namespace ebpfvm
