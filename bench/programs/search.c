// Byte compares: the places where one of two patterns begins.
#include "bench.h"

PROGRAM(search) {
    u8* noise = noise_of(ctx);
    if (!noise) {
        return 0;
    }
    u8 first = noise[600], second = noise[601], third = noise[602];
    u32 found = 0;
    for (u32 i = 0; i + 3 <= NOISE; i++) {
        if (noise[i] == first && noise[i + 1] == second && noise[i + 2] == third) {
            found += i;
        } else if (noise[i] == 'G' && noise[i + 1] == 'E' && noise[i + 2] == 'T') {
            found += i << 12;
        }
    }
    return (int)found;
}
