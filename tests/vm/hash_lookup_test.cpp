// Lookups in hash maps, which engines make without calling the helper: the same as the map's own.
#include "support/engines.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <ucontext.h>

namespace ebpfvm::test {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u32 kCpus = 2;
constexpr u32 kKeys = 250;    // keys that tests know, all different even if of one byte
constexpr u32 kPresent = 200; // those of them that are in the map; some share a bucket

template <class T>
T must(Expected<T> value) {
    EXPECT_TRUE(value) << (value ? "" : to_string(value.error()));
    return std::move(value).value();
}

std::vector<std::byte> key_of(u32 number, u32 size) {
    std::vector<std::byte> key(size);
    for (u32 i = 0; i < size; ++i) {
        key[i] = std::byte(number * (2 * i + 1) + i);
    }
    return key;
}

// What is to be found under the key.
u64 value_of(u32 number, u32 cpu) {
    return 1000 + 10 * u64{number} + cpu;
}

// r0 = the value of the key that the packet begins with, or 7. The key gets to the stack in pieces
// of `piece` bytes, and one of what is left.
std::string lookup_of(u32 key_size, u32 piece) {
    std::string text = fmt::format("r2 = *(u32 *)(r1 +0)\nr3 = *(u32 *)(r1 +4)\nr0 = 0\nr4 = r2\n"
                                   "r4 += {}\nif r4 > r3 goto out\n",
                                   key_size);
    const u32 begin = (key_size + 7) / 8 * 8;
    for (u32 i = 0; i < key_size;) {
        u32 bytes = piece;
        while (i + bytes > key_size) {
            bytes /= 2;
        }
        text += fmt::format("r4 = *(u{0} *)(r2 +{1})\n*(u{0} *)(r10 -{2}) = r4\n", 8 * bytes, i,
                            begin - i);
        i += bytes;
    }
    return text + fmt::format("r2 = r10\nr2 += -{}\nr1 = map(0) ll\ncall 1\nif r0 == 0 goto none\n"
                              "r0 = *(u64 *)(r0 +0)\nexit\nnone: r0 = 7\nout: exit",
                              begin);
}

struct Case {
    EngineChoice choice;
    MapType type;
    u32 key_size;
};

void PrintTo(const Case& test, std::ostream* out) {
    *out << text_of(test.choice) << ' ' << name_of(test.type) << ' ' << test.key_size;
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
    std::string name = fmt::format("{}_{}_{}", text_of(info.param.choice), name_of(info.param.type),
                                   info.param.key_size);
    return name;
}

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    for (const EngineChoice& choice : all_choices()) {
        for (const MapType type :
             {MapType::Hash, MapType::LruHash, MapType::PercpuHash, MapType::LruPercpuHash}) {
            for (const u32 key_size : {1U, 2U, 3U, 4U, 7U, 8U, 12U, 15U, 16U, 17U, 40U}) {
                cases.push_back({choice, type, key_size});
            }
        }
    }
    return cases;
}

class HashLookup : public testing::TestWithParam<Case> {
  protected:
    explicit HashLookup(u32 max_entries = kPresent) {
        spec_.name = "test";
        spec_.type = GetParam().type;
        spec_.key_size = GetParam().key_size;
        spec_.value_size = 8;
        spec_.max_entries = max_entries;
    }

    void load(u32 piece = 1) {
        const std::string text = lookup_of(spec_.key_size, piece);
        const Object object =
            Object::from_insns("test", ProgType::Xdp, must(assemble(text)), {spec_});
        LoadOptions options = GetParam().choice.options(ExecMode::Verified);
        options.maps = maps_;
        module_.emplace(must(vm_.load(object, options)));
    }
    Map& map() { return *module_->maps().front(); }
    void insert(u32 number) {
        const auto key = key_of(number, spec_.key_size);
        for (u32 cpu = 0; cpu < map().cpus(); ++cpu) {
            const u64 value = value_of(number, cpu);
            ASSERT_EQ(map().update_elem(key.data(), &value, 0, {.cpu = cpu}), 0);
        }
    }
    u64 run(u32 number, u32 cpu = 0) {
        std::array<std::byte, 64> bytes{};
        std::ranges::copy(key_of(number, spec_.key_size), bytes.begin());
        return run_on(bytes, cpu);
    }
    u64 run_on(std::span<std::byte> bytes, u32 cpu = 0) {
        XdpCtx ctx{.packet = Packet::in(bytes, bytes)};
        const RunResult result = module_->programs().front().run(ctx, {.cpu = std::int32_t(cpu)});
        EXPECT_FALSE(result.fault);
        return result.r0;
    }
    [[nodiscard]] u64 expected(u32 number, u32 cpu) {
        return number < kPresent ? value_of(number, map().cpus() > 1 ? cpu : 0) : 7;
    }
    void expect_all() {
        for (u32 cpu = 0; cpu < kCpus; ++cpu) {
            for (u32 number = 0; number < kKeys; ++number) {
                ASSERT_EQ(run(number, cpu), expected(number, cpu)) << number << " cpu " << cpu;
            }
        }
    }

