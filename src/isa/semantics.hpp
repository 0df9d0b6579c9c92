// What each operation computes, once, for every engine, the verifier's constant folding and the
// test oracles. All are total functions on unsigned values of any width; nothing here is undefined.
#pragma once

#include "support/bits.hpp"

#include <bit>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace ebpfvm::isa::semantics {

template <std::unsigned_integral U>
inline constexpr unsigned kBits = std::numeric_limits<U>::digits;

template <std::unsigned_integral U>
using Signed = std::make_signed_t<U>;

// Arithmetic (RFC 9669 §4.1): the result of `dst <op> src`. Overflow wraps.

struct Add {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(dst + src);
    }
};
struct Sub {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(dst - src);
    }
};
struct Mul {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(std::uint64_t(dst) * std::uint64_t(src)); // u64: a u16 product could overflow int
    }
};
struct Div { // x / 0 == 0
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return src == 0 ? U{0} : U(dst / src);
    }
};
struct Sdiv { // x / 0 == 0; MIN / -1 wraps to MIN; rounds toward zero
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        if (src == 0) {
            return 0;
        }
        if (Signed<U>(src) == -1) {
            return U(U{0} - dst);
        }
        return U(Signed<U>(dst) / Signed<U>(src));
    }
};
struct Mod { // x % 0 == x
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return src == 0 ? dst : U(dst % src);
    }
};
struct Smod { // x % 0 == x; MIN % -1 == 0; takes the sign of dst
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        if (src == 0) {
            return dst;
        }
        if (Signed<U>(src) == -1) {
            return 0;
        }
        return U(Signed<U>(dst) % Signed<U>(src));
    }
};
struct Or {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(dst | src);
    }
};
struct And {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(dst & src);
    }
};
struct Xor {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(dst ^ src);
    }
};
struct Lsh { // shift counts are taken modulo the width
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(dst << (src & (kBits<U> - 1)));
    }
};
struct Rsh {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(dst >> (src & (kBits<U> - 1)));
    }
};
struct Arsh {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst, U src) const {
        return U(Signed<U>(dst) >> (src & (kBits<U> - 1)));
    }
};
struct Mov {
    template <std::unsigned_integral U>
    constexpr U operator()(U, U src) const {
        return src;
    }
};
struct Neg {
    template <std::unsigned_integral U>
    constexpr U operator()(U dst) const {
        return U(U{0} - dst);
    }
};

/// Moves with sign extension: the low `From` bits of src, extended to U.
template <unsigned From>
struct SignExtend {
    template <std::unsigned_integral U>
    constexpr U operator()(U src) const {
        const unsigned shift = kBits<U> - From;
        return U(Signed<U>(U(src << shift)) >> shift);
    }
};

/// Byte order operations (RFC 9669 §4.2) on the low `Bits` bits; the rest becomes zero.
template <unsigned Bits>
constexpr std::uint64_t truncate(std::uint64_t value) {
    return Bits == 64 ? value : value & ((std::uint64_t{1} << (Bits % 64)) - 1);
}
template <unsigned Bits>
struct Bswap {
    constexpr std::uint64_t operator()(std::uint64_t value) const {
        return byteswap(value) >> (64 - Bits);
    }
};
template <unsigned Bits>
struct ToLe {
    constexpr std::uint64_t operator()(std::uint64_t value) const {
        return std::endian::native == std::endian::little ? truncate<Bits>(value)
                                                          : Bswap<Bits>{}(value);
    }
};
template <unsigned Bits>
struct ToBe {
    constexpr std::uint64_t operator()(std::uint64_t value) const {
        return std::endian::native == std::endian::big ? truncate<Bits>(value)
                                                       : Bswap<Bits>{}(value);
    }
};

// One alias per row of insn.def.
struct Le16 : ToLe<16> {};
struct Le32 : ToLe<32> {};
struct Le64 : ToLe<64> {};
struct Be16 : ToBe<16> {};
struct Be32 : ToBe<32> {};
struct Be64 : ToBe<64> {};
struct Bswap16 : Bswap<16> {};
struct Bswap32 : Bswap<32> {};
struct Bswap64 : Bswap<64> {};

