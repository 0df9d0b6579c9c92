// The same operations on our maps and on this kernel's: equal results, values and contents. Order
// of keys and the choice of LRU victims are free. Needs the bpf(2) system call (root, no lockdown).
#include "map_fixture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <linux/bpf.h>
#include <random>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

namespace ebpfvm::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using Bytes = std::vector<std::byte>;

/// Copies of a value in the kernel's per-cpu maps.
u32 possible_cpus() {
    std::ifstream file("/sys/devices/system/cpu/possible"); // "0-1", or "0"
    std::string text;
    file >> text;
    return text.empty() ? 1 : u32(std::stoul(text.substr(text.find_last_of("-,") + 1))) + 1;
}

bool is_per_cpu(MapType type) {
    return type == MapType::PercpuHash || type == MapType::PercpuArray ||
           type == MapType::LruPercpuHash;
}

class KernelMap {
  public:
    explicit KernelMap(const MapSpec& spec) {
        bpf_attr attr = {};
        attr.map_type = u32(spec.type);
        attr.key_size = spec.key_size;
        attr.value_size = spec.value_size;
        attr.max_entries = spec.max_entries;
        attr.map_flags = spec.flags;
        fd_ = int(::syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
        error_ = fd_ < 0 ? -errno : 0;
    }
    KernelMap(const KernelMap&) = delete;
    KernelMap& operator=(const KernelMap&) = delete;
    ~KernelMap() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }

    [[nodiscard]] int error() const { return error_; }
    int lookup(const void* key, void* value) const {
        return call(BPF_MAP_LOOKUP_ELEM, key, value, 0);
    }
    int update(const void* key, const void* value, u64 flags) const {
        return call(BPF_MAP_UPDATE_ELEM, key, value, flags);
    }
    int erase(const void* key) const { return call(BPF_MAP_DELETE_ELEM, key, nullptr, 0); }
    int next_key(const void* key, void* next) const {
        return call(BPF_MAP_GET_NEXT_KEY, key, next, 0);
    }

  private:
    int call(int command, const void* key, const void* value, u64 flags) const {
        bpf_attr attr = {};
        attr.map_fd = u32(fd_);
        attr.key = reinterpret_cast<u64>(key);
        attr.value = reinterpret_cast<u64>(value);
        attr.flags = flags;
        return ::syscall(SYS_bpf, command, &attr, sizeof(attr)) < 0 ? -errno : 0;
    }

    int fd_ = -1;
    int error_ = 0;
};

/// One map of each kind, driven side by side. Values are those of all cpus, as the system call
/// wants them: each rounded up to 8 bytes in per-cpu maps.
class Pair {
  public:
    Pair(const MapSpec& spec, u32 cpus)
        : spec_(spec), cpus_(is_per_cpu(spec.type) ? cpus : 1),
          stride_(is_per_cpu(spec.type) ? (spec.value_size + 7U) / 8 * 8 : spec.value_size),
          kernel_(spec), ours_(create(spec, {.cpus = cpus})) {}

    [[nodiscard]] std::size_t value_bytes() const { return std::size_t{cpus_} * stride_; }

