// What machine code that is not verified knows of the memory that its pointers point to.
#pragma once

#include "ebpfvm/run.hpp"
#include "exec/code.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <utility>

namespace ebpfvm::exec {

/// Memory that a pointer of the program pointed into when it was last used. The next access
/// through it likely goes there, too: machine code looks here first, and asks the guard if not.
struct Reach {
    std::uint64_t begin;
    /// By log2 of an access's size: at how many addresses from `begin` on one may start.
    std::array<std::uint64_t, 4> loads;
    std::array<std::uint64_t, 4> stores; ///< for loads as well

    void set(const Region& region) {
        const bool may_load = allows(region.access, Access::Read);
        const bool may_store = region.access == Access::ReadWrite;
        begin = region.begin;
        for (unsigned i = 0; i < 4; ++i) {
            const std::uint64_t size = std::uint64_t{1} << i;
            const std::uint64_t starts = region.size >= size ? region.size - size + 1 : 0;
            loads[i] = may_load ? starts : 0;
            stores[i] = may_store ? starts : 0;
        }
    }
};

/// How long memory can be accessed.
enum class Lasts : std::uint8_t {
    Run,    ///< while the same program runs: elements of arrays, the frame of the entry
    Packet, ///< while the packet stays where it is
    Call,   ///< until a helper is called, which may delete it
    Frame,  ///< until a function returns
};

/// As many pointers as machine code cares to tell apart.
class ReachTable {
  public:
    static constexpr unsigned kCount = 16;

    /// Before the program runs: the first `count` are the same.
    void fill(unsigned count, const Region& region, Lasts lasts) {
        Reach all;
        all.set(region);
        std::fill_n(of_.begin(), count, all);
        std::ranges::fill(lasting_, 0);
        note((1U << count) - 1, region, lasts);
    }
    void set(unsigned at, const Region& region, Lasts lasts) {
        of_[at].set(region);
        for (std::uint32_t& reaches : lasting_) {
            reaches &= ~(1U << at);
        }
        note(1U << at, region, lasts);
    }

    /// Frames below the current one are gone.
    void forget_frames() { drop(Lasts::Frame); }
    /// A helper has been called; now the packet is this one, if there is any.
    void forget(const Packet* packet) {
        drop(Lasts::Call);
        if (lasting_[std::size_t(Lasts::Packet)] != 0 &&
            (reinterpret_cast<std::uintptr_t>(packet->data_meta) != packet_begin_ ||
             std::uint64_t(packet->data_end - packet->data_meta) != packet_size_)) {
            drop(Lasts::Packet);
        }
    }

    // Machine code reads these.
    std::array<Reach, kCount> of_;
    std::uint32_t lasting_[4] = {}; ///< by Lasts: bits of reaches

  private:
    void note(std::uint32_t reaches, const Region& region, Lasts lasts) {
        lasting_[std::size_t(lasts)] |= reaches;
        if (lasts == Lasts::Packet) {
            packet_begin_ = region.begin;
            packet_size_ = region.size;
        }
    }
    void drop(Lasts lasts) {
        std::uint32_t reaches = std::exchange(lasting_[std::size_t(lasts)], 0);
        for (; reaches != 0; reaches &= reaches - 1) {
            Reach& reach = of_[std::size_t(std::countr_zero(reaches))];
            reach.loads = {};
            reach.stores = {};
        }
    }

    std::uint64_t packet_begin_;
    std::uint64_t packet_size_;
};

} // namespace ebpfvm::exec
