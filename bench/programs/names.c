// DNS names: labels of any length, in lower case, hashed.
#include "bench.h"

#define SIZE 256

// Not constant, so that no compiler folds it.
// clang-format off
char message[SIZE] = "\3www\7example\3com\0\4Mail\12Kernel-Org\3org\0\1a\14root-servers\3NET\0"
                     "\6static\3cdn\6assets\11somewhere\2co\2uk\0\11localhost\0"
                     "\13_dns-sd_tcp\4_udp\5local\0\2ns\4ripe\3net\0\7android\7clients\6google\3com\0"
                     "\3api\6github\3com\0\4time\10cloudfl\4are0\3com\0";
// clang-format on

PROGRAM(names) {
    (void)ctx;
    u32 hash = forget_bounds(2166136261u), names = forget_bounds(0), left = 0;
    PASSES(3) {
        for (u32 i = 0; i < SIZE; i++) {
            u8 c = (u8)message[i];
            names += left == 0;
            if (left != 0) {
                c = c >= 'A' && c <= 'Z' ? c + 32 : c;
            }
            left = forget_bounds(left != 0 ? left - 1 : c & 63);
            hash = (hash ^ c) * 16777619u;
        }
    }
    return (int)(hash + names);
}
