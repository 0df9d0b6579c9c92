// Many threads on one map. Run it under thread and address sanitizers as well.
#include "map_fixture.hpp"
#include "maps/ringbuf_map.hpp"
#include "maps/words.hpp"

#include <atomic>
#include <cerrno>
#include <random>
#include <thread>

namespace ebpfvm::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr auto kDuration = std::chrono::milliseconds(400);

// Runs all functions at once, over and over, until the time is up.
void run_together(std::vector<std::function<void()>> bodies) {
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    for (auto& body : bodies) {
        threads.emplace_back([&stop, &body] {
            while (!stop.load(std::memory_order_relaxed)) {
                body();
            }
        });
    }
    std::this_thread::sleep_for(kDuration);
    stop = true;
    for (std::thread& thread : threads) {
        thread.join();
    }
}

// A value that shows whether it is whole, and whose it is.
struct Value {
    std::array<u64, 5> words;

    static Value make(u64 key, u64 serial) {
        Value value{};
        for (u64 i = 0; i < value.words.size(); ++i) {
            value.words[i] = (key << 40U) + serial * value.words.size() + i;
        }
        return value;
    }
    [[nodiscard]] bool is_of(u64 key) const {
        if (words[0] >> 40U != key || words[0] % words.size() != (key << 40U) % words.size()) {
            return false;
        }
        for (u64 i = 0; i < words.size(); ++i) {
            if (words[i] != words[0] + i) {
                return false;
            }
        }
        return true;
    }
};

class HashMapStress : public ::testing::TestWithParam<u32> {};

// Keys of more than one word, so that a reader can see half of a key in a reused element.
struct Key {
    u64 low;
    u64 high;
};
Key key_of(u64 number) {
    return {number, ~number * 3};
}

TEST_P(HashMapStress, ReadersSeeWholeValuesOfTheirKey) {
    constexpr u64 kKeys = 24;
    const auto map = create(MapType::Hash, sizeof(Key), sizeof(Value), GetParam());
    std::atomic<u64> hits = 0;
    const auto writer = [&] {
        static thread_local std::mt19937_64 random(std::random_device{}());
        const u64 number = random() % kKeys;
        const u64 what = random() % 4;
        const int result = what == 0
                               ? erase(*map, key_of(number))
                               : update(*map, key_of(number), Value::make(number, random() % 1000));
        ASSERT_TRUE(result == 0 || result == -ENOENT || result == -E2BIG) << result;
    };
    const auto reader = [&] {
        for (u64 number = 0; number < kKeys; ++number) {
            const Key key = key_of(number);
            Value value{};
            if (map->copy_elem(&key, &value, {}) == 0) {
                ASSERT_TRUE(value.is_of(number)) << number << ": " << value.words[0];
                hits.fetch_add(1, std::memory_order_relaxed);
            }
            // As a program would, without help: each word is some word of some value.
            if (const void* at = map->lookup_elem(&key, {}); at != nullptr) {
                ASSERT_EQ(map->memory_state(at, sizeof(Value), {}), MemoryState::Ok);
                maps::load_shared(&value, static_cast<const std::byte*>(at), sizeof(value));
                ASSERT_LT(value.words[4] >> 40U, kKeys);
            }
        }
    };
    run_together({writer, writer, reader, reader});
    EXPECT_GT(hits.load(), 100U);
}

TEST_P(HashMapStress, AKeyThatIsOnlyReplacedIsNeverMissed) {
    const auto map = create(MapType::Hash, sizeof(Key), sizeof(u64), GetParam());
    const u64 kept = GetParam() / 2;
    for (u64 number = 0; number < kept; ++number) {
        ASSERT_EQ(update(*map, key_of(number), number), 0);
    }
    const auto replace = [&] {
        for (u64 number = 0; number < kept; ++number) {
            ASSERT_EQ(update(*map, key_of(number), number, update_flags::kExist), 0);
        }
    };
    const auto churn = [&] { // shares their buckets and reuses their elements
        for (u64 number = 1000; number < 1010; ++number) {
            const int result = update(*map, key_of(number), number);
            ASSERT_TRUE(result == 0 || result == -E2BIG);
            erase(*map, key_of(number));
        }
    };
    const auto reader = [&] {
        for (u64 number = 0; number < kept; ++number) {
            const Key key = key_of(number);
            u64 value = 0;
            ASSERT_NE(map->lookup_elem(&key, {}), nullptr) << number;
            ASSERT_EQ(map->copy_elem(&key, &value, {}), 0) << number;
            ASSERT_EQ(value, number);
        }
    };
    run_together({replace, churn, churn, reader, reader});
}