    Vm vm_{{.cpus = kCpus}};
    MapSpec spec_{};
    std::map<std::string, std::shared_ptr<Map>, std::less<>> maps_{};
    std::optional<Module> module_{};
};

TEST_P(HashLookup, FindsWhatIsThere) {
    for (const u32 piece : {1U, 2U, 4U, 8U}) {
        load(piece);
        EXPECT_EQ(run(0), 7U); // the map is empty
        for (u32 number = 0; number < kPresent; ++number) {
            insert(number);
        }
        expect_all();
    }
}

TEST_P(HashLookup, FindsWhatIsLeftOfAChain) {
    load();
    for (u32 number = 0; number < kPresent; ++number) {
        insert(number);
    }
    for (u32 number = 0; number < kPresent; number += 2) {
        const auto key = key_of(number, spec_.key_size);
        ASSERT_EQ(map().delete_elem(key.data(), {}), 0);
    }
    for (u32 number = 0; number < kPresent; ++number) {
        EXPECT_EQ(run(number), number % 2 == 0 ? 7 : expected(number, 0)) << number;
    }
}

// Of a Vm with fewer CPUs than this one.
TEST_P(HashLookup, FindsNothingWithoutACopyForItsCpu) {
    const auto small = must(create_map(spec_, {.cpus = 1}));
    maps_ = {{"test", small}};
    load();
    const auto key = key_of(0, spec_.key_size);
    const u64 value = value_of(0, 0);
    ASSERT_EQ(small->update_elem(key.data(), &value, 0, {}), 0);
    const bool is_per_cpu =
        spec_.type == MapType::PercpuHash || spec_.type == MapType::LruPercpuHash;
    EXPECT_EQ(run(0, 0), value);
    EXPECT_EQ(run(0, 1), is_per_cpu ? 7 : value);
}

TEST_P(HashLookup, KeepsWhatItFindsInAnLruMap) {
    if (spec_.type != MapType::LruHash && spec_.type != MapType::LruPercpuHash) {
        return;
    }
    constexpr u32 kRoom = 100;
    spec_.max_entries = kRoom;
    load();
    for (u32 number = 0; number < kRoom; ++number) {
        insert(number);
    }
    // Per-cpu values are set one after the other, and only the first makes the element.
    for (u32 number = 0; number < kRoom; number += 2) {
        EXPECT_EQ(run(number), value_of(number, 0));
        EXPECT_EQ(run(number), value_of(number, 0));
    }
    for (u32 number = kRoom; number < kRoom + kRoom / 2; ++number) {
        insert(number);
    }
    for (u32 number = 0; number < kRoom; ++number) {
        EXPECT_EQ(run(number), number % 2 == 0 ? value_of(number, 0) : 7) << number;
    }
}

// Others insert and delete all the time: chains change while they are walked, and elements move
// from one to another.
TEST_P(HashLookup, FindsWhatStaysWhileOthersComeAndGo) {
    load();
    constexpr u32 kStay = 20;
    constexpr u32 kOthers = 150;
    for (u32 number = 0; number < kStay; ++number) {
        insert(number);
    }
    std::atomic<bool> stop = false;
    std::thread other([&] {
        for (u32 i = 0; !stop; ++i) {
            const u32 number = kStay + i % kOthers;
            const auto key = key_of(number, spec_.key_size);
            const u64 value = value_of(number, 0);
            (void)map().update_elem(key.data(), &value, 0, {});
            const auto old = key_of(kStay + (i + kOthers / 2) % kOthers, spec_.key_size);
            (void)map().delete_elem(old.data(), {});
        }
    });
    for (u32 i = 0; i < 20'000; ++i) {
        const u32 number = i % (2 * kStay);
        const u64 found = run(number);
        if (number < kStay) {
            EXPECT_EQ(found, value_of(number, 0));
        } else if (found != 7) { // between lookup and load, its element may have become another's
            EXPECT_GE(found, value_of(kStay, 0));
            EXPECT_LT(found, value_of(kStay + kOthers, 0));
        }
    }
    stop = true;
    other.join();
}

