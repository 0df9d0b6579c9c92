// Memory of a map: how often each byte occurs, counted in the value of an array.
#include "bench.h"

struct counts {
    u32 of[256];
};
MAP(counts, BPF_MAP_TYPE_ARRAY, 1, u32, struct counts);

PROGRAM(histogram) {
    u8* noise = noise_of(ctx);
    u32 zero = 0;
    struct counts* value = bpf_map_lookup_elem(&counts, &zero);
    if (!noise || !value) {
        return 0;
    }
    PASSES(4) {
        for (u32 i = 0; i < NOISE; i++) {
            value->of[noise[i]]++;
        }
    }
    return (int)(value->of[0] + value->of[77] * 3 + value->of[255] * 5);
}
