#include "helpers/helpers.hpp"
#include "test_call.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace ebpfvm::testing {
namespace {

void no_release(std::byte*) {}

TEST(CallContext, GrantsAreKeptUntilTheyAreRevoked) {
    TestCall call;
    std::array<std::byte, 100> memory{};
    for (std::size_t i = 0; i < 64; ++i) {
        EXPECT_TRUE(call.grant({&memory[i], 1}, Access::Read));
    }
    EXPECT_FALSE(call.grant({&memory[64], 1}, Access::Read));
    EXPECT_FALSE(call.grant_ref({&memory[64], 1}, Access::Read, no_release));
    EXPECT_TRUE(call.revoke(&memory[3]));
    EXPECT_FALSE(call.revoke(&memory[3]));
    EXPECT_TRUE(call.grant_ref({&memory[64], 5}, Access::ReadWrite, no_release));
    EXPECT_EQ(call.grants().size(), 64U);
    const CallContext::Grant& last = call.grants().back();
    EXPECT_EQ(last.begin, &memory[64]);
    EXPECT_EQ(last.size, 5U);
    EXPECT_EQ(last.access, Access::ReadWrite);
    EXPECT_EQ(last.release, &no_release);
    EXPECT_EQ(call.grants().front().release, nullptr);
}

TEST(CallContext, RandomNumbersRepeatWithAFixedSeedAndDifferWithout) {
    const auto first_numbers = [](std::uint64_t seed) {
        TestCall call({.random_seed = seed});
        std::array<std::uint32_t, 4> numbers{};
        for (std::uint32_t& number : numbers) {
            number = call.random_u32();
        }
        return numbers;
    };
    EXPECT_EQ(first_numbers(1), first_numbers(1));
    EXPECT_NE(first_numbers(1), first_numbers(2));
    EXPECT_NE(first_numbers(0), first_numbers(0)) << "each run has a seed of its own";
    TestCall call;
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1000; ++i) {
        seen.insert(helpers::get_prandom_u32(call, 0, 0, 0, 0, 0));
    }
    EXPECT_GE(seen.size(), 990U);
    EXPECT_LE(*seen.rbegin(), 0xffff'ffffU);
}

TEST(CallContext, TimeComesFromTheEnvironmentOrTheHost) {
    TestCall fixed({.clock = [] { return std::uint64_t{42}; }});
    EXPECT_EQ(helpers::ktime_get_ns(fixed, 0, 0, 0, 0, 0), 42U);
    TestCall host;
    const std::uint64_t first = host.now_ns();
    EXPECT_GT(first, 0U);
    EXPECT_GE(host.now_ns(), first);
}

TEST(CallContext, ProcessorIdIsThatOfTheRun) {
    TestCall call;
    call.set_cpu(3);
    EXPECT_EQ(helpers::get_smp_processor_id(call, 0, 0, 0, 0, 0), 3U);
}

} // namespace
} // namespace ebpfvm::testing
