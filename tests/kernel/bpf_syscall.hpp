// bpf(2) as the tests of this folder use it: maps, programs, test runs. No libbpf, and nothing is
// ever attached to a hook.
#pragma once

#include "ebpfvm/insn.hpp"
#include "ebpfvm/map.hpp"
#include "ebpfvm/prog_type.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <linux/bpf.h>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace ebpfvm::test {

using Bytes = std::vector<std::byte>;

/// Owns a file descriptor.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Fd() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_ = -1;
};

/// The system call: its result, or the negative errno.
inline int bpf(bpf_cmd command, bpf_attr& attr) {
    const long result = ::syscall(SYS_bpf, command, &attr, sizeof(attr));
    return result < 0 ? -errno : int(result);
}

/// All bytes zero: the kernel refuses an attr whose unused fields are not.
inline bpf_attr zeroed_attr() {
    bpf_attr attr;
    std::memset(&attr, 0, sizeof(attr));
    return attr;
}

inline std::uint64_t address_of(const void* memory) {
    return reinterpret_cast<std::uintptr_t>(memory);
}

/// `name` as the kernel accepts it: at most 15 letters, digits, '_' and '.'.
inline void copy_name(std::string_view name, char (&to)[BPF_OBJ_NAME_LEN]) {
    const auto is_allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.';
    };
    name = name.substr(0, BPF_OBJ_NAME_LEN - 1);
    std::ranges::transform(name, std::begin(to), [&](char c) { return is_allowed(c) ? c : '_'; });
}

inline std::string text_of_errno(int negative_errno) {
    return std::strerror(-negative_errno);
}

/// Copies of a value in the kernel's per-cpu maps, from "0-1" or "0,2-5": its highest CPU plus one.
inline std::uint32_t possible_cpus() {
    std::ifstream file("/sys/devices/system/cpu/possible");
    std::string text;
    std::getline(file, text);
    const std::size_t last = text.find_last_of(",-");
    return std::uint32_t(std::stoul(last == std::string::npos ? text : text.substr(last + 1))) + 1;
}

/// A map in the kernel. Functions return 0 or a negative errno.
class KernelMap {
  public:
    [[nodiscard]] static Expected<KernelMap> create(const MapSpec& spec) {
        bpf_attr attr = zeroed_attr();
        attr.map_type = std::to_underlying(spec.type);
        attr.key_size = spec.key_size;
        attr.value_size = spec.value_size;
        attr.max_entries = spec.max_entries;
        attr.map_flags = spec.flags;
        attr.map_extra = spec.extra;
        copy_name(spec.name, attr.map_name);
        const int fd = bpf(BPF_MAP_CREATE, attr);
        if (fd < 0) {
            return fail(Errc::Io, "kernel: map \"{}\": {}", spec.name, text_of_errno(fd));
        }
        return KernelMap(fd, spec);
    }

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const MapSpec& spec() const { return spec_; }
    [[nodiscard]] bool is_percpu() const {
        return spec_.type == MapType::PercpuArray || spec_.type == MapType::PercpuHash;
    }
    /// Bytes that lookup() gives: in a per-cpu map a value of each CPU, rounded up to 8.
    [[nodiscard]] std::size_t lookup_size() const {
        return is_percpu() ? std::size_t{round_up(spec_.value_size, 8U)} * possible_cpus()
                           : spec_.value_size;
    }

    int update(const void* key, const void* value, std::uint64_t flags = BPF_ANY) {
        return element(BPF_MAP_UPDATE_ELEM, key, value, flags);
    }
    int lookup(const void* key, void* value) const {
        return element(BPF_MAP_LOOKUP_ELEM, key, value);
    }
    int erase(const void* key) { return element(BPF_MAP_DELETE_ELEM, key, nullptr); }
    /// Writes the key after `key` (nullptr: the first) to `next`; -ENOENT at the end.
    int next_key(const void* key, void* next) const {
        return element(BPF_MAP_GET_NEXT_KEY, key, next);
    }
    int freeze() {
        bpf_attr attr = zeroed_attr();
        attr.map_fd = std::uint32_t(fd());
        return bpf(BPF_MAP_FREEZE, attr);
    }

