// Taking and giving back virtual CPUs.
#include "vm/cpu_slots.hpp"

#include <sched.h>
#include <thread>

namespace ebpfvm::vm {

CpuSlots::CpuSlots(std::uint32_t count) : taken_(count) {}

std::uint32_t CpuSlots::acquire() noexcept {
    const int host = sched_getcpu();
    const std::uint32_t first = (host < 0 ? 0U : std::uint32_t(host)) % count();
    for (;;) {
        std::uint32_t cpu = first;
        do {
            if (!taken_[cpu].value.load(std::memory_order_relaxed) &&
                !taken_[cpu].value.exchange(true, std::memory_order_acquire)) {
                return cpu;
            }
            cpu = cpu + 1 == count() ? 0 : cpu + 1;
        } while (cpu != first);
        std::this_thread::yield();
    }
}

void CpuSlots::release(std::uint32_t cpu) noexcept {
    taken_[cpu].value.store(false, std::memory_order_release);
}

} // namespace ebpfvm::vm
