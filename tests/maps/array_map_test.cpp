#include "map_fixture.hpp"

#include <cerrno>

namespace ebpfvm::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

TEST(ArrayMap, ElementsExistFromTheBeginningAndAreZero) {
    const auto map = create(MapType::Array, 4, 8, 3);
    for (u32 i = 0; i < 3; ++i) {
        ASSERT_NE(lookup(*map, i), nullptr);
        EXPECT_EQ(*lookup(*map, i), 0U);
    }
    EXPECT_EQ(lookup(*map, u32{3}), nullptr);
    EXPECT_EQ(lookup(*map, ~u32{0}), nullptr);
}

TEST(ArrayMap, UpdateAndDeleteReturnTheKernelsErrors) {
    const auto map = create(MapType::Array, 4, 8, 3);
    EXPECT_EQ(update(*map, u32{2}, u64{7}), 0);
    EXPECT_EQ(*lookup(*map, u32{2}), 7U);
    EXPECT_EQ(update(*map, u32{2}, u64{8}, update_flags::kExist), 0);
    EXPECT_EQ(update(*map, u32{2}, u64{9}, update_flags::kNoExist), -EEXIST);
    EXPECT_EQ(update(*map, u32{3}, u64{9}), -E2BIG);
    EXPECT_EQ(update(*map, u32{3}, u64{9}, update_flags::kNoExist), -E2BIG);
    EXPECT_EQ(update(*map, u32{2}, u64{9}, 3), -EINVAL);
    EXPECT_EQ(update(*map, u32{9}, u64{9}, 4), -EINVAL);
    EXPECT_EQ(erase(*map, u32{2}), -EINVAL);
    EXPECT_EQ(*lookup(*map, u32{2}), 8U);
}

TEST(ArrayMap, ValuesAreContiguousAtMultiplesOfEight) {
    const auto map = create(MapType::Array, 4, 5, 3);
    auto* first = lookup<std::byte>(*map, u32{0});
    EXPECT_EQ(first, map->memory().data());
    EXPECT_EQ(lookup<std::byte>(*map, u32{2}), first + 16);
    EXPECT_EQ(map->memory().size(), 24U);
}

TEST(ArrayMap, MemoryStateAllowsExactlyTheValues) {
    const auto map = create(MapType::Array, 4, 5, 3);
    const std::byte* begin = map->memory().data();
    const MapUser user{};
    EXPECT_EQ(map->memory_state(begin, 5, user), MemoryState::Ok);
    EXPECT_EQ(map->memory_state(begin + 17, 4, user), MemoryState::Ok);
    EXPECT_EQ(map->memory_state(begin + 4, 0, user), MemoryState::Ok);
    EXPECT_EQ(map->memory_state(begin, 6, user), MemoryState::OutOfBounds);
    EXPECT_EQ(map->memory_state(begin + 5, 1, user), MemoryState::OutOfBounds);
    EXPECT_EQ(map->memory_state(begin + 4, 8, user), MemoryState::OutOfBounds);
    EXPECT_EQ(map->memory_state(begin + 16, ~std::size_t{0}, user), MemoryState::OutOfBounds);
    EXPECT_EQ(map->memory_state(begin + 23, 1, user), MemoryState::OutOfBounds);
    EXPECT_EQ(map->memory_state(begin + 24, 1, user), MemoryState::NotMine);
    EXPECT_EQ(map->memory_state(begin - 1, 1, user), MemoryState::NotMine);
}

TEST(ArrayMap, PerCpuCopiesAreSeparate) {
    const auto map = create(MapType::PercpuArray, 4, 4, 2);
    EXPECT_EQ(map->cpus(), 2U);
    EXPECT_EQ(update(*map, u32{1}, u32{10}, 0, {.cpu = 0}), 0);
    EXPECT_EQ(update(*map, u32{1}, u32{11}, 0, {.cpu = 1}), 0);
    EXPECT_EQ(*lookup<u32>(*map, u32{1}, {.cpu = 0}), 10U);
    EXPECT_EQ(*lookup<u32>(*map, u32{1}, {.cpu = 1}), 11U);
    EXPECT_EQ(lookup<u32>(*map, u32{1}, {.cpu = 2}), nullptr);
    EXPECT_EQ(update(*map, u32{1}, u32{12}, 0, {.cpu = 2}), -EINVAL);
}

TEST(ArrayMap, MemoryOfAnotherCpuIsOutOfBounds) {
    const auto map = create(MapType::PercpuArray, 4, 4, 2);
    for (const u32 cpu : {0U, 1U}) {
        const void* mine = lookup<u32>(*map, u32{1}, {.cpu = cpu});
        EXPECT_EQ(map->memory_state(mine, 4, {.cpu = cpu}), MemoryState::Ok);
        EXPECT_EQ(map->memory_state(mine, 4, {.cpu = 1 - cpu}), MemoryState::OutOfBounds);
        EXPECT_EQ(map->memory_state(mine, 5, {.cpu = cpu}), MemoryState::OutOfBounds);
    }
    // Between the blocks of two cpus.
    const std::byte* padding = map->memory().data() + 16;
    EXPECT_EQ(map->memory_state(padding, 1, {.cpu = 0}), MemoryState::OutOfBounds);
}

TEST(ArrayMap, NextKeyCountsUpAndStartsAgainAfterAnUnknownKey) {
    const auto map = create(MapType::Array, 4, 8, 3);
    EXPECT_EQ(keys_of<u32>(*map), (std::vector<u32>{0, 1, 2}));
    u32 key = 77;
    u32 next = 99;
    EXPECT_EQ(map->get_next_key(&key, &next), 0);
    EXPECT_EQ(next, 0U);
    key = 2;
    EXPECT_EQ(map->get_next_key(&key, &next), -ENOENT);
}

TEST(ArrayMap, DataBecomesElementZero) {
    MapSpec spec = spec_of(MapType::Array, 4, 6, 1);
    spec.data = {std::byte{1}, std::byte{2}, std::byte{3}};
    spec.frozen = true;
    const auto map = create(spec);
    const u32 key = 0;
    const std::vector<std::byte> expected{std::byte{1}, std::byte{2}, std::byte{3},
                                          std::byte{0}, std::byte{0}, std::byte{0}};
    EXPECT_EQ(map->read(bytes_of(key)).value(), expected);
    EXPECT_TRUE(map->is_frozen());
    EXPECT_FALSE(map->write(bytes_of(key), expected).has_value());
    // Frozen binds the host; what programs may do is in the flags.
    EXPECT_EQ(map->prog_access(), Access::ReadWrite);
}

TEST(ArrayMap, UpdateTakesKeysAndValuesOfAnyAlignment) {
    const auto map = create(MapType::Array, 4, 11, 2);
    alignas(8) std::byte buffer[32] = {};
    const u32 key = 1;
    std::memcpy(buffer + 1, &key, 4);
    std::memcpy(buffer + 9, "0123456789", 11);
    EXPECT_EQ(map->update_elem(buffer + 1, buffer + 9, 0, {}), 0);
    EXPECT_STREQ(lookup<char>(*map, key), "0123456789");
    EXPECT_EQ(std::memcmp(map->read(bytes_of(key)).value().data(), "0123456789", 11), 0);
}

} // namespace
} // namespace ebpfvm::testing
