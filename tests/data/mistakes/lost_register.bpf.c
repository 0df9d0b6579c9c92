// Hand-written assembly keeps a value in r1 across a call.
#include "mistakes.h"

SEC("xdp")
int twice(struct xdp_md* ctx) {
    int result;
    __asm__ volatile("r1 = 2\n"
                     "call 7\n"
                     "%0 = r1\n"
                     : "=r"(result)
                     :
                     : "r0", "r1", "r2", "r3", "r4", "r5");
    return result;
}
