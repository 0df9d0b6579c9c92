// The limits were compared with bpf_xdp_adjust_{head,tail} of Linux 6.18 through BPF_PROG_TEST_RUN.
#include "helpers/helpers.hpp"
#include "test_call.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace ebpfvm::testing {
namespace {

constexpr std::uint64_t kRefused = static_cast<std::uint64_t>(std::int64_t{-EINVAL});

struct Buffer {
    std::vector<std::byte> bytes = std::vector<std::byte>(512, std::byte{0xee});
    Packet packet;
    TestCall call{};

    Buffer(std::size_t headroom, std::size_t size)
        : packet(Packet::in(bytes, std::span(bytes).subspan(headroom, size))) {
        call.set_packet(packet);
    }
    std::uint64_t head(std::int64_t by) {
        return helpers::xdp_adjust_head(call, 0, static_cast<std::uint64_t>(by), 0, 0, 0);
    }
    std::uint64_t tail(std::int64_t by) {
        return helpers::xdp_adjust_tail(call, 0, static_cast<std::uint64_t>(by), 0, 0, 0);
    }
    [[nodiscard]] std::ptrdiff_t data() const { return packet.data - bytes.data(); }
    [[nodiscard]] std::ptrdiff_t data_end() const { return packet.data_end - bytes.data(); }
};

TEST(XdpHelpers, HeadMovesBackUntilTheRoomOfTheFrame) {
    Buffer b(256, 64);
    EXPECT_EQ(b.head(-217), kRefused);
    EXPECT_EQ(b.data(), 256);
    EXPECT_EQ(b.head(-216), 0U);
    EXPECT_EQ(b.data(), 40);
    EXPECT_EQ(b.head(-1), kRefused);
    EXPECT_EQ(b.data_end(), 320);
}

TEST(XdpHelpers, HeadMovesForwardUntilAnEthernetHeaderIsLeft) {
    Buffer b(256, 64);
    EXPECT_EQ(b.head(51), kRefused);
    EXPECT_EQ(b.head(50), 0U);
    EXPECT_EQ(b.data(), 306);
    EXPECT_EQ(b.head(0), 0U);
    EXPECT_EQ(b.head(1), kRefused);
}

TEST(XdpHelpers, HeadMovesForwardWithoutAnyHeadroom) {
    Buffer b(0, 64);
    EXPECT_EQ(b.head(14), 0U);
    EXPECT_EQ(b.head(-14), kRefused);
    EXPECT_EQ(b.data(), 14);
}

TEST(XdpHelpers, MetadataMovesWithTheHead) {
    Buffer b(256, 64);
    b.packet.data_meta = b.packet.data - 8;
    std::fill_n(b.packet.data_meta, 8, std::byte{7});
    EXPECT_EQ(b.head(-209), kRefused) << "frame and metadata need 48 bytes";
    EXPECT_EQ(b.head(-208), 0U);
    EXPECT_EQ(b.packet.data - b.packet.data_meta, 8);
    EXPECT_TRUE(std::all_of(b.packet.data_meta, b.packet.data,
                            [](std::byte byte) { return byte == std::byte{7}; }));
}

TEST(XdpHelpers, TailShrinksUntilAnEthernetHeaderIsLeft) {
    Buffer b(256, 64);
    EXPECT_EQ(b.tail(-51), kRefused);
    EXPECT_EQ(b.tail(-50), 0U);
    EXPECT_EQ(b.data_end(), 270);
    EXPECT_EQ(b.tail(0), 0U);
    EXPECT_EQ(b.tail(-1), kRefused);
}

TEST(XdpHelpers, TailGrowsWithZerosUntilTheEndOfTheBuffer) {
    Buffer b(256, 64);
    EXPECT_EQ(b.tail(193), kRefused);
    EXPECT_EQ(b.tail(191), 0U);
    EXPECT_EQ(b.bytes[319], std::byte{0xee});
    EXPECT_EQ(b.bytes[320], std::byte{0});
    EXPECT_EQ(b.bytes[510], std::byte{0});
    EXPECT_EQ(b.bytes[511], std::byte{0xee});
    EXPECT_EQ(b.tail(1), 0U);
    EXPECT_EQ(b.tail(1), kRefused);
}

TEST(XdpHelpers, OffsetsAre32BitsAndExtremesAreRefused) {
    Buffer b(256, 64);
    EXPECT_EQ(b.head(std::int64_t{1} << 32U), 0U) << "truncates to 0, as in the kernel";
    EXPECT_EQ(b.data(), 256);
    for (const std::int64_t extreme : {std::int64_t{INT32_MAX}, std::int64_t{INT32_MIN}}) {
        EXPECT_EQ(b.head(extreme), kRefused);
        EXPECT_EQ(b.tail(extreme), kRefused);
    }
}

TEST(XdpHelpers, RunsWithoutPacketAreRefused) {
    TestCall call;
    EXPECT_EQ(helpers::xdp_adjust_head(call, 0, 0, 0, 0, 0), kRefused);
    EXPECT_EQ(helpers::xdp_adjust_tail(call, 0, 0, 0, 0, 0), kRefused);
}

} // namespace
} // namespace ebpfvm::testing
