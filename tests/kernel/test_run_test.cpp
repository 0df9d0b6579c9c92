// Every example program on every packet of a generated capture, here and in the running kernel
// (BPF_PROG_TEST_RUN): return value, packet, __sk_buff and all maps must be the same afterwards.
#include "ebpfvm/vm.hpp"
#include "kernel/kernel_object.hpp"
#include "kernel/pcap.hpp"
#include "kernel/test_packet.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <sched.h>
#include <set>

namespace ebpfvm::test {
namespace {

// What makes an example different from the rest.
struct Special {
    std::string object;
    std::size_t max_packets; ///< 0: all
    std::string reason;
};
const std::vector<Special> kSpecial{
    {"xdp_sample", 200, "each sample is a line in the kernel's trace log"},
};

// Part of a map's values, or of a ringbuf's records, that depends on the clock.
struct Ignored {
    std::string object, map;
    std::size_t off, size;
};
const std::vector<Ignored> kIgnored{
    {"xdp_ringbuf_events", "events", 0, 8}, // time_ns
    {"xdp_sample", "last_sample", 0, 8},    // ktime_get_ns()
};

// Longest frame whose test run is one piece: a page less headroom and skb_shared_info.
constexpr std::size_t kMaxFrame = 3400;
constexpr std::size_t kMaxReports = 5;

std::string hex(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) {
        text += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
    }
    return text;
}

// "kernel 01 at byte 3, ebpfvm 02": where two byte strings part.
std::string difference(std::span<const std::byte> kernel, std::span<const std::byte> ours) {
    if (kernel.size() != ours.size()) {
        return fmt::format("kernel {} bytes, ebpfvm {}", kernel.size(), ours.size());
    }
    const std::size_t at = std::size_t(std::ranges::mismatch(kernel, ours).in1 - kernel.begin());
    const std::size_t size = std::min<std::size_t>(kernel.size() - at, 16);
    return fmt::format("from byte {} of {}: kernel {}, ebpfvm {}", at, kernel.size(),
                       hex(kernel.subspan(at, size)), hex(ours.subspan(at, size)));
}

// Keeps this thread, and so the programs that the kernel runs for it, on CPU 0.
class PinnedToCpu0 {
  public:
    PinnedToCpu0() {
        sched_getaffinity(0, sizeof(before_), &before_);
        cpu_set_t first;
        CPU_ZERO(&first);
        CPU_SET(0, &first);
        sched_setaffinity(0, sizeof(first), &first);
    }
    PinnedToCpu0(const PinnedToCpu0&) = delete;
    PinnedToCpu0& operator=(const PinnedToCpu0&) = delete;
    ~PinnedToCpu0() { sched_setaffinity(0, sizeof(before_), &before_); }

