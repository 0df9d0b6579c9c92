// A key as words: what hash maps hash, compare and store.
#pragma once

#include "maps/words.hpp"
#include "support/bits.hpp"

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace ebpfvm::maps {

inline constexpr std::size_t kWord = sizeof(std::uint64_t);
/// Of BasicKey::hash(): 2^64 / golden ratio, odd.
inline constexpr std::uint64_t kHashMultiplier = 0x9e37'79b9'7f4a'7c15;

/// A view of key bytes of any alignment. The last word holds the bytes that are left over. Size is
/// std::uint32_t, or a FixedSize if the number is known when the code is compiled.
template <class Size>
class BasicKey {
  public:
    BasicKey(const void* bytes, Size size)
        : bytes_(static_cast<const std::byte*>(bytes)), size_(size) {}

    [[nodiscard]] std::uint32_t hash(std::uint64_t seed) const;
    /// Is it the key stored at `words`? Meaningful only if that element did not change meanwhile.
    [[nodiscard]] bool equals(const std::uint64_t* words) const;
    void store(std::uint64_t* words) const;

  private:
    [[nodiscard]] std::size_t whole_words() const { return size_ / kWord; }
    [[nodiscard]] std::uint64_t word(std::size_t i) const {
        return load_unaligned<std::uint64_t>(bytes_ + i * kWord);
    }
    // The size_ % 8 bytes at the end, in the low bytes of a word.
    [[nodiscard]] std::uint64_t last_word() const;

    const std::byte* bytes_;
    [[no_unique_address]] Size size_;
};

template <std::uint32_t kSize>
using FixedSize = std::integral_constant<std::uint32_t, kSize>;
using Key = BasicKey<std::uint32_t>;

/// Writes the key of `size` bytes that is stored at `words` back as bytes.
void load_key(void* bytes, const std::uint64_t* words, std::uint32_t size);

/// Both halves of the 128-bit product, folded: each bit of the result depends on each bit of both.
[[nodiscard]] inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = Wide{a} * b;
    return std::uint64_t(product) ^ std::uint64_t(product >> 64U);
}

template <class Size>
std::uint64_t BasicKey<Size>::last_word() const {
    const std::byte* at = bytes_ + whole_words() * kWord;
    std::uint64_t word = 0;
    unsigned shift = 0;
    if ((size_ & 4U) != 0) {
        word = load_unaligned<std::uint32_t>(at);
        at += 4;
        shift = 32;
    }
    if ((size_ & 2U) != 0) {
        word |= std::uint64_t{load_unaligned<std::uint16_t>(at)} << shift;
        at += 2;
        shift += 16;
    }
    if ((size_ & 1U) != 0) {
        word |= std::to_integer<std::uint64_t>(*at) << shift;
    }
    return word;
}

// Multiply and fold as in wyhash, one word at a time. (Two words per multiplication, as there,
// spread keys with equal words badly.) The secret seed in each step makes buckets hard to predict.
template <class Size>
std::uint32_t BasicKey<Size>::hash(std::uint64_t seed) const {
    std::uint64_t state = 0;
    for (std::size_t i = 0; i < whole_words(); ++i) {
        state = mix(word(i) ^ (state + seed), kHashMultiplier);
    }
    if (size_ % kWord != 0) {
        state = mix(last_word() ^ (state + seed), kHashMultiplier);
    }
    return std::uint32_t(state);
}

template <class Size>
bool BasicKey<Size>::equals(const std::uint64_t* words) const {
    for (std::size_t i = 0; i < whole_words(); ++i) {
        if (load_acquire(words[i]) != word(i)) {
            return false;
        }
    }
    return size_ % kWord == 0 || load_acquire(words[whole_words()]) == last_word();
}

template <class Size>
void BasicKey<Size>::store(std::uint64_t* words) const {
    for (std::size_t i = 0; i < whole_words(); ++i) {
        store_release(words[i], word(i));
    }
    if (size_ % kWord != 0) {
        store_release(words[whole_words()], last_word());
    }
}

inline void load_key(void* bytes, const std::uint64_t* words, std::uint32_t size) {
    auto* at = static_cast<std::byte*>(bytes);
    std::size_t i = 0;
    for (; size >= kWord; size -= std::uint32_t(kWord), at += kWord) {
        store_unaligned(at, load_acquire(words[i++]));
    }
    std::uint64_t word = size != 0 ? load_acquire(words[i]) : 0;
    if ((size & 4U) != 0) {
        store_unaligned(at, std::uint32_t(word));
        at += 4;
        word >>= 32U;
    }
    if ((size & 2U) != 0) {
        store_unaligned(at, std::uint16_t(word));
        at += 2;
        word >>= 16U;
    }
    if ((size & 1U) != 0) {
        *at = std::byte(word);
    }
}

} // namespace ebpfvm::maps
