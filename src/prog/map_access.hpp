// Which helpers work on which maps, and which maps a program may refer to (tables/map_helpers.def).
#pragma once

#include "ebpfvm/map.hpp"
#include "ebpfvm/prog_type.hpp"

#include <cstdint>
#include <string_view>

namespace ebpfvm::prog {

/// May a map of this type be the ConstMapPtr argument of helper `id` of the UAPI?
[[nodiscard]] bool map_allows_helper(MapType map, std::uint32_t id);

/// The same in a program of `type`: few may change sockmaps and sockhashes.
[[nodiscard]] bool map_allows_helper(MapType map, std::uint32_t id, ProgType type);

/// May a sleepable program refer to a map of this type at all?
[[nodiscard]] bool sleepable_may_use(MapType map);

/// May programs of `type` refer to a map that has such a field in its value (MapField::kind)?
[[nodiscard]] bool may_use_field(ProgType type, std::string_view field);

} // namespace ebpfvm::prog