// Comparisons (RFC 9669 §4.3): is the jump taken?

struct Jeq {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return dst == src;
    }
};
struct Jne {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return dst != src;
    }
};
struct Jset {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return (dst & src) != 0;
    }
};
struct Jgt {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return dst > src;
    }
};
struct Jge {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return dst >= src;
    }
};
struct Jlt {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return dst < src;
    }
};
struct Jle {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return dst <= src;
    }
};
struct Jsgt {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return Signed<U>(dst) > Signed<U>(src);
    }
};
struct Jsge {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return Signed<U>(dst) >= Signed<U>(src);
    }
};
struct Jslt {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return Signed<U>(dst) < Signed<U>(src);
    }
};
struct Jsle {
    template <std::unsigned_integral U>
    constexpr bool operator()(U dst, U src) const {
        return Signed<U>(dst) <= Signed<U>(src);
    }
};

// Atomics (RFC 9669 §5.3): act on *mem, sequentially consistent. mem is aligned to its size.

struct AtomicAdd {
    template <std::unsigned_integral U>
    void operator()(U* mem, U src) const {
        __atomic_fetch_add(mem, src, __ATOMIC_SEQ_CST);
    }
};
struct AtomicOr {
    template <std::unsigned_integral U>
    void operator()(U* mem, U src) const {
        __atomic_fetch_or(mem, src, __ATOMIC_SEQ_CST);
    }
};
struct AtomicAnd {
    template <std::unsigned_integral U>
    void operator()(U* mem, U src) const {
        __atomic_fetch_and(mem, src, __ATOMIC_SEQ_CST);
    }
};
struct AtomicXor {
    template <std::unsigned_integral U>
    void operator()(U* mem, U src) const {
        __atomic_fetch_xor(mem, src, __ATOMIC_SEQ_CST);
    }
};

/// The fetch forms: the value *mem held before. `expected` (r0) matters to Cmpxchg alone.
struct FetchAdd {
    template <std::unsigned_integral U>
    U operator()(U* mem, U src, U) const {
        return __atomic_fetch_add(mem, src, __ATOMIC_SEQ_CST);
    }
};
struct FetchOr {
    template <std::unsigned_integral U>
    U operator()(U* mem, U src, U) const {
        return __atomic_fetch_or(mem, src, __ATOMIC_SEQ_CST);
    }
};
struct FetchAnd {
    template <std::unsigned_integral U>
    U operator()(U* mem, U src, U) const {
        return __atomic_fetch_and(mem, src, __ATOMIC_SEQ_CST);
    }
};
struct FetchXor {
    template <std::unsigned_integral U>
    U operator()(U* mem, U src, U) const {
        return __atomic_fetch_xor(mem, src, __ATOMIC_SEQ_CST);
    }
};
struct Xchg {
    template <std::unsigned_integral U>
    U operator()(U* mem, U src, U) const {
        return __atomic_exchange_n(mem, src, __ATOMIC_SEQ_CST);
    }
};
struct Cmpxchg {
    template <std::unsigned_integral U>
    U operator()(U* mem, U src, U expected) const {
        __atomic_compare_exchange_n(mem, &expected, src, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        return expected;
    }
};

static_assert(Sdiv{}(0x8000'0000u, 0xffff'ffffu) == 0x8000'0000u);
static_assert(Smod{}(0x8000'0000u, 0xffff'ffffu) == 0u);
static_assert(Mod{}(7u, 0u) == 7u && Div{}(7u, 0u) == 0u);
static_assert(Arsh{}(std::uint64_t{1} << 63, std::uint64_t{65}) == std::uint64_t{3} << 62);
static_assert(SignExtend<8>{}(0x80u) == 0xffff'ff80u);
static_assert(Be16{}(0x1122'3344) ==
              (std::endian::native == std::endian::little ? 0x4433 : 0x3344));

} // namespace ebpfvm::isa::semantics
