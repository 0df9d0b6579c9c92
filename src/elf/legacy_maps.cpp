// Maps as `struct bpf_map_def` in section `maps`, the way before BTF. Loaders agreed on the first
// five numbers only; the struct has been 20, 28 and more bytes long. Tested by
// legacy_maps_test.cpp.
#include "elf/map_table.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>

namespace ebpfvm::elf {
namespace {

struct RawMapDef {
    std::uint32_t type;
    std::uint32_t key_size;
    std::uint32_t value_size;
    std::uint32_t max_entries;
    std::uint32_t flags;
};

bool is_legacy_maps(std::string_view name) {
    return name == "maps" || name.starts_with("maps/");
}

// All definitions of a section have one size: what is there, divided by the number of symbols.
Expected<std::uint64_t> definition_size(const Section& section, std::size_t count) {
    if (count == 0 || section.bytes.size() % count != 0) {
        return fail(Errc::MalformedElf, "section \"{}\": {} bytes for {} maps", section.name,
                    section.bytes.size(), count);
    }
    const std::uint64_t size = section.bytes.size() / count;
    if (size < sizeof(RawMapDef)) {
        return fail(Errc::MalformedElf,
                    "section \"{}\": definitions of {} bytes, at least {} "
                    "needed",
                    section.name, size, sizeof(RawMapDef));
    }
    return size;
}

Expected<MapSpec> read_definition(const Section& section, const Symbol& symbol,
                                  std::uint64_t size) {
    if (symbol.value % size != 0 || !fits(symbol.value, size, section.bytes.size())) {
        return fail(Errc::MalformedElf,
                    "map \"{}\": at {} of section \"{}\", expected a multiple "
                    "of {}",
                    symbol.name, symbol.value, section.name, size);
    }
    const auto bytes = section.bytes.subspan(symbol.value, size);
    const auto rest = bytes.subspan(sizeof(RawMapDef));
    if (std::ranges::any_of(rest, [](std::byte b) { return b != std::byte{0}; })) {
        return fail(Errc::Unsupported,
                    "map \"{}\": only the first {} of {} bytes of its "
                    "definition are understood, the rest is not zero",
                    symbol.name, sizeof(RawMapDef), size);
    }
    const auto raw = load_unaligned<RawMapDef>(bytes.data());
    MapSpec spec;
    spec.name = symbol.name;
    spec.type = MapType(raw.type);
    spec.key_size = raw.key_size;
    spec.value_size = raw.value_size;
    spec.max_entries = raw.max_entries;
    spec.flags = raw.flags;
    return spec;
}

Expected<void> define_maps_of(const Input& input, std::uint32_t index, MapTable& maps) {
    const Section& section = input.file.section(index);
    std::vector<const Symbol*> symbols;
    for (const std::uint32_t i : input.file.symbols_in(index)) {
        const Symbol& symbol = input.file.symbol(i);
        if (symbol.type == SymbolType::Object || symbol.type == SymbolType::None) {
            symbols.push_back(&symbol);
        }
    }
    TRY_ASSIGN(const std::uint64_t size, definition_size(section, symbols.size()));
    for (const Symbol* symbol : symbols) {
        TRY_ASSIGN(MapSpec spec, read_definition(section, *symbol, size));
        const std::uint32_t map = maps.add(std::move(spec));
        TRY(maps.add_definition(index, {map, symbol->value, size, std::nullopt}));
    }
    return {};
}

} // namespace

Expected<void> define_legacy_maps(const Input& input, MapTable& maps) {
    for (std::uint32_t i = 0; i < input.file.sections().size(); ++i) {
        const Section& section = input.file.section(i);
        if (section.type == section_type::kProgbits && !section.bytes.empty() &&
            is_legacy_maps(section.name)) {
            TRY(define_maps_of(input, i, maps));
        }
    }
    return {};
}

} // namespace ebpfvm::elf