TEST_P(HashMapStress, KeyIterationEndsWhileOthersChangeTheMap) {
    const auto map = create(MapType::Hash, sizeof(Key), sizeof(u64), GetParam());
    const auto churn = [&] {
        for (u64 number = 0; number < 40; ++number) {
            update(*map, key_of(number), number);
            erase(*map, key_of(number / 2));
        }
    };
    const auto iterate = [&] {
        for (const Key& key : keys_of<Key>(*map)) {
            ASSERT_EQ(key.high, ~key.low * 3);
        }
    };
    run_together({churn, churn, iterate});
}

INSTANTIATE_TEST_SUITE_P(MaxEntries, HashMapStress, ::testing::Values(2U, 8U, 64U));

TEST(LruHashMapStress, InsertionsNeverFailAndReadersSeeWholeValues) {
    constexpr u64 kKeys = 100;
    const auto map = create(MapType::LruHash, sizeof(Key), sizeof(Value), 20);
    const auto writer = [&] {
        static thread_local std::mt19937_64 random(std::random_device{}());
        const u64 number = random() % kKeys;
        ASSERT_EQ(update(*map, key_of(number), Value::make(number, random() % 1000)), 0);
        if (number % 8 == 0) {
            erase(*map, key_of(number + 1));
        }
    };
    const auto reader = [&] {
        for (u64 number = 0; number < kKeys; ++number) {
            const Key key = key_of(number);
            Value value{};
            map->lookup_elem(&key, {});
            if (map->copy_elem(&key, &value, {}) == 0) {
                ASSERT_TRUE(value.is_of(number));
            }
        }
    };
    run_together({writer, writer, reader, reader});
    EXPECT_LE(keys_of<Key>(*map).size(), 20U);
}

class RingbufStress : public ::testing::TestWithParam<u32> {};

TEST_P(RingbufStress, EachProducersRecordsArriveWholeAndInOrder) {
    constexpr u64 kProducers = 3;
    const auto size_of = [](u64 serial) { return 16 + serial * 13 % 100; };
    const auto map = create(MapType::Ringbuf, 0, 0, GetParam());
    auto& ring = static_cast<maps::RingbufMap&>(*map);
    std::array<u64, kProducers> sent{};
    std::array<u64, kProducers> received{};
    std::vector<std::function<void()>> bodies;
    for (u64 producer = 0; producer < kProducers; ++producer) {
        bodies.emplace_back([&ring, &sent, size_of, producer] {
            const u64 serial = sent[producer];
            const u64 size = size_of(serial);
            std::byte* record = ring.reserve(size);
            if (record == nullptr) {
                std::this_thread::yield();
                return;
            }
            ++sent[producer];
            std::memset(record, int(serial & 0xffU), size);
            std::memcpy(record, &producer, 8);
            std::memcpy(record + 8, &serial, 8);
            serial % 5 == 4 ? maps::RingbufMap::discard(record) : maps::RingbufMap::submit(record);
        });
    }
    const auto sink = [&](std::span<const std::byte> record) {
        u64 producer = 0;
        u64 serial = 0;
        std::memcpy(&producer, record.data(), 8);
        std::memcpy(&serial, record.data() + 8, 8);
        ASSERT_LT(producer, kProducers);
        if (received[producer] % 5 == 4) { // was discarded
            ++received[producer];
        }
        ASSERT_EQ(serial, received[producer]++);
        ASSERT_EQ(record.size(), size_of(serial));
        for (const std::byte byte : record.subspan(16)) {
            ASSERT_EQ(byte, std::byte(serial));
        }
    };
    bodies.emplace_back([&] { ASSERT_TRUE(consume_ringbuf(*map, sink).has_value()); });
    run_together(std::move(bodies));
    ASSERT_TRUE(consume_ringbuf(*map, sink).has_value());
    EXPECT_GT(sent[0] + sent[1] + sent[2], 10U); // one alone may starve on a busy machine
    for (u64 producer = 0; producer < kProducers; ++producer) {
        const u64 last_discarded = sent[producer] % 5 == 0 && received[producer] % 5 == 4 ? 1 : 0;
        EXPECT_EQ(received[producer] + last_discarded, sent[producer]);
    }
}

INSTANTIATE_TEST_SUITE_P(Bytes, RingbufStress, ::testing::Values(4096U, 1U << 20U));

} // namespace
} // namespace ebpfvm::testing
