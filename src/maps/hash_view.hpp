// A hash map as machine code sees it.
#pragma once

#include "ebpfvm/map.hpp"

#include <cstdint>

namespace ebpfvm::maps {

/// HashMap::lookup_elem() for the map's kind and size of keys, without the virtual call.
using HashLookupFn = void* (*)(Map& map, const void* key, const MapUser& user) noexcept;

/// Where everything is that a lookup looks at; HashMap says how. All addresses stay the same as
/// long as the map lives.
struct HashView {
    HashLookupFn lookup = nullptr;
    std::uint64_t buckets = 0; ///< address of the first
    std::uint32_t bucket_mask = 0;
    std::uint32_t key_size = 0;
    std::uint64_t elements = 0; ///< address of element 0; each begins with an Element and its key
    std::uint64_t element_stride = 0;
    std::uint64_t values = 0; ///< address of the value of element 0, for CPU 0
    std::uint64_t value_stride = 0;
    std::uint64_t cpu_stride = 0; ///< from a value to its copy for the next CPU; 0: there is one
    std::uint64_t seed = 0;       ///< of BasicKey::hash()
    bool is_per_cpu = false;      ///< values lie apart from their elements
    bool is_lru = false;          ///< what is found must be marked as referenced
};

} // namespace ebpfvm::maps
