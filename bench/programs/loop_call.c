// A loop that bpf_loop() makes: its callback is called once for each byte.
#include "bench.h"

struct state {
    u8* noise;
    u8* end;
    u64 sum;
    u64 hash;
};

static long take_byte(u32 i, struct state* state) {
    u8* at = state->noise + (i & (NOISE - 1));
    if (at + 1 > state->end) {
        return 1;
    }
    state->sum += *at;
    state->hash = (state->hash ^ *at) * 0x100000001b3u;
    return 0;
}

PROGRAM(loop_call) {
    struct state state = {.noise = packet_begin(ctx) + HEADER,
                          .end = packet_end(ctx),
                          .hash = 0xcbf29ce484222325u};
    bpf_loop(NOISE, take_byte, &state, 0);
    return (int)fold64(state.sum ^ state.hash);
}
