// Two fields of the context at once.
#include "mistakes.h"

SEC("xdp")
int both(struct xdp_md* ctx) {
    __u64* fields = (void*)ctx;
    barrier_var(fields);
    return *fields ? XDP_PASS : XDP_DROP;
}
