// No program section: plain functions, as userspace VMs are given. Compiled with -ffreestanding.
#include "test_bpf.h"

static __noinline int helper(int x) { return x * 23; }
int main(void* memory) { return helper((int)(u64)memory); }