#if EBPFVM_HAS_JIT
// Runs something and, behind its `at`th insn, something else.
class Interrupted {
  public:
    Interrupted(unsigned at, std::function<void()> act) : left_(at), act_(std::move(act)) {
        struct sigaction action {};
        action.sa_sigaction = on_trap;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGTRAP, &action, &old_);
        current = this;
    }
    Interrupted(const Interrupted&) = delete;
    Interrupted& operator=(const Interrupted&) = delete;
    ~Interrupted() {
        current = nullptr;
        sigaction(SIGTRAP, &old_, nullptr);
    }

    // False if it was over before.
    template <class Run>
    bool run(const Run& run) {
        asm volatile("sub $128, %%rsp\npushfq\norq $0x100, (%%rsp)\npopfq\nadd $128, %%rsp" ::
                         : "memory", "cc");
        run();
        asm volatile("sub $128, %%rsp\npushfq\nandq $~0x100, (%%rsp)\npopfq\nadd $128, %%rsp" ::
                         : "memory", "cc");
        return left_ == 0;
    }

  private:
    static void on_trap(int, siginfo_t*, void* context) {
        if (current->left_ == 0 || --current->left_ != 0) {
            return;
        }
        current->act_();
        static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~0x100LL;
    }

    static inline Interrupted* current = nullptr;
    unsigned left_;
    std::function<void()> act_;
    struct sigaction old_ {};
};

// At any insn (traps are slow: a tenth of them for each key, and with all passes only) everything
// else in the map goes, and what takes its place is in other chains.
TEST_P(HashLookup, FindsWhatStaysWheneverOthersComeAndGo) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "thread sanitizer puts signals off: single steps would never end";
#endif
    const bool is_frequent = spec_.key_size == 4 || spec_.key_size == 16;
    const bool is_whole =
        GetParam().choice.engine == Engine::Jit && GetParam().choice.without_passes.empty();
    if (!is_whole || spec_.type != MapType::Hash || !is_frequent) {
        return;
    }
    constexpr u32 kStay = 10;
    constexpr u32 kOthers = 50;
    spec_.max_entries = 64;
    load();
    for (u32 number = 0; number < kStay; ++number) {
        insert(number);
    }
    std::vector<std::vector<std::byte>> keys; // signal handlers must not allocate
    for (u32 number = 0; number < kStay + 2 * kOthers; ++number) {
        keys.push_back(key_of(number, spec_.key_size));
    }
    u32 first = kStay; // of the others in the map
    const auto replace_others = [&] {
        for (unsigned round = 0; round < 4; ++round) {
            for (u32 i = 0; i < kOthers; ++i) {
                (void)map().delete_elem(keys[first + i].data(), {});
            }
            first = first == kStay ? kStay + kOthers : kStay;
            for (u32 i = 0; i < kOthers; ++i) {
                const u64 value = value_of(first + i, 0);
                (void)map().update_elem(keys[first + i].data(), &value, 0, {});
            }
        }
    };
    for (u32 number = 0; number < kStay; ++number) {
        std::array<std::byte, 64> packet{};
        std::ranges::copy(keys[number], packet.begin());
        bool was_interrupted = true;
        for (unsigned at = 1 + number; was_interrupted; at += kStay) {
            u64 found = 0;
            was_interrupted = Interrupted(at, replace_others).run([&] { found = run_on(packet); });
            ASSERT_EQ(found, value_of(number, 0)) << number << " at " << at;
        }
    }
}
#endif

INSTANTIATE_TEST_SUITE_P(On, HashLookup, testing::ValuesIn(all_cases()), name_of_case);

} // namespace
} // namespace ebpfvm::test
