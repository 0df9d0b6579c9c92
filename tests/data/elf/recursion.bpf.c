// Functions that call each other in a circle, and themselves.
#include "test_bpf.h"

__noinline int ping(int x);
__noinline int pong(int x) { return x > 100 ? x : ping(x + 1) + 2; }
__noinline int ping(int x) { return x > 50 ? pong(x * 2) + 1 : ping(x * 3) + x; }

SEC("socket") int entry(void* ctx) { return ping((int)(u64)ctx); }
