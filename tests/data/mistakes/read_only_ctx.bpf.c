// This field can only be read.
#include "mistakes.h"

SEC("tc")
int shorten(struct __sk_buff* skb) {
    skb->len = 64;
    return TC_ACT_OK;
}