    [[nodiscard]] std::vector<Bytes> keys() const {
        std::vector<Bytes> result;
        Bytes key(spec_.key_size);
        const void* last = nullptr;
        while (next_key(last, key.data()) == 0) {
            result.push_back(key);
            last = result.back().data();
        }
        return result;
    }

  private:
    KernelMap(int fd, MapSpec spec) : fd_(fd), spec_(std::move(spec)) {}

    int element(bpf_cmd command, const void* key, const void* value,
                std::uint64_t flags = 0) const {
        bpf_attr attr = zeroed_attr();
        attr.map_fd = std::uint32_t(fd());
        attr.key = address_of(key);
        attr.value = address_of(value);
        attr.flags = flags;
        return bpf(command, attr);
    }

    Fd fd_;
    MapSpec spec_;
};

struct KernelProgSpec {
    std::string_view name;
    ProgType type = ProgType::Unspec;
    std::uint32_t attach_type = 0;
    std::string_view license = "GPL";
    std::span<const Insn> insns; ///< maps by file descriptor
    /// Receives the verifier's statistics ("verification time 12 usec...") if not null.
    std::string* statistics = nullptr;
};

/// Buffers of BPF_PROG_TEST_RUN, to be used again for the next packet.
struct TestRun {
    std::span<const std::byte> data_in;
    std::span<std::byte> ctx; ///< __sk_buff before the run, and after it; empty: none
    std::array<std::byte, 8192> data_out;
    std::uint32_t data_out_size = 0;
    std::uint32_t retval = 0;

    [[nodiscard]] std::span<const std::byte> packet() const {
        return std::span(data_out).first(data_out_size);
    }
};

/// Type information that the kernel wants of programs with callbacks: each subprogram is a static
/// function.
class FuncBtf {
  public:
    /// Loads nothing if there is no callback.
    explicit FuncBtf(std::span<const Insn> insns) {
        constexpr std::uint8_t kLddw = 0x18;
        constexpr std::uint8_t kCall = 0x85;
        std::set<std::uint32_t> firsts{0};
        bool has_callback = false;
        for (std::size_t i = 0; i < insns.size(); ++i) {
            const Insn& insn = insns[i];
            const bool is_func = insn.code == kLddw && insn.src == BPF_PSEUDO_FUNC;
            if (is_func || (insn.code == kCall && insn.src == BPF_PSEUDO_CALL)) {
                firsts.insert(std::uint32_t(std::int64_t(i) + 1 + insn.imm));
            }
            has_callback |= is_func;
            i += insn.code == kLddw ? 1 : 0;
        }
        if (has_callback) {
            load();
            for (const std::uint32_t first : firsts) {
                infos_.push_back({first, kFunc});
            }
        }
    }

    /// For BPF_PROG_LOAD; must outlive the call.
    void describe(bpf_attr& attr) const {
        if (!infos_.empty()) {
            attr.prog_btf_fd = std::uint32_t(fd_.get());
            attr.func_info = address_of(infos_.data());
            attr.func_info_rec_size = sizeof(Info);
            attr.func_info_cnt = std::uint32_t(infos_.size());
        }
    }

  private:
    struct Info {
        std::uint32_t first;
        std::uint32_t type;
    };
    static constexpr std::uint32_t kFunc = 3;

    void load() {
        static constexpr char kStrings[] = "\0int\0f";
        static constexpr std::uint32_t kTypes[] = {
            1, 1U << 24,  4, 1U << 24 | 32, // 1: int, signed, 32 bits
            0, 13U << 24, 1,                // 2: int (void)
            5, 12U << 24, 2,                // 3: static f
        };
        std::vector<std::uint32_t> header{0x0001'eb9f,     24, 0, sizeof(kTypes), sizeof(kTypes),
                                          sizeof(kStrings)};
        std::string bytes(reinterpret_cast<const char*>(header.data()), header.size() * 4);
        bytes.append(reinterpret_cast<const char*>(kTypes), sizeof(kTypes));
        bytes.append(kStrings, sizeof(kStrings));
        bpf_attr attr = zeroed_attr();
        attr.btf = address_of(bytes.data());
        attr.btf_size = std::uint32_t(bytes.size());
        fd_ = Fd(bpf(BPF_BTF_LOAD, attr));
    }

