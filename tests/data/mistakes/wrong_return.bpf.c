// A cgroup program allows (1) or denies (0); others have other meanings.
#include "mistakes.h"

SEC("cgroup/connect4")
int no_telnet(struct bpf_sock_addr* ctx) {
    if (ctx->user_port == bpf_htons(23)) {
        return -1;
    }
    return 1;
}
