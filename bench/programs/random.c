// A random number, which many samplers begin with.
#include "bench.h"

PROGRAM(random) {
    (void)ctx;
    bpf_get_prandom_u32();
    return 1;
}
