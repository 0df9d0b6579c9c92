// A plugin that misbehaves, once in each way a host fears most.
#include "plugin_api.h"

#include <ebpfvm/bpf/ebpfvm_bpf.h>

SEC("order")
int peek(struct order* order) { // reads what lies behind the order
    return *(volatile int*)((char*)order + sizeof(*order));
}

SEC("order")
int scribble(struct order* order) { // writes to an address it made up
    *(volatile int*)0x400000 = 1;
    return ORDER_ACCEPT;
}

SEC("order")
int spin(struct order* order) { // never ends
    while (*(volatile uint32_t*)&order->quantity != 0xffffffff) {
    }
    return ORDER_ACCEPT;
}
