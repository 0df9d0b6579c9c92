// Time per map operation, as a helper performs it: through the virtual functions of Map.
#include "ebpfvm/map.hpp"
#include "maps/ringbuf_map.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace {

using namespace ebpfvm;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

std::shared_ptr<Map> create(MapType type, u32 key_size, u32 value_size, u32 max_entries) {
    MapSpec spec;
    spec.name = "bench";
    spec.type = type;
    spec.key_size = key_size;
    spec.value_size = value_size;
    spec.max_entries = max_entries;
    return create_map(spec, {.cpus = 2}).value();
}

// `count` keys in random order, one after the other in memory; those that exist are even numbers.
class Keys {
  public:
    Keys(u32 size, u32 count, u64 odd) : bytes_(std::size_t{count} * size), size_(size) {
        std::vector<u64> numbers(count);
        for (u64 i = 0; i < count; ++i) {
            numbers[i] = 2 * i + odd;
        }
        std::shuffle(numbers.begin(), numbers.end(), std::mt19937(1));
        for (u64 i = 0; i < count; ++i) {
            std::memcpy(bytes_.data() + i * size, &numbers[i], std::min(size, 8U));
        }
    }
    const void* next() {
        at_ = at_ + size_ == bytes_.size() ? 0 : at_ + size_;
        return bytes_.data() + at_;
    }

  private:
    std::vector<std::byte> bytes_;
    std::size_t size_;
    std::size_t at_ = 0;
};

std::shared_ptr<Map> filled(MapType type, u32 key_size, u32 count, u32 max_entries) {
    auto map = create(type, key_size, 8, max_entries);
    Keys keys(key_size, count, 0);
    for (u32 i = 0; i < count; ++i) {
        const u64 value = i;
        map->update_elem(keys.next(), &value, 0, {});
    }
    return map;
}

// Arguments: key size, elements in the map.
void lookup(benchmark::State& state, MapType type, u64 odd) {
    const auto count = u32(state.range(1));
    const auto map = filled(type, u32(state.range(0)), count, count);
    Keys keys(u32(state.range(0)), count, odd);
    for (auto _ : state) {
        benchmark::DoNotOptimize(map->lookup_elem(keys.next(), {}));
    }
}

void hash_lookup_hit(benchmark::State& state) {
    lookup(state, MapType::Hash, 0);
}
void hash_lookup_miss(benchmark::State& state) {
    lookup(state, MapType::Hash, 1);
}
void percpu_hash_lookup_hit(benchmark::State& state) {
    lookup(state, MapType::PercpuHash, 0);
}
void lru_hash_lookup_hit(benchmark::State& state) {
    lookup(state, MapType::LruHash, 0);
}

void hash_update_existing(benchmark::State& state) {
    const auto count = u32(state.range(1));
    const auto map = filled(MapType::Hash, u32(state.range(0)), count, count);
    Keys keys(u32(state.range(0)), count, 0);
    const u64 value = 1;
    for (auto _ : state) {
        benchmark::DoNotOptimize(map->update_elem(keys.next(), &value, 0, {}));
    }
}

void hash_insert_and_delete(benchmark::State& state) {
    const auto count = u32(state.range(1));
    const auto map = filled(MapType::Hash, u32(state.range(0)), count, 2 * count);
    Keys keys(u32(state.range(0)), count, 1);
    const u64 value = 1;
    for (auto _ : state) {
        const void* key = keys.next();
        benchmark::DoNotOptimize(map->update_elem(key, &value, 0, {}));
        benchmark::DoNotOptimize(map->delete_elem(key, {}));
    }
}

void lru_hash_insert_into_full(benchmark::State& state) {
    const auto count = u32(state.range(1));
    const auto map = filled(MapType::LruHash, u32(state.range(0)), count, count);
    Keys keys(u32(state.range(0)), 4 * count, 1);
    const u64 value = 1;
    for (auto _ : state) {
        benchmark::DoNotOptimize(map->update_elem(keys.next(), &value, 0, {}));
    }
}

void array_lookup(benchmark::State& state, MapType type) {
    const auto map = create(type, 4, 8, 1024);
    u32 index = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(map->lookup_elem(&index, {}));
        index = (index + 1) % 1024;
    }
}
void plain_array_lookup(benchmark::State& state) {
    array_lookup(state, MapType::Array);
}
void percpu_array_lookup(benchmark::State& state) {
    array_lookup(state, MapType::PercpuArray);
}

// The cost of checked mode per access to a map value.
void hash_memory_state(benchmark::State& state) {
    const auto map = filled(MapType::Hash, 8, 1024, 1024);
    Keys keys(8, 1024, 0);
    std::vector<void*> values;
    for (u32 i = 0; i < 1024; ++i) {
        values.push_back(map->lookup_elem(keys.next(), {}));
    }
    u32 at = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(map->memory_state(values[at], 8, {}));
        at = (at + 1) % 1024;
    }
}

void ringbuf_reserve_and_submit(benchmark::State& state) {
    const auto map = create(MapType::Ringbuf, 0, 0, 1U << 20U);
    auto& ring = static_cast<maps::RingbufMap&>(*map);
    const auto size = u64(state.range(0));
    for (auto _ : state) {
        std::byte* record = ring.reserve(size);
        if (record == nullptr) [[unlikely]] {
            state.PauseTiming();
            (void)ring.consume([](std::span<const std::byte>) {});
            state.ResumeTiming();
            record = ring.reserve(size);
        }
        maps::RingbufMap::submit(record);
    }
}

void ringbuf_consume(benchmark::State& state) {
    const auto map = create(MapType::Ringbuf, 0, 0, 1U << 20U);
    auto& ring = static_cast<maps::RingbufMap&>(*map);
    std::byte data[64] = {};
    std::size_t consumed = 0;
    for (auto _ : state) {
        state.PauseTiming();
        while (ring.output(data, sizeof(data))) {
        }
        state.ResumeTiming();
        consumed += ring.consume(
            [](std::span<const std::byte> record) { benchmark::DoNotOptimize(record.data()); });
    }
    state.SetItemsProcessed(std::int64_t(consumed));
}

void map_sizes(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"key", "elements"});
    for (const int key_size : {4, 8, 16}) {
        benchmark->Args({key_size, 1000});
    }
    benchmark->Args({8, 100});
    benchmark->Args({8, 1000000});
    benchmark->Args({40, 1000});
}

BENCHMARK(hash_lookup_hit)->Apply(map_sizes);
BENCHMARK(hash_lookup_miss)->Apply(map_sizes);
BENCHMARK(percpu_hash_lookup_hit)->Args({8, 1000});
BENCHMARK(lru_hash_lookup_hit)->Args({8, 1000});
BENCHMARK(hash_update_existing)->Apply(map_sizes);
BENCHMARK(hash_insert_and_delete)->Apply(map_sizes);
BENCHMARK(lru_hash_insert_into_full)->Args({8, 1000});
BENCHMARK(plain_array_lookup);
BENCHMARK(percpu_array_lookup);
BENCHMARK(hash_memory_state);
BENCHMARK(ringbuf_reserve_and_submit)->Arg(16)->Arg(256);
BENCHMARK(ringbuf_consume);

} // namespace

BENCHMARK_MAIN();
