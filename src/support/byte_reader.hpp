// A bounds-checked view of untrusted little-endian bytes. Every read names what it wanted.
#pragma once

#include "support/bits.hpp"
#include "support/try.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ebpfvm {

/// Reads from a span that it does not own. `what` (for messages, e.g. "section .BTF") and the error
/// code are given once. Offsets are absolute inside the span. The span must outlive the reader.
class ByteReader {
  public:
    ByteReader(std::span<const std::byte> bytes, Errc code, std::string what)
        : bytes_(bytes), code_(code), what_(std::move(what)) {}

    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    [[nodiscard]] const std::string& what() const { return what_; }

    /// The `size` bytes at `off`.
    [[nodiscard]] Expected<std::span<const std::byte>> bytes(std::uint64_t off, std::uint64_t size,
                                                             std::string_view field) const {
        if (!fits(off, size, bytes_.size())) {
            return fail(code_, "{}: {} at offset {} needs {} bytes, only {} in all", what_, field,
                        off, size, bytes_.size());
        }
        return bytes_.subspan(std::size_t(off), std::size_t(size));
    }

    /// A trivially copyable T at `off`, which need not be aligned.
    template <class T>
    [[nodiscard]] Expected<T> read(std::uint64_t off, std::string_view field) const {
        static_assert(std::is_trivially_copyable_v<T>);
        TRY_ASSIGN(const auto part, bytes(off, sizeof(T), field));
        return load_unaligned<T>(part.data());
    }

    /// The NUL-terminated string at `off`.
    [[nodiscard]] Expected<std::string_view> string(std::uint64_t off,
                                                    std::string_view field) const {
        if (off >= bytes_.size()) {
            return fail(code_, "{}: {} at offset {} is beyond the end ({})", what_, field, off,
                        bytes_.size());
        }
        const char* begin = reinterpret_cast<const char*>(bytes_.data()) + off;
        const auto length = std::string_view(begin, bytes_.size() - std::size_t(off)).find('\0');
        if (length == std::string_view::npos) {
            return fail(code_, "{}: {} at offset {} is not terminated", what_, field, off);
        }
        return std::string_view(begin, length);
    }

  private:
    std::span<const std::byte> bytes_;
    Errc code_;
    std::string what_;
};

} // namespace ebpfvm
