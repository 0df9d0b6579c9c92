// An Object in the kernel: the same maps with the same content, the same programs.
#pragma once

#include "ebpfvm/object.hpp"
#include "kernel/bpf_syscall.hpp"

#include <functional>
#include <memory>
#include <sys/mman.h>

namespace ebpfvm::test {

/// `insns` with the descriptors of `maps` where ours have indices.
inline std::vector<Insn> with_map_fds(std::vector<Insn> insns, std::span<const KernelMap> maps) {
    constexpr std::uint8_t kLddw = 0x18;
    for (std::size_t i = 0; i < insns.size(); ++i) {
        Insn& insn = insns[i];
        if (insn.code != kLddw) {
            continue;
        }
        const auto src = LddwSrc(std::uint8_t(insn.src));
        if (src == LddwSrc::MapIdx || src == LddwSrc::MapValueIdx) {
            insn.src = src == LddwSrc::MapIdx ? BPF_PSEUDO_MAP_FD : BPF_PSEUDO_MAP_VALUE;
            insn.imm = maps[std::size_t(insn.imm)].fd();
        }
        ++i;
    }
    return insns;
}

/// Maps and programs by the indices of the object.
class KernelObject {
  public:
    [[nodiscard]] static Expected<KernelObject> load(const Object& object) {
        KernelObject result;
        for (const MapSpec& spec : object.maps()) {
            TRY_ASSIGN(KernelMap map, KernelMap::create(spec));
            TRY(fill(map));
            result.maps_.push_back(std::move(map));
        }
        for (const Program& program : object.programs()) {
            const std::vector<Insn> insns = with_map_fds(program.insns, result.maps_);
            TRY_ASSIGN(KernelProg prog, KernelProg::load({.name = program.name,
                                                          .type = program.type,
                                                          .attach_type = program.attach_type,
                                                          .license = object.license(),
                                                          .insns = insns}));
            result.progs_.push_back(std::move(prog));
        }
        TRY(result.fill_prog_arrays(object));
        return result;
    }

    [[nodiscard]] std::span<KernelMap> maps() { return maps_; }
    [[nodiscard]] std::span<const KernelProg> progs() const { return progs_; }

  private:
    static Expected<void> fill(KernelMap& map) {
        const MapSpec& spec = map.spec();
        const std::uint32_t key = 0;
        int error = spec.data.empty() ? 0 : map.update(&key, spec.data.data());
        if (error == 0 && spec.frozen) {
            error = map.freeze();
        }
        if (error != 0) {
            return fail(Errc::Io, "kernel: content of map \"{}\": {}", spec.name,
                        text_of_errno(error));
        }
        return {};
    }

    Expected<void> fill_prog_arrays(const Object& object) {
        for (KernelMap& map : maps_) {
            for (const InitialSlot& slot : map.spec().slots) {
                const auto found = std::ranges::find(object.programs(), slot.name, &Program::name);
                if (map.spec().type != MapType::ProgArray || found == object.programs().end()) {
                    return fail(Errc::Unsupported, "kernel: map \"{}\": slot \"{}\"",
                                map.spec().name, slot.name);
                }
                const int fd = progs_[std::size_t(found - object.programs().begin())].fd();
                if (const int error = map.update(&slot.index, &fd); error != 0) {
                    return fail(Errc::Io, "kernel: map \"{}\": slot \"{}\": {}", map.spec().name,
                                slot.name, text_of_errno(error));
                }
            }
        }
        return {};
    }

    std::vector<KernelMap> maps_;
    std::vector<KernelProg> progs_;
};

/// The consumer's end of a ringbuf map (kernel/bpf/ringbuf.c): a page with the consumer's position,
/// a page with the producer's, and the data, mapped twice in a row.
class KernelRingbuf {
  public:
    [[nodiscard]] static Expected<KernelRingbuf> open(const KernelMap& map) {
        const auto page = std::size_t(::sysconf(_SC_PAGESIZE));
        const std::size_t size = map.spec().max_entries;
        void* consumer = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map.fd(), 0);
        void* producer =
            ::mmap(nullptr, page + 2 * size, PROT_READ, MAP_SHARED, map.fd(), off_t(page));
        if (consumer == MAP_FAILED || producer == MAP_FAILED) {
            return fail(Errc::Io, "kernel: mmap of ringbuf \"{}\": {}", map.spec().name,
                        text_of_errno(-errno));
        }
        return KernelRingbuf({consumer, Unmap{page}}, {producer, Unmap{page + 2 * size}}, page,
                             size - 1);
    }

    /// Takes all records out, oldest first.
    void consume(const std::function<void(std::span<const std::byte>)>& sink) {
        auto* consumed = static_cast<std::uint64_t*>(consumer_.get());
        const auto* base = static_cast<const std::byte*>(producer_.get());
        const std::uint64_t produced =
            __atomic_load_n(static_cast<const std::uint64_t*>(producer_.get()), __ATOMIC_ACQUIRE);
        std::uint64_t at = *consumed;
        while (at < produced) {
            const std::byte* header = base + page_ + (at & mask_);
            const std::uint32_t word =
                __atomic_load_n(reinterpret_cast<const std::uint32_t*>(header), __ATOMIC_ACQUIRE);
            const std::uint32_t size = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
            if ((word & BPF_RINGBUF_BUSY_BIT) != 0) {
                break;
            }
            if ((word & BPF_RINGBUF_DISCARD_BIT) == 0) {
                sink({header + BPF_RINGBUF_HDR_SZ, size});
            }
            at += round_up(std::uint64_t{size} + BPF_RINGBUF_HDR_SZ, 8);
        }
        __atomic_store_n(consumed, at, __ATOMIC_RELEASE);
    }

  private:
    struct Unmap {
        std::size_t size;
        void operator()(void* memory) const { ::munmap(memory, size); }
    };
    using Mapping = std::unique_ptr<void, Unmap>;

    KernelRingbuf(Mapping consumer, Mapping producer, std::size_t page, std::uint64_t mask)
        : consumer_(std::move(consumer)), producer_(std::move(producer)), page_(page), mask_(mask) {
    }

    Mapping consumer_;
    Mapping producer_;
    std::size_t page_;
    std::uint64_t mask_;
};

} // namespace ebpfvm::test
