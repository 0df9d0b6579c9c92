#include "map_fixture.hpp"
#include "maps/ringbuf_map.hpp"

#include <cerrno>
#include <string>

namespace ebpfvm::testing {
namespace {

using u64 = std::uint64_t;
using maps::RingbufMap;

constexpr u64 kSize = 4096;

struct Ring {
    std::shared_ptr<Map> map = create(MapType::Ringbuf, 0, 0, kSize);
    RingbufMap& ring = static_cast<RingbufMap&>(*map);

    bool output(std::string_view text) { return ring.output(text.data(), text.size()); }
    std::vector<std::string> consume() {
        std::vector<std::string> records;
        const auto count = consume_ringbuf(*map, [&](std::span<const std::byte> record) {
            records.emplace_back(reinterpret_cast<const char*>(record.data()), record.size());
        });
        EXPECT_EQ(count.value(), records.size());
        return records;
    }
};

TEST(RingbufMap, RecordsArriveInTheOrderOfReservation) {
    Ring r;
    std::byte* first = r.ring.reserve(1);
    EXPECT_TRUE(r.output("second"));
    EXPECT_EQ(r.consume(), std::vector<std::string>{}) << "the first is not committed";
    *first = std::byte{'1'};
    RingbufMap::submit(first);
    EXPECT_EQ(r.consume(), (std::vector<std::string>{"1", "second"}));
    EXPECT_EQ(r.consume(), std::vector<std::string>{});
}

TEST(RingbufMap, DiscardedRecordsAreSkipped) {
    Ring r;
    std::byte* record = r.ring.reserve(8);
    r.output("kept");
    RingbufMap::discard(record);
    EXPECT_EQ(r.consume(), std::vector<std::string>{"kept"});
}

TEST(RingbufMap, CapacityIsThatOfTheKernel) {
    // 8 bytes of header each, rounded up to 8, and never completely full.
    Ring r;
    EXPECT_EQ(r.ring.reserve(kSize), nullptr);
    EXPECT_EQ(r.ring.reserve(kSize - 8), nullptr);
    EXPECT_EQ(r.ring.reserve(kSize - 15), nullptr);
    EXPECT_EQ(r.ring.reserve(~u64{0}), nullptr);
    EXPECT_EQ(r.ring.reserve(~u64{0} - 7), nullptr);
    EXPECT_NE(r.ring.reserve(kSize - 16), nullptr);
    EXPECT_EQ(r.ring.reserve(0), nullptr);
    Ring zero;
    for (u64 i = 0; i < kSize / 8 - 1; ++i) {
        EXPECT_TRUE(zero.output(""));
    }
    EXPECT_FALSE(zero.output(""));
    EXPECT_EQ(zero.consume().size(), kSize / 8 - 1);
    EXPECT_TRUE(zero.output(""));
}

TEST(RingbufMap, RecordsOfAllSizesAreContiguousAcrossTheEnd) {
    Ring r;
    for (u64 size = 0; size <= kSize - 16; ++size) {
        const std::string text(size, char('a' + size % 26));
        ASSERT_TRUE(r.output(text)) << size;
        ASSERT_EQ(r.consume(), std::vector<std::string>{text});
    }
}

TEST(RingbufMap, RecordsAcrossTheEndDoNotTouchTheirNeighbours) {
    Ring r;
    std::string text(500, ' ');
    ASSERT_TRUE(r.output(text)); // seven fit; one stays in the ring at a time
    for (int i = 0; i < 100; ++i) {
        const std::string next(500 - std::size_t(i) % 3, char('a' + i % 26));
        for (int k = 0; k < 6; ++k) {
            ASSERT_TRUE(r.output(next));
        }
        const auto records = r.consume();
        ASSERT_EQ(records.size(), 7U);
        ASSERT_EQ(records[0], text);
        for (int k = 1; k < 7; ++k) {
            ASSERT_EQ(records[std::size_t(k)], next);
        }
        text = next;
        ASSERT_TRUE(r.output(text));
    }
}

TEST(RingbufMap, ConsumedSpaceIsFreeAtOnce) {
    Ring r;
    const std::string large(kSize - 16, 'x');
    ASSERT_TRUE(r.output(large));
    int delivered = 0;
    const auto count = consume_ringbuf(*r.map, [&](auto) {
        if (++delivered == 1) {
            EXPECT_FALSE(r.output("y")) << "the record is in use during the call";
        }
    });
    EXPECT_EQ(count.value(), 1U);
    EXPECT_TRUE(r.output(large));
}

TEST(RingbufMap, MemoryIsOutOfBoundsForPrograms) {
    Ring r;
    std::byte* record = r.ring.reserve(8);
    EXPECT_EQ(r.map->memory_state(record, 8, {}), MemoryState::OutOfBounds);
    EXPECT_EQ(r.map->memory_state(r.map->memory().data() - 1, 1, {}), MemoryState::NotMine);
    EXPECT_EQ(r.map->memory_state(&r, 1, {}), MemoryState::NotMine);
}

TEST(RingbufMap, HasNoElements) {
    Ring r;
    EXPECT_EQ(r.map->lookup_elem(nullptr, {}), nullptr);
    EXPECT_EQ(r.map->update_elem(nullptr, nullptr, 0, {}), -ENOTSUP);
    EXPECT_EQ(r.map->delete_elem(nullptr, {}), -ENOTSUP);
    EXPECT_EQ(r.map->get_next_key(nullptr, nullptr), -ENOTSUP);
}

TEST(RingbufMap, ConsumeRefusesOtherMaps) {
    const auto array = create(MapType::Array, 4, 4, 4);
    const auto result = consume_ringbuf(*array, [](auto) {});
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, Errc::InvalidArgument);
}

} // namespace
} // namespace ebpfvm::testing
