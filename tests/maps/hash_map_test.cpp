#include "map_fixture.hpp"
#include "maps/hash_map.hpp"
#include "maps/key.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <random>
#include <set>

namespace ebpfvm::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

const int kRun = 0; // its address is the identity of a run
const int kOtherRun = 0;

TEST(HashMap, UpdateLookupDeleteReturnTheKernelsErrors) {
    const auto map = create(MapType::Hash, 4, 8, 2);
    EXPECT_EQ(lookup(*map, u32{1}), nullptr);
    EXPECT_EQ(erase(*map, u32{1}), -ENOENT);
    EXPECT_EQ(update(*map, u32{1}, u64{10}, update_flags::kExist), -ENOENT);
    EXPECT_EQ(update(*map, u32{1}, u64{10}, update_flags::kNoExist), 0);
    EXPECT_EQ(update(*map, u32{1}, u64{11}, update_flags::kNoExist), -EEXIST);
    EXPECT_EQ(*lookup(*map, u32{1}), 10U);
    EXPECT_EQ(update(*map, u32{1}, u64{12}, 3), -EINVAL);
    EXPECT_EQ(update(*map, u32{1}, u64{12}, 4), -EINVAL);
    EXPECT_EQ(update(*map, u32{2}, u64{20}), 0);
    EXPECT_EQ(update(*map, u32{3}, u64{30}), -E2BIG);
    EXPECT_EQ(update(*map, u32{1}, u64{13}, update_flags::kExist), 0) << "a full map can replace";
    EXPECT_EQ(*lookup(*map, u32{1}), 13U);
    EXPECT_EQ(erase(*map, u32{2}), 0);
    EXPECT_EQ(update(*map, u32{3}, u64{30}), 0);
}

TEST(HashMap, ValuesKeepTheirAddressUntilTheirElementIsDeleted) {
    const auto map = create(MapType::Hash, 4, 8, 1000);
    update(*map, u32{0}, u64{42});
    const u64* value = lookup(*map, u32{0});
    for (u32 round = 0; round < 3; ++round) {
        for (u32 i = 1; i < 1000; ++i) {
            ASSERT_EQ(update(*map, i, u64{i}), 0);
        }
        for (u32 i = 1; i < 1000; ++i) {
            ASSERT_EQ(erase(*map, i), 0);
        }
    }
    EXPECT_EQ(lookup(*map, u32{0}), value);
    EXPECT_EQ(*value, 42U);
}

TEST(HashMap, ReplacedAndDeletedValuesStayReadableForAWhile) {
    const auto map = create(MapType::Hash, 4, 8, 1);
    update(*map, u32{0}, u64{1});
    const u64* old = lookup(*map, u32{0});
    for (u64 i = 2; i < 30; ++i) {
        ASSERT_EQ(update(*map, u32{0}, i), 0);
        ASSERT_NE(lookup(*map, u32{0}), old);
        ASSERT_EQ(*old, 1U);
    }
}

TEST(HashMap, KeysOfAllSizesAreKeptApart) {
    for (const u32 key_size : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 12U, 15U, 16U, 17U, 63U, 600U}) {
        const auto map = create(MapType::Hash, key_size, 4, 8 * key_size);
        std::vector<std::byte> key(key_size);
        std::set<std::vector<std::byte>> expected;
        for (u32 bit = 0; bit < 8 * key_size; ++bit) { // all keys with one bit set
            key[bit / 8] = std::byte(1U << (bit % 8));
            expected.insert(key);
            ASSERT_EQ(map->update_elem(key.data(), &bit, update_flags::kNoExist, {}), 0);
            key[bit / 8] = std::byte{0};
        }
        EXPECT_EQ(map->lookup_elem(key.data(), {}), nullptr);
        std::set<std::vector<std::byte>> found;
        map->for_each_key([&](std::span<const std::byte> bytes) {
            found.emplace(bytes.begin(), bytes.end());
            return true;
        });
        EXPECT_EQ(found, expected) << "key_size " << key_size;
        for (const auto& each : expected) {
            EXPECT_EQ(map->delete_elem(each.data(), {}), 0);
        }
    }
}

