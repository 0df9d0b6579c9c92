// The kernels as native functions, out of line so that each run does its work.
#include "kernels.h"

#define X(name)                                                                                    \
    u64 native_##name(u8* mem, u64 size) { return kernel_##name(mem, size); }
#include "kernel_names.h"
