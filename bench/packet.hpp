// The packet that every program of the suite gets: programs/bench.h has the same constants.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace ebpfvm::bench {

inline constexpr std::size_t kHeader = 64;
inline constexpr std::size_t kNoise = 1024;
inline constexpr std::size_t kFrame = 64;
inline constexpr std::size_t kFrames = 16;
inline constexpr std::size_t kPacket = kHeader + kNoise + kFrames * kFrame;

/// Numbers that look random and are the same everywhere.
class Lcg {
  public:
    std::uint32_t next() {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        return std::uint32_t(state_ >> 33);
    }
    std::uint32_t below(std::uint32_t limit) { return next() % limit; }

  private:
    std::uint64_t state_ = 1;
};

/// A frame of kFrame bytes: mostly TCP and UDP over IPv4, some tagged, some IPv6, ICMP and ARP.
class FrameWriter {
  public:
    FrameWriter(std::span<std::byte> frame, Lcg& random) : frame_(frame), random_(random) {}

    void write(std::uint32_t kind) {
        for (std::size_t i = 0; i < 12; ++i) {
            u8(i == 0 ? 2 : random_.next());
        }
        if (kind == 3 || kind == 9) {
            u16(0x8100);
            u16(100 + kind);
        }
        switch (kind) {
        case 5:
            return ipv6();
        case 11:
            return arp();
        case 7:
            return ipv4(1, 0); // ICMP
        default:
            return ipv4(kind % 3 == 1 ? 17 : 6, 1 + kind % 3);
        }
    }

  private:
    void u8(std::uint32_t value) { frame_[at_++] = std::byte(value); }
    void u16(std::uint32_t value) {
        u8(value >> 8 & 0xff);
        u8(value & 0xff);
    }
    void u32(std::uint32_t value) {
        u16(value >> 16);
        u16(value & 0xffff);
    }

    void ipv4(std::uint32_t protocol, std::uint32_t network) {
        u16(0x0800);
        u16(0x4500);
        u16(46);
        u16(random_.next() & 0xffff);
        u16(0);
        u8(64);
        u8(protocol);
        u16(random_.next() & 0xffff); // nobody checks it
        u32(0x0a000000 | network << 16 | random_.below(64));
        u32(0xc0a80000 | random_.below(16));
        ports();
    }
    void ipv6() {
        u16(0x86dd);
        u32(0x60000000);
        u16(8);
        u8(17);
        u8(64);
        for (std::size_t i = 0; i < 8; ++i) {
            u32(random_.next());
        }
        ports();
    }
    void arp() {
        u16(0x0806);
        u16(1);
        u16(0x0800);
    }
    void ports() {
        static constexpr std::array<std::uint32_t, 6> kPorts{22, 53, 80, 443, 8080, 50000};
        u16(1024 + random_.below(60000));
        u16(kPorts[random_.below(kPorts.size())]);
    }

    std::span<std::byte> frame_;
    Lcg& random_;
    std::size_t at_ = 0;
};

inline std::vector<std::byte> make_packet() {
    std::vector<std::byte> packet(kPacket);
    Lcg random;
    FrameWriter(std::span(packet).first(kHeader), random).write(0);
    for (std::size_t i = 0; i < kNoise; ++i) {
        packet[kHeader + i] = std::byte(random.next() >> 8 & 0xff);
    }
    for (std::size_t i = 0; i < kFrames; ++i) {
        FrameWriter(std::span(packet).subspan(kHeader + kNoise + i * kFrame, kFrame), random)
            .write(std::uint32_t(i));
    }
    return packet;
}

} // namespace ebpfvm::bench
