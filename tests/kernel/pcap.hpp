// Frames of a classic pcap file in this host's byte order, as tools/make_pcap.py writes it.
#pragma once

#include "support/byte_reader.hpp"

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace ebpfvm::test {

[[nodiscard]] inline Expected<std::vector<std::vector<std::byte>>>
read_pcap(const std::string& path) {
    constexpr std::uint32_t kMagic = 0xa1b2c3d4;
    constexpr std::uint64_t kFileHeader = 24;
    constexpr std::uint64_t kRecordHeader = 16;
    constexpr std::uint64_t kCapturedLength = 8; // offset in a record header

    std::ifstream file(path, std::ios::binary);
    const std::vector<char> text{std::istreambuf_iterator<char>(file), {}};
    const ByteReader reader(std::as_bytes(std::span(text)), Errc::InvalidArgument, path);
    TRY_ASSIGN(const auto magic, reader.read<std::uint32_t>(0, "magic"));
    if (magic != kMagic) {
        return fail(Errc::InvalidArgument, "{}: magic is {:#x}, must be {:#x}", path, magic,
                    kMagic);
    }
    std::vector<std::vector<std::byte>> frames;
    for (std::uint64_t at = kFileHeader; at < reader.size();) {
        TRY_ASSIGN(const auto size, reader.read<std::uint32_t>(at + kCapturedLength, "length"));
        TRY_ASSIGN(const auto frame, reader.bytes(at + kRecordHeader, size, "frame"));
        frames.emplace_back(frame.begin(), frame.end());
        at += kRecordHeader + size;
    }
    return frames;
}

} // namespace ebpfvm::test
