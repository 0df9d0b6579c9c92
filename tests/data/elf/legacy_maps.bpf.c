// Maps as they were defined before BTF. MAP_DEF_EXTRA adds bytes to the definition.
#include "test_bpf.h"

struct bpf_map_def {
    u32 type;
    u32 key_size;
    u32 value_size;
    u32 max_entries;
    u32 map_flags;
#ifdef MAP_DEF_EXTRA
    u32 extra[MAP_DEF_EXTRA];
#endif
};

struct bpf_map_def SEC("maps") alpha = {.type = 1, .key_size = 8, .value_size = 16, .max_entries = 32};
struct bpf_map_def SEC("maps") beta = {
    .type = 2,
    .key_size = 4,
    .value_size = 64,
    .max_entries = 2,
    .map_flags = 1,
#ifdef MAP_DEF_EXTRA_VALUE
    .extra = {MAP_DEF_EXTRA_VALUE},
#endif
};

SEC("xdp") int reader(void* ctx) {
    u64 key = 0;
    return bpf_map_lookup_elem(&alpha, &key) && bpf_map_lookup_elem(&beta, &key);
}
