// Global variables of all kinds of sections.
#include "test_bpf.h"

u64 filler = 0x1122334455667788;
u32 number = 77;
static u32 hidden_number = 88;
const volatile u32 limit = 1000;
static const volatile u8 table[5] = {1, 2, 3, 4, 5};
u64 zeros[4];
static u32 hidden_zero;
u32 custom SEC(".data.custom") = 99;
const char text[] SEC(".rodata.text") = "text";
u32 remote SEC("elsewhere") = 111;

SEC("xdp") int reader(void* ctx) {
    u32 index = (u32)(u64)ctx & 3;
    hidden_zero += number;
    hidden_number += custom;
    remote += 1;
    filler += zeros[index];
    return (int)(limit + table[index] + (u32)text[index] + hidden_number + zeros[2]);
}
