// A socket that was found must be released on every path.
#include "mistakes.h"

SEC("tc")
int known(struct __sk_buff* skb) {
    struct bpf_sock_tuple tuple = {.dport = bpf_htons(80)};
    struct bpf_sock* sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple), -1, 0);
    if (sk) {
        return TC_ACT_OK;
    }
    return TC_ACT_SHOT;
}
