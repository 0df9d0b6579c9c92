/* Small kernels, one source for native code and for BPF. Each works on `size` bytes at `mem` (at least
 * 4096, a multiple of 8) and returns a number that depends on all its work. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define NOINLINE __attribute__((noinline))

/* Bytes that the kernels may rely on; a constant, so that compilers know the loops end. */
#define BUFFER 4096

/* 64-bit arithmetic: a xorshift generator with a multiplication. */
static inline u64 kernel_alu64(u8* mem, u64 size) {
    u64 x = size + 88172645463325252ull;
    for (int i = 0; i < 1000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x *= 2685821657736338717ull;
    }
    return x + mem[0];
}

/* 32-bit arithmetic: the finaliser of MurmurHash3, again and again. */
static inline u64 kernel_alu32(u8* mem, u64 size) {
    u32 h = (u32)size;
    for (u32 i = 0; i < 1000; i++) {
        h ^= i;
        h ^= h >> 16;
        h *= 0x85ebca6bu;
        h ^= h >> 13;
        h *= 0xc2b2ae35u;
        h ^= h >> 16;
    }
    return h + mem[0];
}

/* Divisions: greatest common divisors. */
static inline u64 kernel_gcd(u8* mem, u64 size) {
    u64 sum = mem[0];
    for (u64 i = 1; i <= 64; i++) {
        u64 a = size * 977 + i * 7919;
        u64 b = i * 104729;
        while (b != 0) {
            u64 t = a % b;
            a = b;
            b = t;
        }
        sum += a;
    }
    return sum;
}

/* Word loads: the sum of the buffer. */
static inline u64 kernel_sum_words(u8* mem, u64 size) {
    const u32* words = (const u32*)mem;
    u64 sum = size;
    for (u32 i = 0; i < BUFFER / 4; i++) {
        sum = sum * 3 + words[i];
    }
    return sum;
}

/* Byte loads: FNV-1a. */
static inline u64 kernel_fnv1a(u8* mem, u64 size) {
    u64 hash = 14695981039346656037ull + size;
    for (u32 i = 0; i < BUFFER; i++) {
        hash = (hash ^ mem[i]) * 1099511628211ull;
    }
    return hash;
}

/* The internet checksum of the buffer, 16 bits at a time. */
static inline u64 kernel_checksum(u8* mem, u64 size) {
    const u16* words = (const u16*)mem;
    u32 sum = (u32)size;
    for (u32 i = 0; i < BUFFER / 2; i++) {
        sum += words[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return ~sum & 0xffff;
}

/* Stores: writes the second half of the buffer from its first. */
static inline u64 kernel_copy(u8* mem, u64 size) {
    u64* words = (u64*)mem;
    for (u32 i = 0; i < BUFFER / 16; i++) {
        words[BUFFER / 16 + i] = words[i] + size;
    }
    return words[BUFFER / 8 - 1];
}

/* Branches that depend on data: lengths of Collatz sequences. */
static inline u64 kernel_collatz(u8* mem, u64 size) {
    u64 steps = mem[0] + size;
    for (u32 i = 1; i < 100; i++) {
        for (u64 n = i; n != 1; steps++) {
            n = n & 1 ? 3 * n + 1 : n / 2;
        }
    }
    return steps;
}

/* Loads, stores and branches: insertion sort of 64 words. */
static inline u64 kernel_sort(u8* mem, u64 size) {
    u32* a = (u32*)mem;
    u32 x = (u32)size;
    for (u32 i = 0; i < 64; i++) {
        x = x * 1664525u + 1013904223u;
        a[i] = x >> 8;
    }
    for (u32 i = 1; i < 64; i++) {
        u32 v = a[i];
        u32 j = i;
        for (; j > 0 && a[j - 1] > v; j--) {
            a[j] = a[j - 1];
        }
        a[j] = v;
    }
    return a[0] + a[63];
}

/* A state machine: a switch per byte. */
static inline u64 kernel_switch(u8* mem, u64 size) {
    u64 state = size;
    for (u32 i = 0; i < BUFFER / 4; i++) {
        switch (mem[i] & 15) {
        case 0: state += 3; break;
        case 1: state ^= 0x55; break;
        case 2: state <<= 1; break;
        case 3: state -= i; break;
        case 4: state *= 5; break;
        case 5: state |= 1; break;
        case 6: state >>= 2; break;
        case 7: state += mem[i + 1]; break;
        case 8: state ^= state >> 3; break;
        case 9: state += 17; break;
        case 10: state = ~state; break;
        case 11: state -= 9; break;
        case 12: state *= 3; break;
        default: state += state << 2; break;
        }
    }
    return state;
}

static NOINLINE u64 call_leaf(u64 a, u64 b) { return a * 31 + (b ^ (a >> 5)); }
static NOINLINE u64 call_middle(u64 a, u64 b, u64 c) { return call_leaf(a, c) + call_leaf(b, a); }

/* Subprogram calls: three for each round. */
static inline u64 kernel_calls(u8* mem, u64 size) {
    u64 x = size;
    for (u64 i = 0; i < 300; i++) {
        x = call_middle(x, i, mem[i]);
    }
    return x;
}

/* Byte loads and compares as in a packet parser: walks 60-byte frames and classifies them. */
static inline u64 kernel_parse(u8* mem, u64 size) {
    u64 tcp = 0, udp = 0, other = size;
    for (u32 at = 0; at + 60 <= BUFFER; at += 60) {
        const u8* eth = mem + at;
        u16 proto = (u16)(eth[12] << 8 | eth[13]);
        const u8* ip = eth + 14;
        if (proto == 0x8100) {
            proto = (u16)(eth[16] << 8 | eth[17]);
            ip += 4;
        }
        if ((proto & 0xff) < 0x80 && (ip[0] >> 4) < 12) {
            u32 ihl = (ip[0] & 7) * 4;
            if (ip[9] & 1) {
                tcp += (u32)(ip[ihl] << 8 | ip[ihl + 1]);
            } else {
                udp += ip[ihl + 3];
            }
        } else {
            other++;
        }
    }
    return tcp * 3 + udp * 5 + other;
}
