// csum_diff: the Internet checksum (RFC 1071), incrementally (RFC 1624).
#include "helpers/helpers.hpp"
#include "support/bits.hpp"

#include <bit>
#include <cstring>

namespace ebpfvm::helpers {
namespace {

// Addition with end-around carry, csum_add() of the kernel. It gives 0 only for 0 + 0; of the two
// zeros of ones' complement all other sums get 0xffffffff.
std::uint32_t add(std::uint32_t a, std::uint32_t b) {
    const std::uint32_t sum = a + b;
    return sum + (sum < b ? 1 : 0);
}

std::uint64_t add(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t sum = a + b;
    return sum + (sum < b ? 1 : 0);
}

// csum_partial() of the kernel. Bytes beyond the last whole word count as one filled up with zeros.
// What is long is added in pairs of words, as one number: carries go from one to the other, and at
// the end of both around. What is short was often stored just before, word by word, and is not to
// wait until wider loads can be served.
std::uint32_t sum_words(const std::byte* data, std::uint32_t size, std::uint32_t sum) {
    constexpr std::uint32_t kLong = 64;
    if (size >= kLong) {
        std::uint64_t pairs = sum;
        for (; size >= sizeof(std::uint64_t); size -= 8, data += 8) {
            pairs = add(pairs, load_unaligned<std::uint64_t>(data));
        }
        sum = add(std::uint32_t(pairs), std::uint32_t(pairs >> 32U));
    }
    for (; size >= sizeof(std::uint32_t); size -= 4, data += 4) {
        sum = add(sum, load_unaligned<std::uint32_t>(data));
    }
    std::uint32_t rest = 0;
    if (size != 0) {
        std::memcpy(&rest, data, size);
    }
    return add(sum, rest);
}

// csum_from32to16() of the kernel.
std::uint32_t fold(std::uint32_t sum) {
    return (sum + std::rotl(sum, 16)) >> 16U;
}

} // namespace

// bpf_csum_diff() as of Linux 6.18: the result is folded to 16 bits, not complemented, and sizes
// need not be multiples of 4 (older kernels return -EINVAL then).
std::uint64_t csum_diff(CallContext&, std::uint64_t from_reg, std::uint64_t from_size_reg,
                        std::uint64_t to_reg, std::uint64_t to_size_reg, std::uint64_t seed) {
    const auto from_size = static_cast<std::uint32_t>(from_size_reg);
    const auto to_size = static_cast<std::uint32_t>(to_size_reg);
    const auto* from = as_pointer<const std::byte>(from_reg);
    const auto* to = as_pointer<const std::byte>(to_reg);
    auto sum = static_cast<std::uint32_t>(seed);
    if (from_size != 0 && to_size != 0) {
        sum = add(sum_words(to, to_size, sum), ~sum_words(from, from_size, 0));
    } else if (to_size != 0) {
        sum = sum_words(to, to_size, sum);
    } else if (from_size != 0) {
        sum = ~sum_words(from, from_size, ~sum);
    }
    return fold(sum);
}

} // namespace ebpfvm::helpers
