#include "helpers/helpers.hpp"
#include "maps/ringbuf_map.hpp"
#include "test_call.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace ebpfvm::testing {
namespace {

using u64 = std::uint64_t;

template <class T>
u64 reg(T* pointer) {
    return reinterpret_cast<u64>(pointer);
}

std::shared_ptr<Map> create(MapType type, std::uint32_t key_size, std::uint32_t value_size,
                            std::uint32_t max_entries, std::uint32_t flags = 0) {
    MapSpec spec;
    spec.name = "m";
    spec.type = type;
    spec.key_size = key_size;
    spec.value_size = value_size;
    spec.max_entries = max_entries;
    spec.flags = flags;
    return create_map(spec, {.cpus = 2}).value();
}

TEST(MapHelpers, UpdateLookupAndDeletePassResultsThrough) {
    const auto map = create(MapType::Hash, 4, 8, 1);
    TestCall call;
    const std::uint32_t key = 1;
    const std::uint32_t other = 2;
    const u64 value = 7;
    EXPECT_EQ(helpers::map_lookup_elem(call, reg(map.get()), reg(&key), 0, 0, 0), 0U);
    EXPECT_EQ(helpers::map_update_elem(call, reg(map.get()), reg(&key), reg(&value), 0, 0), 0U);
    const u64 found = helpers::map_lookup_elem(call, reg(map.get()), reg(&key), 0, 0, 0);
    EXPECT_EQ(*helpers::as_pointer<u64>(found), 7U);
    EXPECT_EQ(helpers::map_update_elem(call, reg(map.get()), reg(&other), reg(&value), 0, 0),
              u64(-E2BIG));
    EXPECT_EQ(helpers::map_update_elem(call, reg(map.get()), reg(&key), reg(&value), 1, 0),
              u64(-EEXIST));
    EXPECT_EQ(helpers::map_delete_elem(call, reg(map.get()), reg(&key), 0, 0, 0), 0U);
    EXPECT_EQ(map->memory_state(helpers::as_pointer<u64>(found), 8, call.map_user()),
              MemoryState::Stale);
    EXPECT_EQ(helpers::map_delete_elem(call, reg(map.get()), reg(&key), 0, 0, 0), u64(-ENOENT));
}

TEST(MapHelpers, PerCpuMapsUseTheCpuOfTheRun) {
    const auto map = create(MapType::PercpuArray, 4, 8, 1);
    TestCall call;
    const std::uint32_t key = 0;
    const u64 value = 7;
    call.set_cpu(1);
    EXPECT_EQ(helpers::map_update_elem(call, reg(map.get()), reg(&key), reg(&value), 0, 0), 0U);
    EXPECT_EQ(*static_cast<u64*>(map->lookup_elem(&key, {.cpu = 1})), 7U);
    EXPECT_EQ(*static_cast<u64*>(map->lookup_elem(&key, {.cpu = 0})), 0U);
}

TEST(MapHelpers, ProgramsCannotChangeReadOnlyMaps) {
    const auto map = create(MapType::Hash, 4, 8, 1, map_flags::kRdonlyProg);
    TestCall call;
    const std::uint32_t key = 0;
    const u64 value = 7;
    EXPECT_EQ(helpers::map_update_elem(call, reg(map.get()), reg(&key), reg(&value), 0, 0),
              u64(-EPERM));
    EXPECT_EQ(helpers::map_delete_elem(call, reg(map.get()), reg(&key), 0, 0, 0), u64(-EPERM));
}

struct Ring {
    std::shared_ptr<Map> map = create(MapType::Ringbuf, 0, 0, 4096);
    TestCall call{};

    u64 reserve(u64 size, u64 flags = 0) {
        return helpers::ringbuf_reserve(call, reg(map.get()), size, flags, 0, 0);
    }
    std::vector<std::string> consume() const {
        std::vector<std::string> records;
        (void)consume_ringbuf(*map, [&](std::span<const std::byte> record) {
            records.emplace_back(reinterpret_cast<const char*>(record.data()), record.size());
        });
        return records;
    }
};

TEST(RingbufHelpers, AReservedRecordIsGrantedUntilItIsCommitted) {
    Ring ring;
    const u64 record = ring.reserve(5);
    ASSERT_NE(record, 0U);
    ASSERT_EQ(ring.call.grants().size(), 1U);
    EXPECT_EQ(reg(ring.call.grants()[0].begin), record);
    EXPECT_EQ(ring.call.grants()[0].size, 5U);
    EXPECT_EQ(ring.call.grants()[0].access, Access::ReadWrite);
    std::memcpy(helpers::as_pointer<char>(record), "hello", 5);
    EXPECT_EQ(helpers::ringbuf_submit(ring.call, record, 0, 0, 0, 0), 0U);
    EXPECT_TRUE(ring.call.grants().empty());
    EXPECT_EQ(ring.consume(), std::vector<std::string>{"hello"});
}

TEST(RingbufHelpers, DiscardedAndAbandonedRecordsDoNotArrive) {
    Ring ring;
    EXPECT_EQ(helpers::ringbuf_discard(ring.call, ring.reserve(8), 0, 0, 0, 0), 0U);
    EXPECT_TRUE(ring.call.grants().empty());
    ring.reserve(8);
    const CallContext::Grant& grant = ring.call.grants()[0];
    grant.release(grant.begin); // the engine, at the end of the run
    EXPECT_EQ(helpers::ringbuf_output(ring.call, reg(ring.map.get()), reg("x"), 1, 0, 0), 0U);
    EXPECT_EQ(ring.consume(), std::vector<std::string>{"x"});
}

TEST(RingbufHelpers, FlagsAndSpaceAreCheckedAsInTheKernel) {
    Ring ring;
    EXPECT_EQ(ring.reserve(8, 1), 0U);
    EXPECT_EQ(ring.reserve(4096), 0U);
    const std::string large(4000, 'x');
    const auto output = [&](u64 flags) {
        return helpers::ringbuf_output(ring.call, reg(ring.map.get()), reg(large.data()),
                                       large.size(), flags, 0);
    };
    EXPECT_EQ(output(4), u64(-EINVAL));
    EXPECT_EQ(output(3), 0U);
    EXPECT_EQ(output(0), u64(-EAGAIN));
}

TEST(RingbufHelpers, OtherMapsAreRefused) {
    const auto map = create(MapType::Array, 4, 8, 1);
    TestCall call;
    EXPECT_EQ(helpers::ringbuf_output(call, reg(map.get()), reg("x"), 1, 0, 0), u64(-EINVAL));
    EXPECT_EQ(helpers::ringbuf_reserve(call, reg(map.get()), 8, 0, 0, 0), 0U);
}

TEST(RingbufHelpers, ReserveFailsWithoutALeakIfNoGrantIsLeft) {
    Ring ring;
    for (int i = 0; i < 64; ++i) {
        ASSERT_NE(ring.reserve(8), 0U);
    }
    EXPECT_EQ(ring.reserve(8), 0U);
    while (!ring.call.grants().empty()) {
        helpers::ringbuf_submit(ring.call, reg(ring.call.grants()[0].begin), 0, 0, 0, 0);
    }
    EXPECT_EQ(ring.consume().size(), 64U);
    EXPECT_NE(ring.reserve(4096 - 16), 0U) << "the ring is empty";
}

} // namespace
} // namespace ebpfvm::testing
