// From a row of map_types.def to an object.
#include "maps/array_map.hpp"
#include "maps/hash_map.hpp"
#include "maps/map_of_maps.hpp"
#include "maps/prog_array_map.hpp"
#include "maps/ringbuf_map.hpp"
#include "maps/spec_checks.hpp"

#include <cstring>
#include <utility>

namespace ebpfvm {
namespace {

using maps::fail_map;

Expected<std::shared_ptr<Map>> create_empty(const MapSpec& spec, const MapOptions& options) {
    switch (spec.type) {
#define EBPFVM_MAP_TYPE(name, id, text, Class)                                                     \
    case MapType::name:                                                                            \
        return maps::Class::create(spec, options);
#define EBPFVM_MAP_TYPE_ABSENT(name, id, text)                                                     \
    case MapType::name:                                                                            \
        return fail_map(Errc::Unsupported, spec, "type {} is not available here", text);
#include "ebpfvm/tables/map_types.def"
    case MapType::Unspec:
        return fail_map(Errc::InvalidArgument, spec, "has no type");
    }
    return fail_map(Errc::Unsupported, spec, "type {} is unknown", std::to_underlying(spec.type));
}

} // namespace

Expected<std::shared_ptr<Map>> create_map(const MapSpec& spec, const MapOptions& options) {
    if (spec.data.size() > spec.value_size) {
        return fail_map(Errc::InvalidArgument, spec, "{} bytes of data for a value of {}",
                        spec.data.size(), spec.value_size);
    }
    TRY_ASSIGN(std::shared_ptr<Map> map, create_empty(spec, options));
    if (!spec.data.empty()) {
        const std::uint32_t first = 0;
        void* value = spec.type == MapType::Array ? map->lookup_elem(&first, {}) : nullptr;
        if (value == nullptr) {
            return fail_map(Errc::InvalidArgument, spec, "data is for type array, not {}",
                            name_of(spec.type));
        }
        std::memcpy(value, spec.data.data(), spec.data.size());
    }
    if (spec.frozen) {
        map->freeze();
    }
    return map;
}

} // namespace ebpfvm
