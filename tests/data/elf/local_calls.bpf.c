// Static functions in the section of their program: the compiler resolves such calls itself.
#include "test_bpf.h"

static SEC("xdp") __noinline int local(int x) { return x * 11; }
SEC("xdp") int caller(void* ctx) { return local((int)(u64)ctx) + local(2); }
