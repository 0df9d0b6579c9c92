#include "elf/map_table.hpp"

#include "support/try.hpp"

#include <algorithm>

namespace ebpfvm::elf {

Expected<void> MapTable::add_definition(std::uint32_t section, MapPlace place) {
    const auto [at, is_new] = definitions_.emplace(Place(section, place.off), place);
    if (!is_new) {
        return fail(Errc::MalformedElf, "maps \"{}\" and \"{}\" are at the same place",
                    maps_[at->second.map].name, maps_[place.map].name);
    }
    return {};
}

const MapPlace* MapTable::definition_at(std::uint32_t section, std::uint64_t off) const {
    const auto found = definitions_.find({section, off});
    return found == definitions_.end() ? nullptr : &found->second;
}

const MapPlace* MapTable::definition_around(std::uint32_t section, std::uint64_t off) const {
    const auto after = definitions_.upper_bound({section, off});
    if (after == definitions_.begin()) {
        return nullptr;
    }
    const auto& [place, definition] = *std::prev(after);
    return place.first == section && off - place.second < definition.size ? &definition : nullptr;
}

bool MapTable::defines_maps(std::uint32_t section) const {
    const auto first = definitions_.lower_bound({section, 0});
    return first != definitions_.end() && first->first.first == section;
}

std::optional<std::uint32_t> MapTable::data_of(std::uint32_t section) const {
    const auto found = data_.find(section);
    return found == data_.end() ? std::nullopt : std::optional(found->second);
}

} // namespace ebpfvm::elf
