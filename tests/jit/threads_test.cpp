// Threads that compile and run at once, in all engines and without each pass, on maps that they
// share. Run it under thread sanitizer as well, which sees all but machine code.
#include "ebpfvm/ebpfvm.hpp"
#include "support/engines.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

namespace ebpfvm::test {
namespace {

constexpr std::uint32_t kKeys = 50;

// Of the map of that number, with the key at r10 - 4.
std::string lookup(unsigned map) {
    return fmt::format("r1 = map({}) ll\nr2 = r10\nr2 += -4\ncall 1\n", map);
}
std::string erase(unsigned map) {
    return fmt::format("r1 = map({}) ll\nr2 = r10\nr2 += -4\ncall 3\n", map);
}
// To the value at r10 - 16.
std::string update(unsigned map, std::uint64_t flags) {
    return fmt::format("r1 = map({}) ll\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -16\nr4 = {}\n"
                       "call 2\n",
                       map, flags);
}

// By the packet's first word: counts it in `counts`, looks it up in `recent`, which has no room for
// all, and has it come and go in `guests`. 5050 if it was counted.
std::string program_text() {
    return "r2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +4)\nr4 = r2\nr4 += 4\nr0 = 0\n"
           "if r4 > r3 goto out\nr6 = *(u32 *)(r2 +0)\n*(u32 *)(r10 -4) = r6\n"
           "*(u64 *)(r10 -16) = 0\nr7 = 2\n"
           "again:\n" +
           lookup(0) + "if r0 != 0 goto count\n" + update(0, 1) +
           "r7 += -1\nif r7 != 0 goto again\nr0 = 0\ngoto out\n"
           "count:\nr1 = 1\nlock *(u64 *)(r0 +0) += r1\n" +
           lookup(1) + "if r0 != 0 goto guests\n" + update(1, 0) + "guests:\n" + update(2, 0) +
           erase(2) + "r0 = 0\nr1 = 100\nsum: r0 += r1\nr1 += -1\nif r1 != 0 goto sum\nout: exit";
}

Object counting_object() {
    const auto spec = [](const char* name, MapType type, std::uint32_t max_entries) {
        return MapSpec{
            .name = name, .type = type, .key_size = 4, .value_size = 8, .max_entries = max_entries};
    };
    return Object::from_insns("test", ProgType::Xdp, assemble(program_text()).value(),
                              {spec("counts", MapType::Hash, kKeys),
                               spec("recent", MapType::LruHash, kKeys / 2),
                               spec("guests", MapType::Hash, 4)});
}

// Everything that threads share.
class Shared {
  public:
    Shared() {
        for (const MapSpec& spec : object_.maps()) {
            maps_.emplace(spec.name, create_map(spec, {.cpus = 2}).value());
        }
        for (const EngineChoice& choice : choices_) {
            programs_.push_back(load(vm_, choice));
        }
    }

    // Loads, runs and drops programs. Every other one comes from the Vm that all threads share, and
    // with it the memory that its machine code lies in.
    void work(std::uint32_t thread) {
        Vm own({.cpus = 2});
        for (std::uint32_t i = 0; i < 10 * choices_.size(); ++i) {
            const EngineChoice& choice = choices_[(i + thread) % choices_.size()];
            const Executable mine = i % 2 == 0 ? load(own, choice) : load_shared(choice);
            for (std::uint32_t run = 0; run < kKeys; ++run) {
                count(mine, (run * 7 + thread) % kKeys);
                count(programs_[(i + run) % programs_.size()], run);
            }
        }
    }

    void expect_all_counted() {
        Map& counts = *maps_.at("counts");
        std::uint64_t total = 0;
        for (std::uint32_t key = 0; key < kKeys; ++key) {
            std::uint64_t value = 0;
            EXPECT_EQ(counts.copy_elem(&key, &value, {}), 0) << key;
            total += value;
        }
        EXPECT_GT(total, 0U);
        EXPECT_EQ(total, runs_.load());
    }

  private:
    Executable load(Vm& vm, const EngineChoice& choice) const {
        LoadOptions options = choice.options(ExecMode::Verified);
        options.maps = maps_;
        auto module = vm.load(object_, options);
        EXPECT_TRUE(module) << to_string(module.error());
        Executable program = module->programs().front();
        EXPECT_EQ(program.engine(), choice.engine);
        return program;
    }
    Executable load_shared(const EngineChoice& choice) {
        const std::lock_guard lock(mutex_);
        return load(vm_, choice);
    }
    void count(const Executable& program, std::uint32_t key) {
        std::array<std::byte, 64> packet{};
        std::memcpy(packet.data(), &key, sizeof key);
        XdpCtx ctx{.packet = Packet::in(packet, packet)};
        const RunResult result = program.run(ctx);
        EXPECT_FALSE(result.fault);
        EXPECT_EQ(result.r0, 5050U);
        runs_.fetch_add(1, std::memory_order_relaxed);
    }

    const Object object_ = counting_object();
    const std::vector<EngineChoice> choices_ = all_choices();
    std::map<std::string, std::shared_ptr<Map>, std::less<>> maps_{};
    std::mutex mutex_;
    Vm vm_{{.cpus = 2}};
    std::vector<Executable> programs_{};
    std::atomic<std::uint64_t> runs_ = 0;
};

TEST(Threads, CompileAndRunInAllEnginesOnTheSameMaps) {
    Shared shared;
    {
        std::vector<std::jthread> threads;
        for (std::uint32_t thread = 0; thread < 4; ++thread) {
            threads.emplace_back([&shared, thread] { shared.work(thread); });
        }
    }
    shared.expect_all_counted();
}

} // namespace
} // namespace ebpfvm::test
