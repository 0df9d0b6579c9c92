#include "map_fixture.hpp"
#include "maps/prog_array_map.hpp"

#include <atomic>
#include <cerrno>
#include <thread>

namespace ebpfvm::testing {
namespace {

using u32 = std::uint32_t;

std::shared_ptr<maps::ProgArrayMap> as_prog_array(const std::shared_ptr<Map>& map) {
    return std::static_pointer_cast<maps::ProgArrayMap>(map);
}

// Stands for an engine's program: it keeps a map alive.
struct Program {
    std::shared_ptr<Map> uses;
};

TEST(ProgArrayMap, SlotsAreSetReadAndCleared) {
    const auto map = create(MapType::ProgArray, 4, 4, 2);
    auto array = as_prog_array(map);
    const auto program = std::make_shared<const int>(7);
    EXPECT_EQ(array->prog(0), nullptr);
    EXPECT_EQ(array->set_prog(0, program), 0);
    EXPECT_EQ(array->prog(0), program);
    EXPECT_EQ(array->set_prog(2, program), -E2BIG);
    EXPECT_EQ(array->prog(2), nullptr);
    EXPECT_EQ(array->set_prog(1, nullptr), -EINVAL);
    EXPECT_EQ(erase(*map, u32{0}), 0);
    EXPECT_EQ(erase(*map, u32{0}), -ENOENT);
    EXPECT_EQ(erase(*map, u32{2}), -E2BIG);
    EXPECT_EQ(array->prog(0), nullptr);
    EXPECT_EQ(keys_of<u32>(*map), (std::vector<u32>{0, 1}));
    map->freeze();
    EXPECT_EQ(array->set_prog(0, program), -EPERM);
    EXPECT_EQ(erase(*map, u32{0}), -EPERM);
}

TEST(ProgArrayMap, ProgramsCanNeitherReadNorChangeIt) {
    const auto map = create(MapType::ProgArray, 4, 4, 2);
    as_prog_array(map)->set_prog(0, std::make_shared<const int>(7));
    const int run = 0;
    EXPECT_EQ(lookup<u32>(*map, u32{0}), nullptr);
    EXPECT_EQ(update(*map, u32{0}, u32{5}), -EINVAL);
    EXPECT_EQ(erase(*map, u32{0}, {.run = &run}), -EINVAL);
    EXPECT_NE(as_prog_array(map)->prog(0), nullptr);
}

TEST(ProgArrayMap, TheLastUserHandleEmptiesItAndBreaksTheCycle) {
    std::weak_ptr<const void> program;
    std::weak_ptr<Map> core;
    {
        std::shared_ptr<Map> user = create(MapType::ProgArray, 4, 4, 2);
        core = user->shared_from_this();
        auto owner = std::make_shared<const Program>(Program{user->shared_from_this()});
        program = owner;
        as_prog_array(user)->set_prog(0, std::move(owner));
        EXPECT_FALSE(program.expired()) << "held by the slot";
        const std::shared_ptr<Map> second_user = user;
        user.reset();
        EXPECT_FALSE(program.expired()) << "there is another user handle";
    }
    EXPECT_TRUE(program.expired());
    EXPECT_TRUE(core.expired());
}

TEST(ProgArrayMap, AProgramKeepsTheArrayAliveButNotFilled) {
    std::shared_ptr<Map> user = create(MapType::ProgArray, 4, 4, 2);
    as_prog_array(user)->set_prog(1, std::make_shared<const int>(7));
    const Program program{user->shared_from_this()};
    user.reset();
    EXPECT_EQ(as_prog_array(program.uses)->prog(1), nullptr);
    EXPECT_EQ(program.uses->spec().max_entries, 2U);
}

TEST(ProgArrayMap, ReplacementIsSafeWhileOthersJump) {
    const auto map = create(MapType::ProgArray, 4, 4, 1);
    auto array = as_prog_array(map);
    array->set_prog(0, std::make_shared<const std::vector<int>>(100, 0));
    std::atomic<bool> stop = false;
    std::vector<std::thread> jumpers;
    for (int i = 0; i < 2; ++i) {
        jumpers.emplace_back([&] {
            while (!stop) {
                const auto prog = array->prog(0);
                const auto& content = *static_cast<const std::vector<int>*>(prog.get());
                ASSERT_EQ(content.front(), content.back());
            }
        });
    }
    for (int i = 0; i < 20000; ++i) {
        array->set_prog(0, std::make_shared<const std::vector<int>>(100, i));
    }
    stop = true;
    for (std::thread& jumper : jumpers) {
        jumper.join();
    }
}

} // namespace
} // namespace ebpfvm::testing
