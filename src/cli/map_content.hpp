// What the maps of a module hold, ready to be printed: keys and values through BTF where it is
// known.
#pragma once

#include "cli/json.hpp"
#include "cli/style.hpp"
#include "ebpfvm/vm.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ebpfvm::cli {

struct MapEntry {
    Json key;
    Json value;              ///< in per-cpu maps an array, one value per virtual CPU
    std::optional<Json> sum; ///< in per-cpu maps, if all values are numbers or structs of them
};

struct MapContent {
    std::string name;
    MapType type = MapType::Unspec;
    std::uint32_t max_entries = 0;
    std::uint64_t entry_count = 0; ///< elements; in arrays those that are not all zero
    std::vector<MapEntry> entries; ///< the first ones, ascending by key
    std::optional<Json> globals;   ///< for .rodata, .data, .bss: an object, by name
    std::optional<Json> records;   ///< for a ringbuf: the first ones in hex; entry_count has all
};

/// Takes records out of ringbufs while programs run, lest they fill up.
class RingbufLog {
  public:
    /// Keeps the first `limit` records of each map.
    explicit RingbufLog(std::size_t limit) : limit_(limit) {}
    void drain(const Module& module);

    struct Records {
        std::uint64_t count = 0;
        Json::Array first; ///< hex
    };
    [[nodiscard]] const Records& of(const Map& map) const;

  private:
    std::size_t limit_;
    std::map<const Map*, Records> records_;
};

/// Reads all maps, at most `limit` entries of each.
[[nodiscard]] std::vector<MapContent> read_maps(const Module& module, const RingbufLog& ringbufs,
                                                std::size_t limit);

[[nodiscard]] Json to_json(const MapContent& content);
[[nodiscard]] Json to_json(const std::vector<MapContent>& contents);
/// Several lines, each ended; maps without anything to show take one.
[[nodiscard]] std::string to_text(const MapContent& content, const Style& style);

} // namespace ebpfvm::cli
