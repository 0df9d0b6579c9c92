// Numbers of more than 32 bits.
#include "test_bpf.h"

struct {
    __uint(type, 33);
    __uint(map_flags, 1 << 10);
    __uint(max_entries, 100);
    __ulong(map_extra, 0x100000000000ULL);
} arena SEC(".maps");
