// Data sections become array maps of one element. Tested by data_maps_test.cpp.
#include "elf/map_table.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <limits>

namespace ebpfvm::elf {
namespace {

bool is_named(std::string_view section, std::string_view name) {
    return section.starts_with(name) &&
           (section.size() == name.size() || section[name.size()] == '.');
}

bool is_data(const Section& section) {
    const bool has_name = is_named(section.name, ".data") || is_named(section.name, ".rodata") ||
                          is_named(section.name, ".bss");
    const bool has_type =
        section.type == section_type::kProgbits || section.type == section_type::kNobits;
    return has_name && has_type && section.size != 0 && section.has(section_flag::kAlloc);
}

// Only the program that runs knows addresses of maps and functions: data cannot hold them.
Expected<void> refuse_relocs(const ElfFile& file, std::uint32_t section) {
    const auto relocs = file.relocs_of(section);
    if (relocs.empty()) {
        return {};
    }
    return fail(Errc::Unsupported,
                "section \"{}\": offset {} holds the address of \"{}\"; "
                "pointers in initialised data are not supported",
                file.section(section).name, relocs.front().off,
                file.symbol(relocs.front().symbol).name);
}

void add_globals_of_symbols(const ElfFile& file, std::uint32_t section, std::uint32_t map,
                            MapTable& maps) {
    for (const std::uint32_t i : file.symbols_in(section)) {
        const Symbol& symbol = file.symbol(i);
        if (symbol.type == SymbolType::Object) {
            maps.add_global({std::string(symbol.name), map, std::uint32_t(symbol.value),
                             std::uint32_t(symbol.size)});
        }
    }
}

Expected<void> add_globals_of_btf(const Input& input, const std::vector<SectionVar>& vars,
                                  std::uint32_t map, MapTable& maps) {
    MapSpec& spec = maps.map(map);
    for (const SectionVar& var : vars) {
        if (var.is_extern) {
            continue;
        }
        if (!fits(var.off, var.size, spec.value_size)) {
            return fail(Errc::MalformedBtf,
                        "variable \"{}\": {} bytes at {} of {} in section "
                        "\"{}\"",
                        var.name, var.size, var.off, spec.value_size, spec.name);
        }
        maps.add_global({std::string(var.name), map, var.off, var.size});
        TRY(maps.finder().find(var.type, var.off, spec.fields));
    }
    spec.value_btf_id = *input.btf->find(spec.name, BtfKind::Datasec);
    return {};
}

// Variables in the arena's address space lie in the object's arena map (as with libbpf).
std::optional<std::uint32_t> arena_of(const Section& section, const MapTable& maps) {
    const auto arena = std::ranges::find(maps.maps(), MapType::Arena, &MapSpec::type);
    const bool is_arena = section.name == ".addr_space.1" && arena != maps.maps().end();
    return is_arena ? std::optional(std::uint32_t(arena - maps.maps().begin())) : std::nullopt;
}

MapSpec data_spec(const Section& section) {
    const bool is_readonly =
        is_named(section.name, ".rodata") || !section.has(section_flag::kWrite);
    MapSpec spec;
    spec.name = section.name;
    spec.type = MapType::Array;
    spec.key_size = 4;
    spec.value_size = std::uint32_t(section.size);
    spec.max_entries = 1;
    spec.flags = is_readonly ? map_flags::kRdonlyProg : 0;
    spec.data.assign(section.bytes.begin(), section.bytes.end());
    spec.frozen = is_readonly;
    return spec;
}

} // namespace

Expected<std::uint32_t> define_data_map(const Input& input, std::uint32_t index, MapTable& maps) {
    const Section& section = input.file.section(index);
    if (section.size > std::numeric_limits<std::uint32_t>::max()) {
        return fail(Errc::LimitExceeded, "section \"{}\": {} bytes of data", section.name,
                    section.size);
    }
    TRY(refuse_relocs(input.file, index));
    if (const auto arena = arena_of(section, maps)) {
        maps.map(*arena).data.assign(section.bytes.begin(), section.bytes.end());
        maps.add_data(index, *arena);
        return *arena;
    }
    const std::uint32_t map = maps.add(data_spec(section));
    maps.add_data(index, map);
    const auto vars = section_vars(input, index);
    if (vars.empty()) {
        add_globals_of_symbols(input.file, index, map, maps);
    } else {
        TRY(add_globals_of_btf(input, vars, map, maps));
    }
    return map;
}

Expected<void> define_data_maps(const Input& input, MapTable& maps) {
    for (std::uint32_t i = 0; i < input.file.sections().size(); ++i) {
        if (is_data(input.file.section(i))) {
            TRY(define_data_map(input, i, maps));
        }
    }
    return {};
}

} // namespace ebpfvm::elf