  private:
    cpu_set_t before_{};
};

using Contents = std::map<Bytes, Bytes>;

// Sum of all CPUs' copies, as if a value were an array of u64.
Bytes sum_of_copies(std::span<const std::byte> copies, std::size_t value_size) {
    Bytes sum(round_up(value_size, 8U));
    for (std::size_t i = 0; i < copies.size(); i += 8) {
        std::byte* at = sum.data() + i % sum.size();
        store_unaligned(at, load_unaligned<std::uint64_t>(at) +
                                load_unaligned<std::uint64_t>(copies.data() + i));
    }
    return sum;
}

Contents contents_of(const KernelMap& map) {
    Contents result;
    Bytes value(map.lookup_size());
    for (const Bytes& key : map.keys()) {
        EXPECT_EQ(map.lookup(key.data(), value.data()), 0) << map.spec().name;
        result[key] = map.is_percpu() ? sum_of_copies(value, map.spec().value_size) : value;
    }
    return result;
}

Contents contents_of(Map& map) {
    Contents result;
    map.for_each_key([&](std::span<const std::byte> key) {
        Bytes copies;
        for (std::uint32_t cpu = 0; cpu < map.cpus(); ++cpu) {
            const auto value = map.read(key, cpu);
            EXPECT_TRUE(value.has_value()) << map.spec().name;
            copies.insert(copies.end(), value->begin(), value->end());
            copies.resize(round_up(copies.size(), map.cpus() > 1 ? 8U : 1U));
        }
        result[Bytes(key.begin(), key.end())] =
            map.cpus() > 1 ? sum_of_copies(copies, map.spec().value_size) : copies;
        return true;
    });
    return result;
}

// One object loaded twice: here and in the kernel.
class Twin {
  public:
    static Expected<std::unique_ptr<Twin>> load(const std::string& name) {
        TRY_ASSIGN(Object object,
                   load_object_file(fmt::format("{}/{}.bpf.o", EBPFVM_BPF_DIR, name)));
        if (name == "xdp_sample") { // each packet is a sample: nothing is left to chance
            TRY(object.set_global("rate", std::uint32_t{1}));
        }
        TRY_ASSIGN(KernelObject kernel, KernelObject::load(object));
        VmOptions options;
        options.cpus = possible_cpus();
        TRY_ASSIGN(Module module, Vm(std::move(options)).load(object));
        auto twin = std::make_unique<Twin>(name, std::move(kernel), std::move(module));
        TRY(twin->open_ringbufs());
        return twin;
    }

    Twin(std::string name, KernelObject kernel, Module module)
        : name_(std::move(name)), kernel_(std::move(kernel)), module_(std::move(module)) {}

    [[nodiscard]] const Object& object() const { return module_.object(); }

    /// Runs a program on each frame, in both places.
    void run_all(std::size_t program, std::span<const Bytes> frames) {
        const Executable ours = module_.programs()[program];
        const KernelProg& theirs = kernel_.progs()[program];
        const bool is_xdp = ours.program().type == ProgType::Xdp;
        std::size_t runs = 0;
        for (std::size_t i = 0; i < frames.size(); ++i) {
            if (i == frames.size() / 2) {
                compare_ringbufs(); // half way: a full ringbuf is part of the test
            }
            if (i % 16 == 0 && is_lru_half_full()) {
                fmt::print("  stops at packet {}: which flows an lru_hash evicts is its own "
                           "affair\n",
                           i);
                break;
            }
            where_ = fmt::format("program {} packet {}", ours.program().name, i);
            runs += is_xdp ? run_xdp(ours, theirs, frames[i]) : run_skb(ours, theirs, frames[i]);
        }
        where_ = fmt::format("program {}", ours.program().name);
        compare_maps();
        fmt::print("  {}: {} packets run, {} refused by the kernel, {} differences\n",
                   ours.program().name, runs, refused_, differences_);
        EXPECT_GT(runs, 0U);
    }

  private:
    Expected<void> open_ringbufs() {
        for (const KernelMap& map : kernel_.maps()) {
            if (map.spec().type == MapType::Ringbuf) {
                TRY_ASSIGN(KernelRingbuf ringbuf, KernelRingbuf::open(map));
                ringbufs_.emplace(map.spec().name, std::move(ringbuf));
            }
        }
        return {};
    }

    // Room is left for the kernel's per-CPU lists of free elements.
    bool is_lru_half_full() {
        for (const auto& map : module_.maps()) {
            std::size_t keys = 0;
            if (map->spec().type == MapType::LruHash) {
                map->for_each_key([&](auto) { return ++keys, true; });
            }
            if (keys > map->spec().max_entries / 2) {
                return true;
            }
        }
        return false;
    }

    bool run_xdp(const Executable& ours, const KernelProg& theirs, const Bytes& frame) {
        kernel_run_.data_in = frame;
        kernel_run_.ctx = {};
        if (const int error = theirs.test_run(kernel_run_); error != 0) {
            report("BPF_PROG_TEST_RUN: " + text_of_errno(error));
            return false;
        }
        XdpCtx ctx;
        ctx.packet = buffer_.fill(frame);
        const RunResult result = ours.run(ctx, {.cpu = 0});
        compare(result, ctx.packet.bytes(), kernel_run_.packet());
        return true;
    }

