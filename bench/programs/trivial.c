// As little as a program can do: the length of the packet.
#include "bench.h"

PROGRAM(trivial) {
    return (int)(packet_end(ctx) - packet_begin(ctx));
}
