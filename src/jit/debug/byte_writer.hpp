// Little-endian bytes of file formats, one after the other.
#pragma once

#include "support/bits.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace ebpfvm::jit {

/// Grows at its end. Hosts with machine code are little-endian (x86-64).
class ByteWriter {
  public:
    [[nodiscard]] std::size_t size() const { return bytes_.size(); }
    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
    [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

    /// A number or a struct, as it lies in memory.
    template <class T>
    requires std::is_trivially_copyable_v<T>
    void put(const T& value) { put_bytes(std::as_bytes(std::span(&value, 1))); }
    void put_bytes(std::span<const std::byte> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
    void put_u8(unsigned value) { bytes_.push_back(std::byte(value)); }
    /// With its NUL.
    void put_string(std::string_view text) {
        put_bytes(std::as_bytes(std::span(text)));
        put_u8(0);
    }
    void put_uleb(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) {
            put_u8(unsigned(value & 0x7f) | 0x80);
        }
        put_u8(unsigned(value));
    }
    void put_sleb(std::int64_t value) {
        for (; value < -0x40 || value >= 0x40; value >>= 7) {
            put_u8(unsigned(value & 0x7f) | 0x80);
        }
        put_u8(unsigned(value & 0x7f));
    }
    void align(std::size_t size) { bytes_.resize(round_up(bytes_.size(), size)); }

    /// Room for a 32-bit length of what follows; end_length() fills it in.
    [[nodiscard]] std::size_t begin_length() {
        put(std::uint32_t{0});
        return bytes_.size();
    }
    void end_length(std::size_t begin) {
        store_unaligned(&bytes_[begin - 4], std::uint32_t(bytes_.size() - begin));
    }
    template <class T>
    void overwrite(std::size_t at, const T& value) {
        store_unaligned(&bytes_[at], value);
    }

  private:
    std::vector<std::byte> bytes_;
};

} // namespace ebpfvm::jit