    std::vector<Info> infos_;
    Fd fd_;
};

/// A verified program in the kernel.
class KernelProg {
  public:
    /// Errors carry the end of the verifier's log.
    [[nodiscard]] static Expected<KernelProg> load(const KernelProgSpec& spec) {
        const std::string license(spec.license);
        bpf_attr attr = zeroed_attr();
        attr.prog_type = std::to_underlying(spec.type);
        attr.expected_attach_type = spec.attach_type;
        attr.insn_cnt = std::uint32_t(spec.insns.size());
        attr.insns = address_of(spec.insns.data());
        attr.license = address_of(license.c_str());
        copy_name(spec.name, attr.prog_name);
        const FuncBtf btf(spec.insns);
        btf.describe(attr);
        std::array<char, 512> statistics{};
        if (spec.statistics != nullptr) {
            constexpr std::uint32_t kBpfLogStats = 4;
            attr.log_level = kBpfLogStats;
            attr.log_size = std::uint32_t(statistics.size());
            attr.log_buf = address_of(statistics.data());
        }
        int fd = bpf(BPF_PROG_LOAD, attr);
        if (fd >= 0) {
            if (spec.statistics != nullptr) {
                *spec.statistics = statistics.data();
            }
            return KernelProg(fd);
        }
        std::string log(std::size_t{1} << 20, '\0'); // only now: writing it is what takes long
        attr.log_level = 1;
        attr.log_size = std::uint32_t(log.size());
        attr.log_buf = address_of(log.data());
        fd = bpf(BPF_PROG_LOAD, attr);
        if (fd >= 0) {
            return KernelProg(fd);
        }
        log.resize(std::strlen(log.c_str()));
        const std::size_t from = log.size() > kLogTail ? log.size() - kLogTail : 0;
        return fail(Errc::Io, "kernel: program \"{}\": {}\n{}", spec.name, text_of_errno(fd),
                    log.substr(from));
    }

    [[nodiscard]] int fd() const { return fd_.get(); }

    /// Runs the program `repeat` times on what is one packet for all; 0 or a negative errno.
    int test_run(TestRun& run, std::uint32_t repeat = 1) const {
        bpf_attr attr = zeroed_attr();
        attr.test.prog_fd = std::uint32_t(fd());
        attr.test.repeat = repeat;
        attr.test.data_in = address_of(run.data_in.data());
        attr.test.data_size_in = std::uint32_t(run.data_in.size());
        attr.test.data_out = address_of(run.data_out.data());
        attr.test.data_size_out = std::uint32_t(run.data_out.size());
        if (!run.ctx.empty()) {
            attr.test.ctx_in = attr.test.ctx_out = address_of(run.ctx.data());
            attr.test.ctx_size_in = attr.test.ctx_size_out = std::uint32_t(run.ctx.size());
        }
        const int error = bpf(BPF_PROG_TEST_RUN, attr);
        run.retval = attr.test.retval;
        run.data_out_size = attr.test.data_size_out;
        return error;
    }

  private:
    static constexpr std::size_t kLogTail = 1500;
    explicit KernelProg(int fd) : fd_(fd) {}
    Fd fd_;
};

/// An array map of one value.
inline MapSpec single_value_map(std::string name, std::uint32_t value_size) {
    MapSpec spec;
    spec.name = std::move(name);
    spec.type = MapType::Array;
    spec.key_size = sizeof(std::uint32_t);
    spec.value_size = value_size;
    spec.max_entries = 1;
    return spec;
}

/// False where the kernel, a container or a missing capability forbids bpf(2).
inline bool bpf_is_permitted() {
    const std::array<Insn, 2> insns{Insn{.code = 0xb7}, Insn{.code = 0x95}}; // r0 = 0; exit
    return KernelProg::load({.name = "probe", .type = ProgType::Xdp, .insns = insns}).has_value() &&
           KernelMap::create(single_value_map("probe", 8)).has_value();
}

} // namespace ebpfvm::test

/// First statement of every test here.
#define EBPFVM_SKIP_WITHOUT_BPF()                                                                  \
    if (!::ebpfvm::test::bpf_is_permitted()) {                                                     \
        GTEST_SKIP() << "bpf() is not permitted here";                                             \
    }
