// Integer helpers that every layer needs: checked ranges, byte order, unaligned access.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ebpfvm {

/// True if [off, off + size) lies in [0, limit), without overflow.
[[nodiscard]] constexpr bool fits(std::uint64_t off, std::uint64_t size, std::uint64_t limit) {
    return size <= limit && off <= limit - size;
}

/// The low `n` bits set, n in 0..64.
[[nodiscard]] constexpr std::uint64_t low_mask(unsigned n) {
    return n >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << n) - 1;
}

/// `value` rounded up to a multiple of `align`, a power of two. Must not overflow.
template <std::unsigned_integral U>
[[nodiscard]] constexpr U round_up(U value, std::type_identity_t<U> align) {
    return U(U(value + align - 1) & U(~U(align - 1)));
}

/// Copies a T out of memory of any alignment.
template <class T>
[[nodiscard]] inline T load_unaligned(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
}

template <class T>
inline void store_unaligned(void* to, T value) {
    std::memcpy(to, &value, sizeof(T));
}

/// Swaps bytes of big-endian data on a little-endian host and the other way round.
template <std::unsigned_integral U>
[[nodiscard]] constexpr U byteswap(U value) {
    if constexpr (sizeof(U) == 1) {
        return value;
    } else if constexpr (sizeof(U) == 2) {
        return __builtin_bswap16(value);
    } else if constexpr (sizeof(U) == 4) {
        return __builtin_bswap32(value);
    } else {
        return __builtin_bswap64(value);
    }
}

template <std::unsigned_integral U>
[[nodiscard]] constexpr U from_big_endian(U value) {
    return std::endian::native == std::endian::big ? value : byteswap(value);
}

} // namespace ebpfvm
