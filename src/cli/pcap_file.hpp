// Capture files: reading packets and writing them, over libpcap. Ethernet only.
#pragma once

#include "ebpfvm/error.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct pcap;
struct pcap_dumper;

namespace ebpfvm::cli {

struct CapturedPacket {
    /// What the capture kept of the packet. Valid until the next read.
    std::span<const std::byte> bytes;
    std::uint32_t wire_size = 0; ///< bytes it had on the wire
    std::uint64_t time_ns = 0;   ///< since 1970
};

/// Reads a pcap or pcapng file, "-" for standard input.
class PcapReader {
  public:
    /// Errors: Errc::Io for a file that cannot be read or is no capture, Errc::Unsupported for
    /// another link type than Ethernet.
    [[nodiscard]] static Expected<PcapReader> open(const std::string& path);

    enum class Next : std::uint8_t { Packet, End };
    /// Reads the next packet. Errors: Errc::Io if the file is damaged or ends inside a packet; all
    /// packets before that place have been returned.
    [[nodiscard]] Expected<Next> read(CapturedPacket& packet);

    /// How far into the file reading has come, 0..1; negative if it has no known size.
    [[nodiscard]] double progress() const;

  private:
    struct Close {
        void operator()(pcap* handle) const;
    };
    PcapReader(std::string path, std::unique_ptr<pcap, Close> handle, std::uint64_t file_size)
        : path_(std::move(path)), handle_(std::move(handle)), file_size_(file_size) {}

    std::string path_;
    std::unique_ptr<pcap, Close> handle_;
    std::uint64_t file_size_ = 0; ///< 0 if unknown
};

/// Writes a pcap file with Ethernet packets and nanosecond timestamps, "-" for standard output.
class PcapWriter {
  public:
    /// Replaces the file. Errors: Errc::Io.
    [[nodiscard]] static Expected<PcapWriter> create(const std::string& path);
    void write(const CapturedPacket& packet);
    /// Must be called last. Errors: Errc::Io if anything could not be written.
    Expected<void> finish();

  private:
    struct Close {
        void operator()(pcap* handle) const;
        void operator()(pcap_dumper* dumper) const;
    };
    using Handle = std::unique_ptr<pcap, Close>;
    using Dumper = std::unique_ptr<pcap_dumper, Close>;
    PcapWriter(std::string path, Handle handle, Dumper dumper)
        : path_(std::move(path)), handle_(std::move(handle)), dumper_(std::move(dumper)) {}

    std::string path_;
    Handle handle_;
    Dumper dumper_;
};

} // namespace ebpfvm::cli