    void update(const Bytes& key, const Bytes& value, u64 flags) {
        const int expected = kernel_.update(key.data(), value.data(), flags);
        int found = 0;
        for (u32 cpu = 0; cpu < cpus_ && found == 0; ++cpu) {
            found = ours_->update_elem(key.data(), value.data() + cpu * stride_,
                                       cpu == 0 ? flags : update_flags::kAny, {.cpu = cpu});
        }
        ASSERT_EQ(found, expected) << "update, flags " << flags;
    }
    void erase(const Bytes& key) {
        const int expected = kernel_.erase(key.data());
        ASSERT_EQ(ours_->delete_elem(key.data(), {}), expected) << "delete";
    }
    void lookup(const Bytes& key) {
        Bytes expected(value_bytes());
        Bytes found(value_bytes());
        const int result = kernel_.lookup(key.data(), expected.data());
        for (u32 cpu = 0; cpu < cpus_; ++cpu) {
            ASSERT_EQ(ours_->copy_elem(key.data(), found.data() + cpu * stride_, {.cpu = cpu}),
                      result);
            const void* value = ours_->lookup_elem(key.data(), {.cpu = cpu});
            ASSERT_EQ(value != nullptr, result == 0);
            if (value != nullptr) {
                ASSERT_EQ(std::memcmp(value, found.data() + cpu * stride_, spec_.value_size), 0);
            }
        }
        ASSERT_EQ(found, expected) << "lookup";
    }
    // The result of asking for the key after `key`; which key that is only arrays have in common.
    void next_key(const Bytes& key, bool exists) {
        Bytes expected(spec_.key_size);
        Bytes found(spec_.key_size);
        const int result = kernel_.next_key(key.data(), expected.data());
        const int ours = ours_->get_next_key(key.data(), found.data());
        if (spec_.type == MapType::Array || spec_.type == MapType::PercpuArray) {
            ASSERT_EQ(ours, result);
            ASSERT_EQ(found, expected);
        } else if (!exists) {
            ASSERT_EQ(ours, result) << "the first key";
        }
    }
    void same_keys() {
        std::vector<Bytes> expected;
        Bytes key(spec_.key_size);
        for (int result = kernel_.next_key(nullptr, key.data()); result == 0;
             result = kernel_.next_key(expected.back().data(), key.data())) {
            expected.push_back(key);
        }
        std::vector<Bytes> found;
        ours_->for_each_key([&found](std::span<const std::byte> bytes) {
            found.emplace_back(bytes.begin(), bytes.end());
            return true;
        });
        std::sort(expected.begin(), expected.end());
        std::sort(found.begin(), found.end());
        ASSERT_EQ(found, expected);
    }
    [[nodiscard]] bool exists(const Bytes& key) const {
        return ours_->lookup_elem(key.data(), {}) != nullptr;
    }

  private:
    MapSpec spec_;
    u32 cpus_;
    u32 stride_;
    KernelMap kernel_;
    std::shared_ptr<Map> ours_;
};

struct Case {
    MapSpec spec;
    u32 keys; // how many different ones are used
};

std::string to_string(const Case& test) {
    const MapSpec& spec = test.spec;
    return fmt::format("{}_k{}_v{}_n{}_f{}", name_of(spec.type), spec.key_size, spec.value_size,
                       spec.max_entries, spec.flags);
}

void PrintTo(const Case& test, std::ostream* out) {
    *out << to_string(test);
}

class KernelMaps : public ::testing::TestWithParam<Case> {};

TEST_P(KernelMaps, GiveTheSameResults) {
    const auto& [spec, key_count] = GetParam();
    const KernelMap probe(spec);
    if (probe.error() == -EPERM || probe.error() == -ENOSYS) {
        GTEST_SKIP() << "the kernel does not let us create maps: " << std::strerror(-probe.error());
    }
    ASSERT_EQ(probe.error(), 0);
    Pair maps(spec, possible_cpus());
    std::mt19937 random(spec.key_size * 131 + spec.value_size);
    for (int step = 0; step < 4000; ++step) {
        Bytes key(spec.key_size, std::byte{0x5a});
        const u32 number = u32(random()) % key_count;
        std::memcpy(key.data(), &number, std::min<std::size_t>(4, key.size()));
        switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
            Bytes value(maps.value_bytes());
            // Padding between the copies for cpus must stay zero to be comparable.
            for (std::size_t off = 0; off < value.size(); ++off) {
                const bool is_padding = is_per_cpu(spec.type) &&
                                        off % ((spec.value_size + 7U) / 8 * 8) >= spec.value_size;
                value[off] = is_padding ? std::byte{0} : std::byte(random());
            }
            constexpr u64 kFlags[] = {0, 0, 0, 1, 2, 3, 4, u64{1} << 32U};
            maps.update(key, value, kFlags[random() % std::size(kFlags)]);
            break;
        }
        case 3:
            maps.erase(key);
            break;
        case 4:
            maps.next_key(key, maps.exists(key));
            break;
        default:
            maps.lookup(key);
        }
        if (HasFatalFailure()) {
            FAIL() << "at step " << step << ", key " << number;
        }
    }
    maps.same_keys();
}

