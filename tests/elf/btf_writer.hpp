// Writes BTF by hand, well-formed or not.
#pragma once

#include "elf/btf_format.hpp"
#include "support/bits.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebpfvm::test {

class BtfWriter {
  public:
    /// The offset of a string.
    std::uint32_t string(std::string_view text) {
        if (text.empty()) {
            return 0;
        }
        const auto off = std::uint32_t(strings_.size());
        strings_.append(text).push_back('\0');
        return off;
    }

    /// Adds a type with the 32-bit words that follow its header; returns its id.
    std::uint32_t type(BtfKind kind, std::string_view name, std::uint32_t size_or_type,
                       std::uint32_t vlen = 0, const std::vector<std::uint32_t>& payload = {},
                       bool kind_flag = false) {
        const std::uint32_t info =
            vlen | std::uint32_t(kind) << 24 | (kind_flag ? 0x80000000u : 0u);
        types_.insert(types_.end(), {string(name), info, size_or_type});
        types_.insert(types_.end(), payload.begin(), payload.end());
        return ++count_;
    }
    std::uint32_t integer(std::string_view name, std::uint32_t bytes) {
        return type(BtfKind::Int, name, bytes, 0, {bytes * 8});
    }

    [[nodiscard]] std::vector<std::byte> bytes() const {
        const auto type_len = std::uint32_t(types_.size() * 4);
        const elf::RawBtfHeader header{elf::kBtfMagic,
                                       elf::kBtfVersion,
                                       0,
                                       sizeof(elf::RawBtfHeader),
                                       0,
                                       type_len,
                                       type_len,
                                       std::uint32_t(strings_.size())};
        std::vector<std::byte> out;
        const auto append = [&](std::span<const std::byte> part) {
            out.insert(out.end(), part.begin(), part.end());
        };
        append(std::as_bytes(std::span(&header, 1)));
        append(std::as_bytes(std::span(types_)));
        append(std::as_bytes(std::span(strings_)));
        return out;
    }

  private:
    std::vector<std::uint32_t> types_;
    std::string strings_ = std::string(1, '\0');
    std::uint32_t count_ = 0;
};

} // namespace ebpfvm::test
