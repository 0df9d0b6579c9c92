// Rows of map_helpers.def as spans of constants. Tested by kernel/map_access_test.cpp.
#include "prog/map_access.hpp"

#include "ebpfvm/helper.hpp"
#include "prog/enum_list.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace ebpfvm::prog {
namespace {

// What a key stands for in a row, and the values listed there.
template <class Key, class Value>
struct Row {
    Key key;
    std::span<const Value> values;
};

constexpr auto kMapHelpers = [] {
    using enum HelperId;
    return std::to_array<Row<MapType, HelperId>>({
#define EBPFVM_MAP_HELPERS(type, ...) {MapType::type, kList<HelperId __VA_OPT__(, ) __VA_ARGS__>},
#include "ebpfvm/tables/map_helpers.def"
    });
}();

constexpr auto kHelperMaps = [] {
    using enum MapType;
    return std::to_array<Row<HelperId, MapType>>({
#define EBPFVM_HELPER_MAPS(helper, ...) {HelperId::helper, kList<MapType, __VA_ARGS__>},
#include "ebpfvm/tables/map_helpers.def"
    });
}();

constexpr auto kUpdatesSockmap = [] {
    using enum ProgType;
    return std::to_array<Row<HelperId, ProgType>>({
#define EBPFVM_UPDATES_SOCKMAP(helper, ...) {HelperId::helper, kList<ProgType, __VA_ARGS__>},
#include "ebpfvm/tables/map_helpers.def"
    });
}();

constexpr auto kFieldNotIn = [] {
    using enum ProgType;
    return std::to_array<Row<std::string_view, ProgType>>({
#define EBPFVM_FIELD_NOT_IN(field, ...) {field, kList<ProgType, __VA_ARGS__>},
#include "ebpfvm/tables/map_helpers.def"
    });
}();

enum class Listed : std::uint8_t { No, Yes, NoRow };

template <class Rows, class Key, class Value>
Listed listed(const Rows& rows, Key key, Value value) {
    const auto row = std::ranges::find(rows, key, [](const auto& each) { return each.key; });
    if (row == std::end(rows)) {
        return Listed::NoRow;
    }
    return std::ranges::find(row->values, value) != row->values.end() ? Listed::Yes : Listed::No;
}

} // namespace

bool map_allows_helper(MapType map, std::uint32_t id) {
    return listed(kMapHelpers, map, HelperId(id)) != Listed::No &&
           listed(kHelperMaps, HelperId(id), map) != Listed::No;
}

bool map_allows_helper(MapType map, std::uint32_t id, ProgType type) {
    const bool is_sockmap = map == MapType::Sockmap || map == MapType::Sockhash;
    return map_allows_helper(map, id) &&
           (!is_sockmap || listed(kUpdatesSockmap, HelperId(id), type) != Listed::No);
}

bool sleepable_may_use(MapType map) {
    using enum MapType;
    constexpr MapType kMaps[] = {
#define EBPFVM_SLEEPABLE_MAPS(...) __VA_ARGS__
#include "ebpfvm/tables/map_helpers.def"
    };
    return std::ranges::find(kMaps, map) != std::end(kMaps);
}

bool may_use_field(ProgType type, std::string_view field) {
    return listed(kFieldNotIn, field, type) != Listed::Yes;
}

} // namespace ebpfvm::prog
