// Damaged objects end in an error or a load: every truncation, and 100,000 seeded byte flips.
// Address space is limited while they load, so that a damaged size cannot ask for much.
#include "ebpfvm/ebpfvm.hpp"
#include "fuzz/touch_object.hpp"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <iterator>
#include <random>
#include <sys/resource.h>
#include <thread>
#include <vector>

namespace ebpfvm::test {
namespace {

std::vector<std::byte> read_sample() {
    std::ifstream file(EBPFVM_TEST_DATA "/elf/sample.bpf.o", std::ios::binary);
    const std::vector<char> chars(std::istreambuf_iterator<char>(file), {});
    const auto bytes = std::as_bytes(std::span(chars));
    return {bytes.begin(), bytes.end()};
}

// What a load may use besides what the process has anyway. Sanitizers reserve terabytes.
class MemoryLimit {
  public:
    MemoryLimit() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        getrlimit(RLIMIT_AS, &old_);
        const rlimit limit{.rlim_cur = rlim_t{1} << 30, .rlim_max = old_.rlim_max};
        setrlimit(RLIMIT_AS, &limit);
#endif
    }
    MemoryLimit(const MemoryLimit&) = delete;
    MemoryLimit& operator=(const MemoryLimit&) = delete;
    ~MemoryLimit() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        setrlimit(RLIMIT_AS, &old_);
#endif
    }

  private:
    rlimit old_{};
};

// True if it loads. Either way all of the result can be looked at.
bool loads(std::span<const std::byte> bytes) {
    auto object = load_elf(bytes);
    if (!object) {
        EXPECT_FALSE(object.error().message.empty());
        return false;
    }
    touch(*std::move(object));
    return true;
}

TEST(HostileInput, SampleItselfLoads) {
    EXPECT_TRUE(loads(read_sample()));
}

TEST(HostileInput, EveryTruncationIsAnError) {
    const MemoryLimit limit;
    const auto sample = read_sample();
    ASSERT_GT(sample.size(), 1000U);
    for (std::size_t size = 0; size < sample.size(); ++size) {
        // A copy of its own, so that a sanitizer sees each byte read behind it.
        const std::vector<std::byte> part(sample.begin(), sample.begin() + std::ptrdiff_t(size));
        EXPECT_FALSE(loads(part)) << size; // the section headers come last
    }
}

TEST(HostileInput, FlippedBytesEndInAnErrorOrALoad) {
    const MemoryLimit limit;
    const auto sample = read_sample();
    constexpr unsigned kFlips = 100'000;
    constexpr unsigned kThreads = 2;
    std::array<unsigned, kThreads> loaded{};
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            std::mt19937 random(thread + 1);
            for (unsigned i = 0; i < kFlips / kThreads; ++i) {
                auto damaged = sample;
                for (auto flips = 1 + random() % 3; flips > 0; --flips) {
                    damaged[random() % damaged.size()] ^= std::byte(1 + random() % 255);
                }
                loaded[thread] += loads(damaged) ? 1U : 0U;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    const unsigned total = loaded[0] + loaded[1];
    EXPECT_GT(total, 0U) << "not one damaged object loads: what is being tested?";
    EXPECT_LT(total, kFlips) << "all damaged objects load: what is being checked?";
}

} // namespace
} // namespace ebpfvm::test
