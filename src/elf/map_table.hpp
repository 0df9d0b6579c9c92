// The maps of an object while it is being linked, and where in the file each comes from.
#pragma once

#include "elf/code.hpp"
#include "elf/input.hpp"
#include "elf/special_fields.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ebpfvm::elf {

/// Where a map's definition is. `values_off` is that of its static `values` in the definition.
struct MapPlace {
    std::uint32_t map = 0;
    std::uint64_t off = 0;
    std::uint64_t size = 0;
    std::optional<std::uint32_t> values_off;
};

class MapTable {
  public:
    explicit MapTable(const Input& input) : finder_(input.btf.get()) {}

    [[nodiscard]] const std::vector<MapSpec>& maps() const { return maps_; }
    [[nodiscard]] MapSpec& map(std::uint32_t index) { return maps_[index]; }
    [[nodiscard]] const std::vector<Global>& globals() const { return globals_; }
    [[nodiscard]] FieldFinder& finder() { return finder_; }

    std::uint32_t add(MapSpec spec) {
        maps_.push_back(std::move(spec));
        return std::uint32_t(maps_.size() - 1);
    }
    void add_global(Global global) { globals_.push_back(std::move(global)); }

    /// A map that is defined by a variable in `section`. Errors: Errc::MalformedElf if another one
    /// begins at the same place.
    Expected<void> add_definition(std::uint32_t section, MapPlace place);
    /// The definition that begins at `off`, or holds the byte there; nullptr if none.
    [[nodiscard]] const MapPlace* definition_at(std::uint32_t section, std::uint64_t off) const;
    [[nodiscard]] const MapPlace* definition_around(std::uint32_t section, std::uint64_t off) const;
    /// Does the section hold map definitions?
    [[nodiscard]] bool defines_maps(std::uint32_t section) const;

    void add_data(std::uint32_t section, std::uint32_t map) { data_[section] = map; }
    /// The array map that holds a data section.
    [[nodiscard]] std::optional<std::uint32_t> data_of(std::uint32_t section) const;

  private:
    using Place = std::pair<std::uint32_t, std::uint64_t>; // section, off

    FieldFinder finder_;
    std::vector<MapSpec> maps_;
    std::vector<Global> globals_;
    std::map<Place, MapPlace> definitions_;
    std::map<std::uint32_t, std::uint32_t> data_; // section -> map
};

/// Maps defined through BTF in `.maps`. Errors: Errc::MalformedElf, Unsupported (no BTF).
Expected<void> define_btf_maps(const Input& input, MapTable& maps);

/// Maps of `struct bpf_map_def` in sections `maps` and `maps/...`.
Expected<void> define_legacy_maps(const Input& input, MapTable& maps);

/// Array maps for .rodata, .data, .bss and their kin, and the global variables in them.
Expected<void> define_data_maps(const Input& input, MapTable& maps);
/// The same for one section that a program refers to, whatever its name.
Expected<std::uint32_t> define_data_map(const Input& input, std::uint32_t section, MapTable& maps);

/// Fills MapSpec::slots from `values` that the source initialises.
Expected<void> fill_map_slots(const Input& input, const Code& code, MapTable& maps);

} // namespace ebpfvm::elf
