// Data that holds an address.
#include "test_bpf.h"

int target = 1;
int* pointer = &target;

SEC("xdp") int reader(void* ctx) { return *pointer; }
