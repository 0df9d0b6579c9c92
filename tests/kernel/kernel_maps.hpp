// One map of every type that the running kernel creates, with type information where it asks for
// it.
#pragma once

#include "kernel/bpf_syscall.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ebpfvm::test {

/// Type information that the maps of these tests need, loaded into the kernel.
class TestBtf {
  public:
    enum Type : std::uint32_t {
        Int = 1,
        Long,
        SpinLock,
        Timer,
        Wq,
        ResSpinLock,
        Locked,
        Timed,
        Queued,
        ResLocked
    };

    TestBtf() {
        add_int("int", 4);
        add_int("long", 8);
        add_struct("bpf_spin_lock", 4, {{Int, 0}});
        add_struct("bpf_timer", 16, {{Long, 0}, {Long, 64}});
        add_struct("bpf_wq", 16, {{Long, 0}, {Long, 64}});
        add_struct("bpf_res_spin_lock", 8, {{Int, 0}, {Int, 32}});
        add_struct("locked", 8, {{Int, 0}, {SpinLock, 32}});
        add_struct("timed", 16, {{Timer, 0}});
        add_struct("queued", 16, {{Wq, 0}});
        add_struct("res_locked", 8, {{ResSpinLock, 0}});
        load();
    }
    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    struct Member {
        std::uint32_t type;
        std::uint32_t bit;
    };

    std::uint32_t name(std::string_view text) {
        const auto at = std::uint32_t(strings_.size());
        strings_.append(text).push_back('\0');
        return at;
    }
    void add_int(std::string_view text, std::uint32_t size) {
        types_.insert(types_.end(), {name(text), 1U << 24, size, size * 8});
    }
    void add_struct(std::string_view text, std::uint32_t size, const std::vector<Member>& members) {
        const auto count = std::uint32_t(members.size());
        types_.insert(types_.end(), {name(text), (4U << 24) | count, size});
        for (const Member& member : members) {
            types_.insert(types_.end(),
                          {name("m" + std::to_string(member.bit)), member.type, member.bit});
        }
    }
    void load() {
        const auto types_size = std::uint32_t(types_.size() * 4);
        std::vector<std::uint32_t> blob{0x0001'eb9f, 24,         0,
                                        types_size,  types_size, std::uint32_t(strings_.size())};
        blob.insert(blob.end(), types_.begin(), types_.end());
        std::string bytes(reinterpret_cast<const char*>(blob.data()), blob.size() * 4);
        bytes += strings_;
        bpf_attr attr = zeroed_attr();
        attr.btf = address_of(bytes.data());
        attr.btf_size = std::uint32_t(bytes.size());
        fd_ = Fd(bpf(BPF_BTF_LOAD, attr));
    }

    std::vector<std::uint32_t> types_;
    std::string strings_ = std::string(1, '\0');
    Fd fd_;
};

/// A map with type information of its value; the descriptor is negative if the kernel refuses.
inline Fd create_map_with_btf(const MapSpec& spec, const TestBtf& btf, std::uint32_t value_type) {
    bpf_attr attr = zeroed_attr();
    attr.map_type = std::to_underlying(spec.type);
    attr.key_size = spec.key_size;
    attr.value_size = spec.value_size;
    attr.max_entries = spec.max_entries;
    attr.map_flags = spec.flags;
    attr.btf_fd = std::uint32_t(btf.fd());
    attr.btf_key_type_id = TestBtf::Int;
    attr.btf_value_type_id = value_type;
    return Fd(bpf(BPF_MAP_CREATE, attr));
}

class KernelMaps {
  public:
    KernelMaps() {
        const KernelMap inner = KernelMap::create(spec(MapType::Array, 4, 8, 1)).value();
        for (const MapSpec& each : specs()) {
            bpf_attr attr = zeroed_attr();
            attr.map_type = std::to_underlying(each.type);
            attr.key_size = each.key_size;
            attr.value_size = each.value_size;
            attr.max_entries = each.max_entries;
            attr.map_flags = each.flags;
            attr.map_extra = each.extra;
            const bool nests =
                each.type == MapType::ArrayOfMaps || each.type == MapType::HashOfMaps;
            attr.inner_map_fd = nests ? std::uint32_t(inner.fd()) : 0;
            Fd fd(bpf(BPF_MAP_CREATE, attr));
            if (fd.get() < 0) {
                fd = create_map_with_btf(each, btf_, TestBtf::Long);
            }
            if (fd.get() >= 0) {
                maps_[each.type] = std::move(fd);
            }
        }
    }

    [[nodiscard]] const std::map<MapType, Fd>& all() const { return maps_; }
    [[nodiscard]] const TestBtf& btf() const { return btf_; }

  private:
    static MapSpec spec(MapType type, std::uint32_t key, std::uint32_t value, std::uint32_t entries,
                        std::uint32_t flags = 0) {
        return {.name = "m",
                .type = type,
                .key_size = key,
                .value_size = value,
                .max_entries = entries,
                .flags = flags};
    }
    // All types; values are 8 bytes wherever the kernel lets us choose.
    static std::vector<MapSpec> specs() {
        using enum MapType;
        constexpr std::uint32_t kNoPrealloc = map_flags::kNoPrealloc;
        std::vector<MapSpec> result;
        for (const MapType type :
             {Hash, Array, PercpuHash, PercpuArray, LruHash, LruPercpuHash, ReuseportSockarray}) {
            result.push_back(spec(type, 4, 8, 4));
        }
        for (const MapType type : {ProgArray, PerfEventArray, CgroupArray, ArrayOfMaps, HashOfMaps,
                                   Devmap, DevmapHash, Cpumap, Xskmap, Sockmap, Sockhash}) {
            result.push_back(spec(type, 4, 4, 1));
        }
        for (const MapType type : {SkStorage, InodeStorage, TaskStorage, CgrpStorage}) {
            result.push_back(spec(type, 4, 8, 0, kNoPrealloc));
        }
        for (const MapType type : {CgroupStorage, PercpuCgroupStorage}) {
            result.push_back(spec(type, 16, 8, 0));
        }
        for (const MapType type : {Queue, Stack, BloomFilter}) {
            result.push_back(spec(type, 0, 8, 4));
        }
        result.push_back(spec(StackTrace, 4, 80, 4));
        result.push_back(spec(LpmTrie, 8, 8, 4, kNoPrealloc));
        result.push_back(spec(Ringbuf, 0, 0, 4096));
        result.push_back(spec(UserRingbuf, 0, 0, 4096));
        result.push_back(spec(Arena, 0, 0, 1, map_flags::kMmapable));
        result.back().extra = std::uint64_t{1} << 44; // its address for users
        return result;
    }

    TestBtf btf_;
    std::map<MapType, Fd> maps_;
};

} // namespace ebpfvm::test
