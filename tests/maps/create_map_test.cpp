#include "map_fixture.hpp"

#include <cerrno>

namespace ebpfvm::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
namespace mf = map_flags;

MapSpec outer_of(MapType type, u32 value_size, u32 flags, MapSpec inner) {
    MapSpec spec = spec_of(type, 4, value_size, 4, flags);
    spec.inner = std::make_shared<MapSpec>(std::move(inner));
    return spec;
}

TEST(CreateMap, AcceptsWhatTheKernelAccepts) {
    const MapSpec array = spec_of(MapType::Array, 4, 8, 4);
    const MapSpec accepted[] = {
        spec_of(MapType::Hash, 513, 4, 1),
        spec_of(MapType::Hash, 4, 8, 16, mf::kNoPrealloc | mf::kZeroSeed | mf::kRdonlyProg),
        spec_of(MapType::PercpuHash, 4, 32768, 1, mf::kNoPrealloc),
        spec_of(MapType::LruHash, 4, 8, 16, mf::kNoCommonLru),
        spec_of(MapType::LruPercpuHash, 4, 8, 16),
        spec_of(MapType::Array, 4, 1U << 22U, 1, mf::kMmapable),
        spec_of(MapType::Array, 4, 8, 1, mf::kInnerMap | mf::kWronlyProg | mf::kRdonly),
        spec_of(MapType::PercpuArray, 4, 32768, 1),
        spec_of(MapType::ProgArray, 4, 4, 4, mf::kRdonly),
        spec_of(MapType::Ringbuf, 0, 0, 4096),
        outer_of(MapType::ArrayOfMaps, 4, 0, array),
        outer_of(MapType::ArrayOfMaps, 4, 0, spec_of(MapType::Ringbuf, 0, 0, 4096)),
        outer_of(MapType::HashOfMaps, 4, mf::kRdonlyProg | mf::kNoPrealloc, array),
    };
    for (const MapSpec& spec : accepted) {
        EXPECT_NE(create(spec), nullptr) << name_of(spec.type);
    }
}

TEST(CreateMap, RefusesWhatTheKernelRefusesAsInvalid) {
    const MapSpec array = spec_of(MapType::Array, 4, 8, 4);
    const MapSpec refused[] = {
        spec_of(MapType::Hash, 0, 8, 1),
        spec_of(MapType::Hash, 4, 0, 1),
        spec_of(MapType::Hash, 4, 8, 0),
        spec_of(MapType::Hash, 4, 8, 1, mf::kNoCommonLru),
        spec_of(MapType::Hash, 4, 8, 1, mf::kMmapable),
        spec_of(MapType::Hash, 4, 8, 1, 1U << 20U),
        spec_of(MapType::Hash, 4, 8, 1, mf::kRdonlyProg | mf::kWronlyProg),
        spec_of(MapType::PercpuHash, 4, 8, 1, mf::kNumaNode),
        spec_of(MapType::LruHash, 4, 8, 1, mf::kNoPrealloc),
        spec_of(MapType::Array, 8, 8, 1),
        spec_of(MapType::Array, 4, 0, 1),
        spec_of(MapType::Array, 4, 8, 1, mf::kNoPrealloc),
        spec_of(MapType::Array, 4, 8, 1, mf::kZeroSeed),
        spec_of(MapType::PercpuArray, 4, 8, 1, mf::kMmapable),
        spec_of(MapType::PercpuArray, 4, 8, 1, mf::kInnerMap),
        spec_of(MapType::ProgArray, 4, 8, 4),
        spec_of(MapType::ProgArray, 8, 4, 4),
        spec_of(MapType::ProgArray, 4, 4, 4, mf::kRdonlyProg),
        spec_of(MapType::Ringbuf, 4, 0, 4096),
        spec_of(MapType::Ringbuf, 0, 4, 4096),
        spec_of(MapType::Ringbuf, 0, 0, 2048),
        spec_of(MapType::Ringbuf, 0, 0, 3 * 4096),
        spec_of(MapType::Ringbuf, 0, 0, 0),
        spec_of(MapType::Ringbuf, 0, 0, 4096, mf::kRdonly),
        spec_of(MapType::ArrayOfMaps, 4, 4, 4),
        outer_of(MapType::ArrayOfMaps, 8, 0, array),
        outer_of(MapType::ArrayOfMaps, 4, mf::kRdonlyProg, array),
        outer_of(MapType::HashOfMaps, 8, 0, array),
        outer_of(MapType::ArrayOfMaps, 4, 0, spec_of(MapType::ProgArray, 4, 4, 4)),
        outer_of(MapType::ArrayOfMaps, 4, 0, outer_of(MapType::ArrayOfMaps, 4, 0, array)),
        spec_of(MapType::Unspec, 4, 4, 4),
    };
    for (const MapSpec& spec : refused) {
        EXPECT_EQ(refusal(spec), Errc::InvalidArgument)
            << name_of(spec.type) << " flags " << spec.flags;
    }
}

