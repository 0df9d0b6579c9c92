/// What programs compiled as native code see instead of the kernel: native.cpp has the functions.
#pragma once

/// What a native program gets as its `struct xdp_md`.
struct native_ctx {
    unsigned char* data;
    unsigned char* data_end;
};

/// A map definition; the map itself, one of the library's, is made at its first use.
struct native_map {
    unsigned type;
    unsigned key_size;
    unsigned value_size;
    unsigned max_entries;
    void* map;
};

void* native_map_lookup_elem(struct native_map* map, const void* key);
long native_map_update_elem(struct native_map* map, const void* key, const void* value,
                            unsigned long long flags);
long native_map_delete_elem(struct native_map* map, const void* key);
unsigned native_get_prandom_u32(void);
long native_loop(unsigned turns, void* callback, void* ctx, unsigned long long flags);
long long native_csum_diff(const unsigned* from, unsigned from_size, const unsigned* to,
                           unsigned to_size, unsigned seed);
