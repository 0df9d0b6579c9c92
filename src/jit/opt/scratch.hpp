// Memory of one compilation. Compiling makes many short lists; malloc would take a third of the
// time that a small program needs.
#pragma once

#include "support/assert.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <sys/mman.h>
#include <utility>
#include <vector>

namespace ebpfvm::jit::opt {

/// While one lives, all Vecs of its thread take their memory from it, first from itself. They must
/// not outlive it.
class Scratch {
  public:
    Scratch() : outer_(std::exchange(current_, this)) {}
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { current_ = outer_; }

    [[nodiscard]] static Scratch& current() {
        EBPFVM_ASSERT(current_ != nullptr);
        return *current_;
    }

    [[nodiscard]] void* allocate(std::size_t bytes) {
        if (bytes >= kLarge) {
            return bytes < kVeryLarge ? ::operator new(bytes) : allocate_huge(bytes);
        }
        bytes = rounded(bytes);
        if (bytes > std::size_t(end_ - free_)) {
            add_chunk();
        }
        return std::exchange(free_, free_ + bytes);
    }
    // Of what is not large, only the latest can be used again.
    void deallocate(void* memory, std::size_t bytes) {
        if (bytes >= kVeryLarge) {
            ::operator delete (memory, std::align_val_t{kHuge});
        } else if (bytes >= kLarge) {
            ::operator delete(memory);
        } else if (static_cast<std::byte*>(memory) + rounded(bytes) == free_) {
            free_ = static_cast<std::byte*>(memory);
        }
    }

  private:
    static constexpr std::size_t kAlign = alignof(std::max_align_t);
    static constexpr std::size_t kLarge = 16 * 1024; // malloc's cost is small in comparison
    static constexpr std::size_t kChunk = 8 * kLarge;

    static constexpr std::size_t kHuge = 2 * 1024 * 1024; // a huge page of x86-64
    static constexpr std::size_t kVeryLarge = 4 * kHuge;  // malloc keeps what is smaller

    // Touching small pages for the first time takes a fifth of a large program's time.
    static void* allocate_huge(std::size_t bytes) {
        void* memory = ::operator new (bytes, std::align_val_t{kHuge});
        (void)madvise(memory, bytes / kHuge * kHuge, MADV_HUGEPAGE);
        return memory;
    }
    static constexpr std::size_t rounded(std::size_t bytes) {
        return (bytes + kAlign - 1) / kAlign * kAlign;
    }
    void add_chunk() {
        chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(kChunk));
        free_ = chunks_.back().get();
        end_ = free_ + kChunk;
    }

    static inline thread_local Scratch* current_ = nullptr;

    Scratch* outer_;
    alignas(kAlign) std::array<std::byte, 2 * kLarge> first_; // enough for most programs
    std::byte* free_ = first_.data();
    std::byte* end_ = first_.data() + first_.size();
    std::vector<std::unique_ptr<std::byte[]>> chunks_{};
};

template <class T>
struct ScratchAllocator {
    using value_type = T;

    ScratchAllocator() = default;
    template <class U>
    ScratchAllocator(const ScratchAllocator<U>&) {} // NOLINT(google-explicit-constructor)

    [[nodiscard]] T* allocate(std::size_t count) {
        return static_cast<T*>(Scratch::current().allocate(count * sizeof(T)));
    }
    void deallocate(T* memory, std::size_t count) {
        Scratch::current().deallocate(memory, count * sizeof(T));
    }
    friend bool operator==(const ScratchAllocator&, const ScratchAllocator&) { return true; }
};

/// A std::vector of a compilation.
template <class T>
using Vec = std::vector<T, ScratchAllocator<T>>;

} // namespace ebpfvm::jit::opt