TEST(CreateMap, RefusesMapsLargerThanTheLimitWithoutOverflow) {
    EXPECT_EQ(refusal(spec_of(MapType::Array, 4, 0x8000'0000, 1)), Errc::LimitExceeded);
    EXPECT_EQ(refusal(spec_of(MapType::Array, 4, 0x7fff'ffff, 0xffff'ffff)), Errc::LimitExceeded);
    EXPECT_EQ(refusal(spec_of(MapType::Hash, 4, 1U << 22U, 1)), Errc::LimitExceeded);
    EXPECT_EQ(refusal(spec_of(MapType::Hash, 4, 1U << 21U, 1U << 30U)), Errc::LimitExceeded);
    EXPECT_EQ(refusal(spec_of(MapType::Hash, 4, 8, 0xffff'ffff)), Errc::LimitExceeded);
    EXPECT_EQ(refusal(spec_of(MapType::PercpuHash, 4, 32769, 1)), Errc::LimitExceeded);
    EXPECT_EQ(refusal(spec_of(MapType::PercpuArray, 4, 32769, 1)), Errc::LimitExceeded);
    EXPECT_EQ(refusal(spec_of(MapType::ProgArray, 4, 4, 0xffff'ffff)), Errc::LimitExceeded);
    const MapOptions all_cpus{.cpus = 0xffff'ffff, .max_bytes = ~u64{0} - 1};
    EXPECT_EQ(refusal(spec_of(MapType::PercpuArray, 4, 32768, 0xffff'ffff), all_cpus),
              Errc::LimitExceeded);
    EXPECT_EQ(refusal(spec_of(MapType::PercpuHash, 4, 32768, 1U << 30U), all_cpus),
              Errc::LimitExceeded);
}

TEST(CreateMap, HonoursTheCallersLimit) {
    const MapSpec spec = spec_of(MapType::Array, 4, 64, 16);
    EXPECT_EQ(refusal(spec, {.max_bytes = 1023}), Errc::LimitExceeded);
    EXPECT_NE(create(spec, {.max_bytes = 1024}), nullptr);
}

TEST(CreateMap, ReportsThatTheHostHasNoSuchMemory) {
    const MapSpec spec = spec_of(MapType::Array, 4, 0x7fff'ffff, 1U << 20U); // 2 PiB
    const auto map = create_map(spec, {.max_bytes = ~u64{0}});
    ASSERT_FALSE(map.has_value());
    EXPECT_EQ(map.error().code, Errc::LimitExceeded);
    EXPECT_EQ(map.error().message, "map \"m\": the host has no 2251799813685248 bytes for it");
}

TEST(CreateMap, SparseMapsAreCheap) {
    const auto map = create(MapType::Array, 4, 1U << 20U, 4000); // 3.9 GiB
    EXPECT_NE(lookup<std::byte>(*map, u32{3999}), nullptr);
}

TEST(CreateMap, NamesTypesThatAreNotAvailable) {
    const auto map = create_map(spec_of(MapType::LpmTrie, 8, 8, 4));
    ASSERT_FALSE(map.has_value());
    EXPECT_EQ(map.error().code, Errc::Unsupported);
    EXPECT_EQ(map.error().message, "map \"m\": type lpm_trie is not available here");
    EXPECT_EQ(refusal(spec_of(MapType{999}, 8, 8, 4)), Errc::Unsupported);
}

TEST(CreateMap, DataMustFitAndNeedsAnArray) {
    MapSpec spec = spec_of(MapType::Array, 4, 2, 1);
    spec.data.resize(3);
    EXPECT_EQ(refusal(spec), Errc::InvalidArgument);
    MapSpec hash = spec_of(MapType::Hash, 4, 4, 1);
    hash.data.resize(3);
    EXPECT_EQ(refusal(hash), Errc::InvalidArgument);
}

TEST(Map, NameOfKnowsAllTypes) {
    EXPECT_EQ(name_of(MapType::Hash), "hash");
    EXPECT_EQ(name_of(MapType::Arena), "arena");
    EXPECT_EQ(name_of(MapType::Unspec), "unspec");
    EXPECT_EQ(name_of(MapType{999}), "unknown");
}

TEST(Map, ProgAccessComesFromTheFlags) {
    EXPECT_EQ(create(MapType::Hash, 4, 4, 4)->prog_access(), Access::ReadWrite);
    EXPECT_EQ(create(MapType::Hash, 4, 4, 4, mf::kRdonlyProg)->prog_access(), Access::Read);
    EXPECT_EQ(create(MapType::Hash, 4, 4, 4, mf::kWronlyProg)->prog_access(), Access::Write);
}

TEST(Map, ReadAndWriteCheckSizesAndRights) {
    const auto map = create(MapType::Hash, 4, 8, 1);
    const u32 key = 5;
    const u64 value = 6;
    EXPECT_EQ(map->read(bytes_of(value)).error().code, Errc::InvalidArgument);
    EXPECT_EQ(map->write(bytes_of(key), bytes_of(key)).error().code, Errc::InvalidArgument);
    EXPECT_EQ(map->read(bytes_of(key)).error().code, Errc::NotFound);
    EXPECT_TRUE(map->write(bytes_of(key), bytes_of(value)).has_value());
    EXPECT_EQ(map->read(bytes_of(key)).value().size(), 8U);
    EXPECT_EQ(map->write(bytes_of(key), bytes_of(value), update_flags::kNoExist).error().code,
              Errc::InvalidArgument);
    const u32 other = 6;
    EXPECT_EQ(map->write(bytes_of(other), bytes_of(value)).error().code, Errc::LimitExceeded);
    map->freeze();
    EXPECT_EQ(map->write(bytes_of(key), bytes_of(value)).error().message,
              "map \"m\": the host may not write it (frozen)");

    const auto rdonly = create(MapType::Hash, 4, 8, 1, mf::kRdonly);
    EXPECT_EQ(rdonly->write(bytes_of(key), bytes_of(value)).error().code, Errc::InvalidArgument);
    const auto wronly = create(MapType::Hash, 4, 8, 1, mf::kWronly);
    EXPECT_EQ(wronly->read(bytes_of(key)).error().code, Errc::InvalidArgument);
}

TEST(Map, ReadRefusesMapsWithoutValues) {
    const u32 key = 0;
    EXPECT_EQ(create(MapType::ProgArray, 4, 4, 4)->read(bytes_of(key)).error().code,
              Errc::Unsupported);
    EXPECT_EQ(create(outer_of(MapType::ArrayOfMaps, 4, 0, spec_of(MapType::Array, 4, 8, 4)))
                  ->read(bytes_of(key))
                  .error()
                  .code,
              Errc::Unsupported);
    EXPECT_EQ(create(MapType::Ringbuf, 0, 0, 4096)->read({}).error().code, Errc::Unsupported);
}

TEST(Map, ForEachKeyMayDeleteTheKeyAndStopsOnRequest) {
    const auto map = create(MapType::Hash, 4, 8, 16);
    for (u32 i = 0; i < 10; ++i) {
        update(*map, i, u64{i});
    }
    int visited = 0;
    map->for_each_key([&](std::span<const std::byte> key) {
        ++visited;
        return map->delete_elem(key.data(), {}) == 0 && visited < 7;
    });
    EXPECT_EQ(visited, 7);
    EXPECT_EQ(keys_of<u32>(*map).size(), 3U);
}

} // namespace
} // namespace ebpfvm::testing
