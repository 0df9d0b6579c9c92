// A routing table: longest prefixes in a binary trie, for 32 addresses.
#include "bench.h"

#define NODES 256

struct node {
    u16 child[2];
    u16 hop;
    u16 unused;
};
// Filled by the first run.
struct node nodes[NODES];
u32 node_count;

static __always_inline void add_route(u32 address, u32 bits, u16 hop) {
    u32 at = 0;
    for (u32 bit = 0; bit < 12; bit++) {
        if (bit < bits) {
            u16* next = &nodes[at & (NODES - 1)].child[address >> (31 - bit) & 1];
            if (*next == 0) {
                *next = (u16)(node_count = forget_bounds(node_count + 1));
            }
            at = forget_bounds(*next);
        }
    }
    nodes[at & (NODES - 1)].hop = hop;
}

PROGRAM(route) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    const u32* addresses = (const u32*)noise;
    if (node_count == 0) {
        for (u32 i = 0; i < 16; i++) {
            add_route(addresses[i], 4 + (i & 7), (u16)(i + 1));
        }
    }
    u32 sum = 0;
    PASSES(4) {
        for (u32 i = 0; i < 32; i++) {
            u32 address = addresses[i], at = 0, hop = 0;
            for (u32 bit = 0; bit < 12; bit++) {
                const struct node* node = &nodes[at & (NODES - 1)];
                hop = forget_bounds(node->hop ? node->hop : hop);
                at = forget_bounds(node->child[address >> 31]);
                address <<= 1;
                if (at == 0) {
                    break;
                }
            }
            sum = sum * 3 + hop;
        }
    }
    return (int)sum;
}
