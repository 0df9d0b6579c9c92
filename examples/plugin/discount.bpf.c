// A well-behaved plugin: gives regular customers a discount, and tells the host about big orders.
#include "plugin_api.h"

#include <ebpfvm/bpf/ebpfvm_bpf.h>

// Offered by the host under these names.
extern int shop_orders_of(uint32_t customer) __ksym;
extern void shop_notify(const void* text, unsigned long size) __ksym;

// The host sets it before it loads the plugin.
const volatile uint32_t regular_after = 10;

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, uint32_t);
    __type(value, uint32_t);
} sold SEC(".maps");

SEC("order")
int discount(struct order* order) {
    static const char kBig[] = "a big order";

    if (order->quantity == 0) {
        return ORDER_REFUSE;
    }
    if (shop_orders_of(order->customer) >= regular_after) {
        order->discount_percent = 5;
    }
    if (order->quantity > 100) {
        shop_notify(kBig, sizeof(kBig) - 1);
    }
    uint32_t item = order->item;
    uint32_t* count = bpf_map_lookup_elem(&sold, &item);
    uint32_t total = order->quantity + (count ? *count : 0);
    bpf_map_update_elem(&sold, &item, &total, BPF_ANY);
    return ORDER_ACCEPT;
}
