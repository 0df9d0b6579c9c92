// A lock for critical sections of a few instructions.
#pragma once

#include <atomic>
#include <thread>

namespace ebpfvm::maps {

/// Half the cost of a mutex when nobody waits. Whoever waits for long gives up its time slice,
/// since the holder may have lost its own.
class SpinLock {
  public:
    void lock() noexcept {
        for (unsigned tries = 0; locked_.exchange(true, std::memory_order_acquire); ++tries) {
            while (locked_.load(std::memory_order_relaxed)) {
                if (++tries % 64 == 0) {
                    std::this_thread::yield();
                }
            }
        }
    }
    void unlock() noexcept { locked_.store(false, std::memory_order_release); }

  private:
    std::atomic<bool> locked_ = false;
};

} // namespace ebpfvm::maps