std::vector<Case> cases() {
    constexpr u32 kNoPrealloc = map_flags::kNoPrealloc;
    std::vector<Case> result;
    for (const auto& [key_size, value_size] :
         {std::pair{4U, 8U}, {8U, 16U}, {1U, 1U}, {7U, 3U}, {16U, 100U}, {33U, 20U}}) {
        result.push_back({spec_of(MapType::Hash, key_size, value_size, 50), 80});
        result.push_back({spec_of(MapType::Hash, key_size, value_size, 50, kNoPrealloc), 80});
        result.push_back({spec_of(MapType::PercpuHash, key_size, value_size, 50), 80});
        // Fewer keys than the kernel's per-cpu free lists make it evict early for.
        result.push_back({spec_of(MapType::LruHash, key_size, value_size, 2048), 80});
        result.push_back({spec_of(MapType::LruPercpuHash, key_size, value_size, 2048), 80});
    }
    for (const u32 value_size : {1U, 4U, 8U, 12U, 333U}) {
        result.push_back({spec_of(MapType::Array, 4, value_size, 20), 24});
        result.push_back({spec_of(MapType::PercpuArray, 4, value_size, 20), 24});
    }
    result.push_back({spec_of(MapType::Hash, 4, 8, 1), 3});
    result.push_back({spec_of(MapType::Array, 4, 8, 1), 3});
    return result;
}

INSTANTIATE_TEST_SUITE_P(Random, KernelMaps, ::testing::ValuesIn(cases()),
                         [](const auto& each) { return to_string(each.param); });

// Which definitions are accepted: all flags one by one, and sizes around the limits.
TEST(KernelMaps, AcceptTheSameDefinitions) {
    if (const KernelMap probe(spec_of(MapType::Array, 4, 4, 1)); probe.error() != 0) {
        GTEST_SKIP() << "the kernel does not let us create maps: " << std::strerror(-probe.error());
    }
    std::vector<MapSpec> specs;
    for (const MapType type :
         {MapType::Hash, MapType::Array, MapType::ProgArray, MapType::PercpuHash,
          MapType::PercpuArray, MapType::LruHash, MapType::LruPercpuHash, MapType::Ringbuf}) {
        const MapSpec base = type == MapType::Ringbuf     ? spec_of(type, 0, 0, 4096)
                             : type == MapType::ProgArray ? spec_of(type, 4, 4, 8)
                                                          : spec_of(type, 4, 8, 8);
        specs.push_back(base);
        for (u32 bit = 0; bit < 32; ++bit) {
            // Flags that need more than a map: stack traces, BTF, tokens and the like.
            if (bit != 5 && bit < 14) {
                specs.push_back(base);
                specs.back().flags = 1U << bit;
            }
        }
        for (const u32 flags : {map_flags::kRdonlyProg | map_flags::kWronlyProg,
                                map_flags::kRdonly | map_flags::kRdonlyProg}) {
            specs.push_back(base);
            specs.back().flags = flags;
        }
        for (const u32 size : {0U, 1U, 4U, 8U, 512U, 513U, 32768U, 32769U, 5U << 20U}) {
            specs.push_back(base);
            specs.back().key_size = size;
            specs.push_back(base);
            specs.back().value_size = size;
        }
        for (const u32 entries : {0U, 1U, 2048U, 8192U, 12288U}) {
            specs.push_back(base);
            specs.back().max_entries = entries;
        }
    }
    for (const MapSpec& spec : specs) {
        // rdonly and wronly together fail when the kernel makes the descriptor, not the map.
        const KernelMap kernel(spec);
        const auto ours = create_map(spec);
        EXPECT_EQ(ours.has_value(), kernel.error() == 0) << fmt::format(
            "{} key_size={} value_size={} max_entries={} flags={:#x}: kernel says {}",
            name_of(spec.type), spec.key_size, spec.value_size, spec.max_entries, spec.flags,
            kernel.error());
    }
}

} // namespace
} // namespace ebpfvm::testing
