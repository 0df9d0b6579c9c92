// What native programs call instead of helpers: the same maps as ours, without a machine between.
#include "ebpfvm/map.hpp"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

extern "C" {
#include "programs/native.h"
}

namespace {

using namespace ebpfvm;

Map& map_of(native_map* definition) {
    if (definition->map == nullptr) {
        static std::vector<std::shared_ptr<Map>> all;
        MapSpec spec;
        spec.type = MapType(definition->type);
        spec.key_size = definition->key_size;
        spec.value_size = definition->value_size;
        spec.max_entries = definition->max_entries;
        auto map = create_map(spec, {.cpus = 1});
        if (!map) {
            std::abort();
        }
        definition->map = map->get();
        all.push_back(*std::move(map));
    }
    return *static_cast<Map*>(definition->map);
}

} // namespace

void* native_map_lookup_elem(native_map* map, const void* key) {
    return map_of(map).lookup_elem(key, {});
}

long native_map_update_elem(native_map* map, const void* key, const void* value,
                            unsigned long long flags) {
    return map_of(map).update_elem(key, value, flags, {});
}

long native_map_delete_elem(native_map* map, const void* key) {
    return map_of(map).delete_elem(key, {});
}

unsigned native_get_prandom_u32() {
    static unsigned state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

long native_loop(unsigned turns, void* callback, void* ctx, unsigned long long /*flags*/) {
    for (unsigned i = 0; i < turns; ++i) {
        if (reinterpret_cast<long (*)(unsigned, void*)>(callback)(i, ctx) != 0) {
            return i + 1;
        }
    }
    return turns;
}

long long native_csum_diff(const unsigned* from, unsigned from_size, const unsigned* to,
                           unsigned to_size, unsigned seed) {
    std::uint64_t sum = seed;
    for (unsigned i = 0; i < from_size / 4; ++i) {
        sum += ~from[i];
    }
    for (unsigned i = 0; i < to_size / 4; ++i) {
        sum += to[i];
    }
    return static_cast<long long>((sum & 0xffffffff) + (sum >> 32));
}