TEST(HashMap, HashSpreadsOverBucketsAndDependsOnTheSeed) {
    constexpr u32 kBuckets = 1024;
    for (const u32 size : {4U, 8U, 16U}) {
        for (const u64 seed : {u64{0}, u64{0x1234'5678'9abc'def0}}) {
            for (const u64 step : {u64{1}, u64{1} << 12U, u64{1} << 24U}) {
                std::vector<u32> load(kBuckets);
                for (u64 i = 0; i < 8 * kBuckets; ++i) {
                    u64 key[2] = {i * step, i * step};
                    ++load[maps::Key(key, size).hash(seed) % kBuckets];
                }
                if (size == 4 && step == u64{1} << 24U) {
                    continue; // only 256 different keys
                }
                // 8 on average; for a random function more than 30 is a matter of 1e-9.
                EXPECT_LE(*std::max_element(load.begin(), load.end()), 30U)
                    << size << " bytes, step " << step << ", seed " << seed;
            }
        }
        const u64 key[2] = {1, 2};
        EXPECT_NE(maps::Key(key, size).hash(1), maps::Key(key, size).hash(2));
    }
}

TEST(HashMap, NextKeyVisitsEachKeyOnceAndStartsAgainAfterAnUnknownKey) {
    const auto map = create(MapType::Hash, 4, 8, 100);
    u32 next = 0;
    EXPECT_EQ(map->get_next_key(nullptr, &next), -ENOENT);
    for (u32 i = 0; i < 100; ++i) {
        update(*map, i * 7, u64{i});
    }
    std::vector<u32> keys = keys_of<u32>(*map);
    const u32 unknown = 1;
    EXPECT_EQ(map->get_next_key(&unknown, &next), 0);
    EXPECT_EQ(next, keys[0]);
    EXPECT_EQ(map->get_next_key(&keys[99], &next), -ENOENT);
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(std::unique(keys.begin(), keys.end()) - keys.begin(), 100);
}

TEST(HashMap, MemoryStateAllowsExactlyTheValue) {
    const auto map = create(MapType::Hash, 5, 6, 4);
    const char key[5] = "1234";
    const char value[6] = "abcde";
    update(*map, key, value);
    auto* at = lookup<std::byte>(*map, key);
    const MapUser user{.cpu = 7, .run = &kRun};
    EXPECT_EQ(map->memory_state(at, 6, user), MemoryState::Ok);
    EXPECT_EQ(map->memory_state(at + 5, 1, user), MemoryState::Ok);
    EXPECT_EQ(map->memory_state(at, 7, user), MemoryState::OutOfBounds);
    EXPECT_EQ(map->memory_state(at + 6, 1, user), MemoryState::OutOfBounds) << "padding";
    EXPECT_EQ(map->memory_state(at - 1, 1, user), MemoryState::OutOfBounds) << "key";
    EXPECT_EQ(map->memory_state(at - 16, 8, user), MemoryState::OutOfBounds) << "bookkeeping";
    EXPECT_EQ(map->memory_state(at + 4, ~std::size_t{0}, user), MemoryState::OutOfBounds);
    const std::span<std::byte> all = map->memory();
    EXPECT_EQ(map->memory_state(all.data(), 1, user), MemoryState::OutOfBounds);
    EXPECT_EQ(map->memory_state(all.data() - 1, 1, user), MemoryState::NotMine);
    EXPECT_EQ(map->memory_state(all.data() + all.size(), 1, user), MemoryState::NotMine);
}

TEST(HashMap, MemoryStateOfAllBytesNamesOnlyTheLiveValues) {
    const auto map = create(MapType::Hash, 4, 5, 10);
    struct Five {
        char bytes[5];
    };
    for (u32 i = 0; i < 10; ++i) {
        update(*map, i, Five{});
    }
    std::set<const std::byte*> values;
    for (u32 i = 0; i < 10; ++i) {
        for (unsigned byte = 0; byte < 5; ++byte) {
            values.insert(lookup<std::byte>(*map, i) + byte);
        }
    }
    for (const std::byte& byte : map->memory()) {
        const bool is_value = map->memory_state(&byte, 1, {.run = &kRun}) == MemoryState::Ok;
        ASSERT_EQ(is_value, values.contains(&byte)) << &byte - map->memory().data();
    }
}

TEST(HashMap, ADeletedElementIsStaleForTheRunThatDeletedIt) {
    const auto map = create(MapType::Hash, 4, 8, 4);
    const MapUser me{.run = &kRun};
    const MapUser other{.run = &kOtherRun};
    update(*map, u32{1}, u64{1});
    const u64* value = lookup(*map, u32{1});
    EXPECT_EQ(erase(*map, u32{1}, me), 0);
    EXPECT_EQ(map->memory_state(value, 8, me), MemoryState::Stale);
    EXPECT_EQ(map->memory_state(value, 8, other), MemoryState::Ok) << "it may have looked it up";
    EXPECT_EQ(map->memory_state(value, 8, {}), MemoryState::Ok);

    // By the host, or replaced: old pointers of all runs stay good.
    update(*map, u32{2}, u64{2});
    const u64* by_host = lookup(*map, u32{2});
    EXPECT_EQ(erase(*map, u32{2}), 0);
    EXPECT_EQ(map->memory_state(by_host, 8, me), MemoryState::Ok);
    update(*map, u32{3}, u64{3});
    const u64* replaced = lookup(*map, u32{3});
    update(*map, u32{3}, u64{4}, 0, me);
    EXPECT_EQ(map->memory_state(replaced, 8, me), MemoryState::Ok);
}

TEST(HashMap, AnElementInUseAgainIsNoLongerStale) {
    const auto map = create(MapType::Hash, 4, 8, 1);
    const MapUser me{.run = &kRun};
    update(*map, u32{1}, u64{1});
    const u64* value = lookup(*map, u32{1});
    erase(*map, u32{1}, me);
    u32 key = 2;
    for (update(*map, key, u64{1}); lookup(*map, key) != value; update(*map, key, u64{1})) {
        erase(*map, key++, {.run = &kOtherRun});
        ASSERT_LT(key, 100U);
    }
    EXPECT_EQ(map->memory_state(value, 8, me), MemoryState::Ok);
}

TEST(HashMap, PerCpuUpdateWritesOneCopyAndCreationClearsTheOthers) {
    for (const MapType type : {MapType::PercpuHash, MapType::LruPercpuHash}) {
        const auto map = create(type, 4, 8, 1);
        for (u32 round = 0; round < 40; ++round) { // reuses elements with old values
            ASSERT_EQ(update(*map, round, u64{10}, 0, {.cpu = 1}), 0);
            ASSERT_EQ(*lookup(*map, round, {.cpu = 0}), 0U);
            ASSERT_EQ(*lookup(*map, round, {.cpu = 1}), 10U);
            ASSERT_EQ(update(*map, round, u64{20}, 0, {.cpu = 0}), 0);
            ASSERT_EQ(*lookup(*map, round, {.cpu = 0}), 20U);
            ASSERT_EQ(*lookup(*map, round, {.cpu = 1}), 10U);
            ASSERT_EQ(map->read(bytes_of(round), 1).value()[0], std::byte{10});
            ASSERT_EQ(erase(*map, round), 0);
        }
        EXPECT_EQ(update(*map, u32{1}, u64{1}, 0, {.cpu = 2}), -EINVAL);
        EXPECT_EQ(lookup(*map, u32{1}, {.cpu = 2}), nullptr);
    }
}

TEST(HashMap, PerCpuUpdateKeepsTheAddress) {
    const auto map = create(MapType::PercpuHash, 4, 8, 1);
    update(*map, u32{1}, u64{10});
    u64* value = lookup(*map, u32{1});
    update(*map, u32{1}, u64{11});
    EXPECT_EQ(lookup(*map, u32{1}), value);
    EXPECT_EQ(*value, 11U);
}

TEST(HashMap, MemoryOfAnotherCpuIsOutOfBounds) {
    const auto map = create(spec_of(MapType::PercpuHash, 4, 4, 3), {.cpus = 3});
    for (u32 i = 0; i < 3; ++i) {
        update(*map, i, u32{0});
    }
    for (u32 cpu = 0; cpu < 3; ++cpu) {
        for (u32 i = 0; i < 3; ++i) {
            const u32* value = lookup<u32>(*map, i, {.cpu = cpu});
            for (u32 user = 0; user < 3; ++user) {
                EXPECT_EQ(map->memory_state(value, 4, {.cpu = user}),
                          user == cpu ? MemoryState::Ok : MemoryState::OutOfBounds);
            }
            EXPECT_EQ(map->memory_state(value, 5, {.cpu = cpu}), MemoryState::OutOfBounds);
        }
    }
}

TEST(HashMap, BehavesAsAModelUnderRandomOperations) {
    std::mt19937 random(1);
    for (const u32 max_entries : {1U, 5U, 64U, 100U}) {
        const auto map = create(MapType::Hash, 4, 8, max_entries);
        std::map<u32, u64> model;
        for (int step = 0; step < 20000; ++step) {
            const u32 key = u32(random()) % (2 * max_entries);
            const u64 value = random();
            const bool exists = model.contains(key);
            switch (random() % 3) {
            case 0: {
                const u64 flags = random() % 3;
                const int expected = exists && flags == update_flags::kNoExist  ? -EEXIST
                                     : !exists && flags == update_flags::kExist ? -ENOENT
                                     : !exists && model.size() == max_entries   ? -E2BIG
                                                                                : 0;
                ASSERT_EQ(update(*map, key, value, flags), expected);
                if (expected == 0) {
                    model[key] = value;
                }
                break;
            }
            case 1:
                ASSERT_EQ(erase(*map, key), exists ? 0 : -ENOENT);
                model.erase(key);
                break;
            default:
                ASSERT_EQ(lookup(*map, key) != nullptr, exists);
                if (exists) {
                    ASSERT_EQ(*lookup(*map, key), model[key]);
                }
            }
        }
        EXPECT_EQ(keys_of<u32>(*map).size(), model.size());
    }
}

TEST(LruHashMap, NeverFailsAndHoldsExactlyMaxEntries) {
    const auto map = create(MapType::LruHash, 4, 8, 10);
    for (u32 i = 0; i < 1000; ++i) {
        ASSERT_EQ(update(*map, i, u64{i}), 0);
        ASSERT_EQ(*lookup(*map, i), i);
        ASSERT_EQ(keys_of<u32>(*map).size(), std::min(i + 1, 10U));
    }
}

TEST(LruHashMap, SparesWhatIsLookedUp) {
    const auto map = create(MapType::LruHash, 4, 8, 64);
    for (u32 i = 0; i < 10000; ++i) {
        ASSERT_EQ(update(*map, 100 + i, u64{i}), 0);
        if (i == 0) {
            for (u32 hot = 0; hot < 8; ++hot) {
                ASSERT_EQ(update(*map, hot, u64{hot}), 0);
            }
        }
        for (u32 hot = 0; hot < 8; ++hot) {
            ASSERT_NE(lookup(*map, hot), nullptr) << "evicted in round " << i;
        }
    }
}

TEST(LruHashMap, AUseCountsOnlyUntilTheClockPasses) {
    const auto map = create(MapType::LruHash, 4, 8, 64);
    for (u32 old = 0; old < 64; ++old) {
        update(*map, old, u64{old});
        lookup(*map, old);
    }
    for (u32 i = 0; i < 1000; ++i) {
        lookup(*map, u32{5});
        update(*map, 100 + i, u64{i});
    }
    for (u32 old = 0; old < 64; ++old) {
        EXPECT_EQ(lookup(*map, old) != nullptr, old == 5) << old;
    }
}

TEST(LruHashMap, HostReadsAreNoUse) {
    const auto map = create(MapType::LruHash, 4, 8, 4);
    for (u32 i = 0; i < 4; ++i) {
        update(*map, i, u64{i});
    }
    for (u32 i = 1; i < 4; ++i) {
        EXPECT_NE(lookup(*map, i), nullptr);
    }
    const u32 cold = 0;
    EXPECT_TRUE(map->read(bytes_of(cold)).has_value());
    update(*map, u32{9}, u64{9});
    EXPECT_FALSE(map->read(bytes_of(cold)).has_value());
}

TEST(LruHashMap, EvictsEvenIfEverythingIsInUse) {
    const auto map = create(MapType::LruHash, 4, 8, 1000);
    for (u32 i = 0; i < 3000; ++i) {
        ASSERT_EQ(update(*map, i, u64{i}), 0);
        for (u32 k = 0; k <= i; k += 17) {
            lookup(*map, k);
        }
        ASSERT_NE(lookup(*map, i), nullptr);
    }
    EXPECT_EQ(keys_of<u32>(*map).size(), 1000U);
}

TEST(LruHashMap, EvictedValuesStayReadable) {
    const auto map = create(MapType::LruHash, 4, 8, 1);
    update(*map, u32{1}, u64{1});
    const u64* value = lookup(*map, u32{1});
    update(*map, u32{2}, u64{2}, 0, {.run = &kRun});
    EXPECT_EQ(lookup(*map, u32{1}), nullptr);
    EXPECT_EQ(map->memory_state(value, 8, {.run = &kRun}), MemoryState::Ok);
    EXPECT_EQ(*value, 1U);
}

TEST(HashMap, DividerIsExact) {
    std::mt19937_64 random(2);
    for (int i = 0; i < 100000; ++i) {
        const u64 divisor = (random() >> (random() % 64)) | 1U;
        const u64 dividend = random() >> (random() % 64);
        ASSERT_EQ(maps::Divider(divisor).quotient(dividend), dividend / divisor);
        ASSERT_EQ(maps::Divider(divisor).quotient(~u64{0}), ~u64{0} / divisor);
        ASSERT_EQ(maps::Divider(divisor).quotient(dividend / divisor * divisor),
                  dividend / divisor);
    }
    for (unsigned shift = 0; shift < 64; ++shift) {
        ASSERT_EQ(maps::Divider(u64{1} << shift).quotient(~u64{0}), ~u64{0} >> shift);
    }
}

} // namespace
} // namespace ebpfvm::testing
