// libpcap stays behind this file. Tested by run_pcap_test.cpp.
#include "cli/pcap_file.hpp"

#include "cli/files.hpp"
#include "support/try.hpp"

#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

namespace ebpfvm::cli {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr int kSnapLength = 262'144; // tcpdump's default

// Some of libpcap's messages begin with the path, others do not.
std::unexpected<Error> fail_pcap(const std::string& path, std::string_view message) {
    return message.starts_with(path + ":") ? fail(Errc::Io, "{}", message)
                                           : fail(Errc::Io, "{}: {}", path, message);
}

std::uint64_t size_of_file(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    return error ? 0 : size;
}

} // namespace

void PcapReader::Close::operator()(pcap* handle) const {
    pcap_close(handle);
}
void PcapWriter::Close::operator()(pcap* handle) const {
    pcap_close(handle);
}
void PcapWriter::Close::operator()(pcap_dumper* dumper) const {
    pcap_dump_close(dumper);
}

Expected<PcapReader> PcapReader::open(const std::string& path) {
    TRY(refuse_directory(path));
    std::array<char, PCAP_ERRBUF_SIZE> message{};
    std::unique_ptr<pcap, Close> handle(pcap_open_offline_with_tstamp_precision(
        path.c_str(), PCAP_TSTAMP_PRECISION_NANO, message.data()));
    if (!handle) {
        return fail_pcap(path, message.data());
    }
    const int link_type = pcap_datalink(handle.get());
    if (link_type != DLT_EN10MB) {
        const char* name = pcap_datalink_val_to_name(link_type);
        return fail(Errc::Unsupported, "{}: link type is {} ({}), only Ethernet is supported", path,
                    name == nullptr ? "unknown" : name, link_type);
    }
    return PcapReader(path, std::move(handle), size_of_file(path));
}

Expected<PcapReader::Next> PcapReader::read(CapturedPacket& packet) {
    pcap_pkthdr* header = nullptr;
    const u_char* bytes = nullptr;
    const int status = pcap_next_ex(handle_.get(), &header, &bytes);
    if (status == PCAP_ERROR_BREAK) {
        return Next::End;
    }
    if (status != 1) {
        return fail_pcap(path_, pcap_geterr(handle_.get()));
    }
    packet.bytes = std::as_bytes(std::span(bytes, header->caplen));
    packet.wire_size = header->len;
    // With nanosecond precision libpcap puts nanoseconds into tv_usec.
    packet.time_ns = std::uint64_t(header->ts.tv_sec) * kNsPerSecond +
                     static_cast<std::uint64_t>(header->ts.tv_usec);
    return Next::Packet;
}

double PcapReader::progress() const {
    std::FILE* file = pcap_file(handle_.get());
    const long at = file == nullptr ? -1 : std::ftell(file);
    return at < 0 || file_size_ == 0 ? -1.0 : double(at) / double(file_size_);
}

Expected<PcapWriter> PcapWriter::create(const std::string& path) {
    Handle handle(
        pcap_open_dead_with_tstamp_precision(DLT_EN10MB, kSnapLength, PCAP_TSTAMP_PRECISION_NANO));
    if (!handle) {
        throw std::bad_alloc();
    }
    Dumper dumper(pcap_dump_open(handle.get(), path.c_str()));
    if (!dumper) {
        return fail_pcap(path, pcap_geterr(handle.get()));
    }
    return PcapWriter(path, std::move(handle), std::move(dumper));
}

void PcapWriter::write(const CapturedPacket& packet) {
    pcap_pkthdr header{};
    header.ts.tv_sec = static_cast<time_t>(packet.time_ns / kNsPerSecond);
    header.ts.tv_usec = static_cast<suseconds_t>(packet.time_ns % kNsPerSecond);
    header.caplen = static_cast<bpf_u_int32>(packet.bytes.size());
    header.len = std::max(packet.wire_size, header.caplen);
    pcap_dump(reinterpret_cast<u_char*>(dumper_.get()), &header,
              reinterpret_cast<const u_char*>(packet.bytes.data()));
}

Expected<void> PcapWriter::finish() {
    std::FILE* file = pcap_dump_file(dumper_.get());
    if (pcap_dump_flush(dumper_.get()) != 0 || std::ferror(file) != 0) {
        return fail(Errc::Io, "{}: cannot be written", path_);
    }
    return {};
}

} // namespace ebpfvm::cli
