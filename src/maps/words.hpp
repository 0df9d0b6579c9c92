// Memory that several threads read and write at once, accessed in whole words: acquire loads and
// release stores, so that a reader who sees one new word also sees all that was done before it.
#pragma once

#include "support/bits.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ebpfvm::maps {

template <class T>
[[nodiscard]] inline T load_acquire(const T& from) {
    return std::atomic_ref<T>(const_cast<T&>(from)).load(std::memory_order_acquire);
}

template <class T>
inline void store_release(T& to, T value) {
    std::atomic_ref<T>(to).store(value, std::memory_order_release);
}

namespace detail {

// Moves the largest pieces of `size` bytes that fit at aligned offsets of the shared side.
template <class Piece>
void copy_pieces(auto&& copy_one, std::size_t& off, std::size_t size) {
    for (; size - off >= sizeof(Piece); off += sizeof(Piece)) {
        copy_one.template operator()<Piece>(off);
    }
}

void copy_words(auto&& copy_one, std::size_t size) {
    std::size_t off = 0;
    copy_pieces<std::uint64_t>(copy_one, off, size);
    copy_pieces<std::uint32_t>(copy_one, off, size);
    copy_pieces<std::uint16_t>(copy_one, off, size);
    copy_pieces<std::uint8_t>(copy_one, off, size);
}

} // namespace detail

/// Copies `size` private bytes of any alignment to shared memory that is aligned to 8. Each aligned
/// word of 8 bytes arrives whole.
inline void store_shared(std::byte* to, const void* from, std::size_t size) {
    detail::copy_words(
        [=]<class Piece>(std::size_t off) {
            store_release(*reinterpret_cast<Piece*>(to + off),
                          load_unaligned<Piece>(static_cast<const std::byte*>(from) + off));
        },
        size);
}

/// The other way round: from shared memory that is aligned to 8.
inline void load_shared(void* to, const std::byte* from, std::size_t size) {
    detail::copy_words(
        [=]<class Piece>(std::size_t off) {
            store_unaligned(static_cast<std::byte*>(to) + off,
                            load_acquire(*reinterpret_cast<const Piece*>(from + off)));
        },
        size);
}

/// Clears shared memory that is aligned to 8.
inline void clear_shared(std::byte* to, std::size_t size) {
    detail::copy_words(
        [=]<class Piece>(std::size_t off) {
            store_release(*reinterpret_cast<Piece*>(to + off), Piece{0});
        },
        size);
}

} // namespace ebpfvm::maps
