#include "map_fixture.hpp"
#include "maps/map_of_maps.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

namespace ebpfvm::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using maps::MapOfMaps;

const MapSpec kInner = spec_of(MapType::Array, 4, 8, 4);

std::shared_ptr<MapOfMaps> create_outer(MapType type, const MapSpec& inner = kInner) {
    MapSpec spec = spec_of(type, 4, 4, 3);
    spec.inner = std::make_shared<MapSpec>(inner);
    return std::static_pointer_cast<MapOfMaps>(create(spec));
}

int set(MapOfMaps& outer, u32 key, std::shared_ptr<Map> inner, u64 flags = 0) {
    return outer.set_map(&key, std::move(inner), flags);
}

// How a program sees it.
Map* find(MapOfMaps& outer, u32 key) {
    return lookup<Map>(outer, key);
}

class MapOfMapsTest : public ::testing::TestWithParam<MapType> {};

TEST_P(MapOfMapsTest, LookupYieldsTheInnerMap) {
    const auto outer = create_outer(GetParam());
    const auto inner = create(kInner);
    EXPECT_EQ(find(*outer, 1), nullptr);
    EXPECT_EQ(set(*outer, 1, inner), 0);
    EXPECT_EQ(find(*outer, 1), inner.get());
    EXPECT_EQ(find(*outer, 2), nullptr);
    EXPECT_EQ(find(*outer, 99), nullptr);
    const u32 key = 1;
    EXPECT_EQ(outer->map(&key), inner);
    EXPECT_EQ(erase(*outer, key), 0);
    EXPECT_EQ(erase(*outer, key), -ENOENT);
    EXPECT_EQ(find(*outer, 1), nullptr);
    EXPECT_EQ(outer->map(&key), nullptr);
}

TEST_P(MapOfMapsTest, ProgramsCanChangeNothing) {
    const auto outer = create_outer(GetParam());
    const int run = 0;
    set(*outer, 1, create(kInner));
    EXPECT_EQ(update(*outer, u32{1}, u32{1}, 0, {.run = &run}), -EINVAL);
    EXPECT_EQ(erase(*outer, u32{1}, {.run = &run}), -EINVAL);
    EXPECT_NE(find(*outer, 1), nullptr);
}

TEST_P(MapOfMapsTest, InnerMapsMustBeAsDeclared) {
    const auto outer = create_outer(GetParam());
    MapSpec other = kInner;
    other.max_entries = 5;
    EXPECT_EQ(set(*outer, 1, create(other)), -EINVAL);
    other = kInner;
    other.value_size = 16;
    EXPECT_EQ(set(*outer, 1, create(other)), -EINVAL);
    other = kInner;
    other.flags = map_flags::kRdonlyProg;
    EXPECT_EQ(set(*outer, 1, create(other)), -EINVAL);
    EXPECT_EQ(set(*outer, 1, create(MapType::Hash, 4, 8, 4)), -EINVAL);
    EXPECT_EQ(set(*outer, 1, nullptr), -EINVAL);
    EXPECT_TRUE(outer->inner_maps().empty());
    outer->freeze();
    EXPECT_EQ(set(*outer, 1, create(kInner)), -EPERM);
    EXPECT_EQ(erase(*outer, u32{1}), -EPERM);
}

TEST_P(MapOfMapsTest, OnlyArraysWithoutInnerMapFlagMustHaveTheSameSize) {
    for (MapSpec spec : {spec_of(MapType::Hash, 4, 8, 4), spec_of(MapType::PercpuArray, 4, 8, 4),
                         spec_of(MapType::Array, 4, 8, 4, map_flags::kInnerMap),
                         spec_of(MapType::Ringbuf, 0, 0, 4096)}) {
        const auto outer = create_outer(GetParam(), spec);
        spec.max_entries *= 2;
        EXPECT_EQ(set(*outer, 1, create(spec)), 0) << name_of(spec.type);
    }
}

TEST_P(MapOfMapsTest, InnerMapsAreListedOnceWhereverTheyAre) {
    const auto outer = create_outer(GetParam());
    const auto a = create(kInner);
    const auto b = create(kInner);
    set(*outer, 0, a);
    set(*outer, 1, a);
    set(*outer, 2, b);
    auto listed = outer->inner_maps();
    std::sort(listed.begin(), listed.end());
    EXPECT_EQ(listed, a < b ? (std::vector{a, b}) : (std::vector{b, a}));
    EXPECT_TRUE(outer->is_inner_map(a.get(), 0));
    EXPECT_FALSE(outer->is_inner_map(outer.get(), 0));
    EXPECT_EQ(erase(*outer, u32{0}), 0);
    EXPECT_EQ(outer->inner_maps().size(), 2U) << "a is in slot 1 still";
}

TEST_P(MapOfMapsTest, InnerMemoryStateFindsTheMap) {
    const auto outer = create_outer(GetParam());
    std::vector<std::shared_ptr<Map>> inners;
    for (u32 i = 0; i < 3; ++i) {
        inners.push_back(create(kInner));
        set(*outer, i, inners.back());
    }
    for (const auto& inner : inners) {
        Map* which = nullptr;
        const std::byte* begin = inner->memory().data();
        EXPECT_EQ(outer->inner_memory_state(begin + 24, 8, {}, 0, &which), MemoryState::Ok);
        EXPECT_EQ(which, inner.get());
        EXPECT_EQ(outer->inner_memory_state(begin + 24, 9, {}, 0, &which),
                  MemoryState::OutOfBounds);
        EXPECT_EQ(outer->inner_memory_state(begin + 32, 1, {}, 0, &which), MemoryState::NotMine);
    }
    Map* which = nullptr;
    EXPECT_EQ(outer->inner_memory_state(nullptr, 1, {}, 0, &which), MemoryState::NotMine);
    EXPECT_EQ(which, nullptr);
}

