// The kernels as BPF programs: r1 = memory, r2 = its size.
#include "kernels.h"

#define X(name)                                                                                    \
    __attribute__((section("kernel/" #name), used)) u64 bpf_##name(u8* mem, u64 size) {            \
        return kernel_##name(mem, size);                                                           \
    }
#include "kernel_names.h"
