// What the host must provide.
#include "test_bpf.h"

extern u64 host_add(u64 a, u64 b) __ksym;
extern void host_maybe(void) __ksym __weak;
extern u64 host_add___flavor(u64 a, u64 b) __ksym;
extern const int host_counter __ksym;
extern const void host_absent __ksym __weak;

SEC("xdp") int caller(void* ctx) {
    u64 sum = host_add(1, 2);
    if (host_maybe)
        host_maybe();
    if (&host_absent)
        sum++;
    return (int)(sum + (u64)host_counter + host_add___flavor(3, 4));
}