    bool run_skb(const Executable& ours, const KernelProg& theirs, const Bytes& frame) {
        // The kernel hides 14 bytes from a socket filter (it sees what an AF_PACKET socket of type
        // SOCK_DGRAM does) and clears them afterwards. A header in front makes them whole frames.
        const bool is_filter = ours.program().type == ProgType::SocketFilter;
        const Bytes data = is_filter ? with_experimental_header(frame) : frame;
        __sk_buff ctx{};
        kernel_run_.data_in = data;
        kernel_run_.ctx = std::as_writable_bytes(std::span(&ctx, 1));
        const int error = theirs.test_run(kernel_run_);
        if (error == -EINVAL && is_refused_by_test_run(data)) {
            ++refused_;
            return false;
        }
        if (error != 0) {
            report("BPF_PROG_TEST_RUN: " + text_of_errno(error));
            return false;
        }
        SkbCtx skb = skb_of_test_run(data);
        skb.packet = buffer_.fill(frame);
        const RunResult result = ours.run(skb, {.cpu = 0});
        compare(result, skb.packet.bytes(),
                kernel_run_.packet().subspan(is_filter ? kEthernetHeader : 0));
        compare_field("mark", ctx.mark, skb.mark);
        compare_field("priority", ctx.priority, skb.priority);
        for (std::size_t i = 0; i < skb.cb.size(); ++i) {
            compare_field(fmt::format("cb[{}]", i), ctx.cb[i], skb.cb[i]);
        }
        return true;
    }

    void compare(const RunResult& ours, std::span<const std::byte> our_packet,
                 std::span<const std::byte> kernel_packet) {
        if (ours.fault) {
            report(fmt::format("kernel returns {}, ebpfvm faults: {}", kernel_run_.retval,
                               ours.fault->message));
            return;
        }
        compare_field("return value", kernel_run_.retval, std::uint32_t(ours.r0));
        if (!std::ranges::equal(kernel_packet, our_packet)) {
            report("packet " + difference(kernel_packet, our_packet));
        }
    }

    void compare_field(std::string_view what, std::uint32_t kernel, std::uint32_t ours) {
        if (kernel != ours) {
            report(fmt::format("{}: kernel {}, ebpfvm {}", what, kernel, ours));
        }
    }

    void compare_maps() {
        compare_ringbufs();
        for (std::size_t i = 0; i < module_.maps().size(); ++i) {
            Map& ours = *module_.maps()[i];
            const MapType type = ours.spec().type;
            if (type != MapType::Ringbuf && type != MapType::ProgArray) {
                compare_contents(ours.spec().name, contents_of(kernel_.maps()[i]),
                                 contents_of(ours));
            }
        }
    }

    void compare_contents(const std::string& map, const Contents& kernel, const Contents& ours) {
        std::set<Bytes> keys;
        for (const Contents* contents : {&kernel, &ours}) {
            for (const auto& [key, value] : *contents) {
                keys.insert(key);
            }
        }
        for (const Bytes& key : keys) {
            const auto theirs = kernel.find(key);
            const auto mine = ours.find(key);
            if (theirs == kernel.end() || mine == ours.end()) {
                report(fmt::format("map {} key {}: only {} has it", map, hex(key),
                                   mine == ours.end() ? "the kernel" : "ebpfvm"));
            } else {
                compare_values(fmt::format("map {} key {}", map, hex(key)), map, theirs->second,
                               mine->second);
            }
        }
    }

    void compare_values(const std::string& what, const std::string& map, Bytes kernel, Bytes ours) {
        for (const Ignored& ignored : kIgnored) {
            if (ignored.object == name_ && ignored.map == map) {
                for (Bytes* value : {&kernel, &ours}) {
                    std::fill_n(value->begin() + std::ptrdiff_t(ignored.off), ignored.size,
                                std::byte{0});
                }
            }
        }
        if (kernel != ours) {
            report(fmt::format("{}: {}", what, difference(kernel, ours)));
        }
    }