TEST_P(MapOfMapsTest, AReplacedMapLivesUntilTheRunsThatMayHoldItEnd) {
    const auto outer = create_outer(GetParam());
    outer->leave_run(outer->enter_run()); // an engine takes part
    std::weak_ptr<Map> old = [&] {
        auto inner = create(kInner);
        set(*outer, 1, inner);
        return std::weak_ptr(inner);
    }();
    const u32 first = outer->enter_run();
    Map* held = find(*outer, 1);
    const u32 second = outer->enter_run();
    set(*outer, 1, create(kInner));
    EXPECT_FALSE(old.expired());
    EXPECT_TRUE(outer->is_inner_map(held, 0)) << "the run may still use it";
    EXPECT_FALSE(outer->is_inner_map(held, outer->now())) << "a run that begins now may not";
    EXPECT_EQ(outer->inner_maps().size(), 1U);
    Map* which = nullptr;
    EXPECT_EQ(outer->inner_memory_state(held->memory().data(), 8, {}, 0, &which), MemoryState::Ok);
    const u32 late = outer->enter_run(); // cannot find it any more, must not keep it alive
    outer->leave_run(first);
    EXPECT_FALSE(old.expired());
    outer->leave_run(second);
    EXPECT_TRUE(old.expired());
    EXPECT_FALSE(outer->is_inner_map(held, 0));
    outer->leave_run(late);
}

TEST_P(MapOfMapsTest, WithoutRunsReplacedMapsGoAtOnceAndWithoutAnEngineTheyStay) {
    const auto outer = create_outer(GetParam());
    auto inner = create(kInner);
    std::weak_ptr<Map> first = inner;
    set(*outer, 1, std::move(inner));
    set(*outer, 1, create(kInner));
    EXPECT_FALSE(first.expired()) << "nobody entered yet: it may be in use unseen";
    outer->leave_run(outer->enter_run());
    const u32 key = 1;
    std::weak_ptr<Map> second = outer->map(&key);
    set(*outer, 1, create(kInner));
    EXPECT_TRUE(first.expired());
    EXPECT_TRUE(second.expired());
}

TEST_P(MapOfMapsTest, AMapThatComesBackIsKept) {
    const auto outer = create_outer(GetParam());
    const auto a = create(kInner);
    const auto b = create(kInner);
    outer->leave_run(outer->enter_run());
    set(*outer, 1, a);
    const u32 one = outer->enter_run();
    set(*outer, 1, b); // a waits for `one`
    set(*outer, 1, a);
    const u32 two = outer->enter_run();
    set(*outer, 1, b); // a waits for `two` as well
    outer->leave_run(one);
    EXPECT_TRUE(outer->is_inner_map(a.get(), 0));
    outer->leave_run(two);
    EXPECT_FALSE(outer->is_inner_map(a.get(), 0));
    EXPECT_EQ(find(*outer, 1), b.get());
}

TEST_P(MapOfMapsTest, RunsUseInnerMapsWhileTheHostReplacesThem) {
    const auto outer = create_outer(GetParam());
    for (u32 i = 0; i < 3; ++i) {
        set(*outer, i, create(kInner));
    }
    std::atomic<bool> stop = false;
    std::vector<std::thread> runs;
    for (int i = 0; i < 2; ++i) {
        runs.emplace_back([&] {
            while (!stop) {
                const u32 phase = outer->enter_run();
                for (u32 key = 0; key < 3; ++key) {
                    Map* inner = find(*outer, key);
                    ASSERT_NE(inner, nullptr);
                    ASSERT_TRUE(outer->is_inner_map(inner, 0));
                    ASSERT_EQ(update(*inner, u32{3}, u64{key}), 0);
                }
                outer->leave_run(phase);
            }
        });
    }
    for (int i = 0; i < 3000; ++i) {
        ASSERT_EQ(set(*outer, u32(i) % 3, create(kInner)), 0);
    }
    stop = true;
    for (std::thread& run : runs) {
        run.join();
    }
    EXPECT_EQ(outer->inner_maps().size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, MapOfMapsTest,
                         ::testing::Values(MapType::ArrayOfMaps, MapType::HashOfMaps));

TEST(ArrayOfMaps, SetMapReturnsTheKernelsErrors) {
    const auto outer = create_outer(MapType::ArrayOfMaps);
    EXPECT_EQ(set(*outer, 3, create(kInner)), -E2BIG);
    EXPECT_EQ(set(*outer, 1, create(kInner), update_flags::kNoExist), -EINVAL);
    EXPECT_EQ(erase(*outer, u32{3}), -E2BIG);
    EXPECT_EQ(keys_of<u32>(*outer), (std::vector<u32>{0, 1, 2}));
}

TEST(HashOfMaps, SetMapReturnsTheKernelsErrors) {
    const auto outer = create_outer(MapType::HashOfMaps);
    EXPECT_EQ(set(*outer, 9, create(kInner), update_flags::kExist), -ENOENT);
    EXPECT_EQ(set(*outer, 9, create(kInner), update_flags::kNoExist), 0);
    EXPECT_EQ(set(*outer, 9, create(kInner), update_flags::kNoExist), -EEXIST);
    EXPECT_EQ(set(*outer, 9, create(kInner), 3), -EINVAL);
    EXPECT_EQ(set(*outer, 8, create(kInner)), 0);
    EXPECT_EQ(set(*outer, 7, create(kInner)), 0);
    EXPECT_EQ(set(*outer, 6, create(kInner)), -E2BIG);
    EXPECT_EQ(keys_of<u32>(*outer).size(), 3U);
    EXPECT_EQ(outer->inner_maps().size(), 3U);
}

} // namespace
} // namespace ebpfvm::testing