    void compare_ringbufs() {
        for (auto& [name, ringbuf] : ringbufs_) {
            std::vector<Bytes> kernel;
            std::vector<Bytes> ours;
            const auto into = [](std::vector<Bytes>& records) {
                return [&records](std::span<const std::byte> record) {
                    records.emplace_back(record.begin(), record.end());
                };
            };
            ringbuf.consume(into(kernel));
            const auto map = module_.map(name);
            ASSERT_TRUE(map && consume_ringbuf(**map, into(ours)));
            fmt::print("  ringbuf {}: {} records\n", name, kernel.size());
            if (kernel.size() != ours.size()) {
                report(fmt::format("ringbuf {}: kernel {} records, ebpfvm {}", name, kernel.size(),
                                   ours.size()));
            }
            for (std::size_t i = 0; i < std::min(kernel.size(), ours.size()); ++i) {
                compare_values(fmt::format("ringbuf {} record {}", name, i), name, kernel[i],
                               ours[i]);
            }
        }
    }

    void report(const std::string& what) {
        if (++differences_ <= kMaxReports) {
            ADD_FAILURE() << where_ << ": " << what;
        }
    }

    std::string name_;
    KernelObject kernel_;
    Module module_;
    std::map<std::string, KernelRingbuf> ringbufs_;
    PacketBuffer buffer_;
    TestRun kernel_run_;
    std::string where_; ///< program and packet
    std::size_t refused_ = 0;
    std::size_t differences_ = 0;
};

class KernelTestRun : public testing::TestWithParam<std::string> {
  protected:
    static void SetUpTestSuite() {
        const std::string path = EBPFVM_BINARY_DIR "/kernel_test.pcap";
        const std::string make =
            fmt::format("python3 '{}/tools/make_pcap.py' '{}' --packets 12000 --seed 1",
                        EBPFVM_SOURCE_DIR, path);
        ASSERT_EQ(std::system(make.c_str()), 0) << make;
        auto frames = read_pcap(path);
        ASSERT_TRUE(frames) << to_string(frames.error());
        frames_ = *std::move(frames);
        std::erase_if(frames_, [](const Bytes& frame) {
            return frame.size() < kEthernetHeader || frame.size() > kMaxFrame;
        });
    }

    static std::span<const Bytes> frames_for(const std::string& object) {
        const auto special = std::ranges::find(kSpecial, object, &Special::object);
        if (special == kSpecial.end()) {
            return frames_;
        }
        fmt::print("  {} packets only: {}\n", special->max_packets, special->reason);
        return std::span(frames_).first(special->max_packets);
    }

    static inline std::vector<Bytes> frames_;
};

TEST_P(KernelTestRun, AgreesOnEveryPacket) {
    EBPFVM_SKIP_WITHOUT_BPF();
    const PinnedToCpu0 pinned;
    const auto twin = Twin::load(GetParam());
    ASSERT_TRUE(twin) << to_string(twin.error());
    const std::span<const Bytes> frames = frames_for(GetParam());
    for (std::size_t i = 0; i < (*twin)->object().programs().size(); ++i) {
        (*twin)->run_all(i, frames);
    }
}

std::vector<std::string> example_objects() {
    constexpr std::string_view kSuffix = ".bpf.o";
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(EBPFVM_BPF_DIR)) {
        const std::string name = entry.path().filename().string();
        if (name.ends_with(kSuffix)) {
            names.push_back(name.substr(0, name.size() - kSuffix.size()));
        }
    }
    std::ranges::sort(names);
    return names;
}

INSTANTIATE_TEST_SUITE_P(Examples, KernelTestRun, testing::ValuesIn(example_objects()),
                         [](const auto& test) { return test.param; });

} // namespace
} // namespace ebpfvm::test
