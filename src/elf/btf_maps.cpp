// Maps as libbpf's macros define them: a struct in `.maps` whose member types carry the numbers.
// __uint(name, n) is `int (*name)[n]`, __type(name, t) is `t *name`, __array(values, t) is `t
// *values[]`, __ulong(name, n) an enum with one value. Tested by btf_maps_test.cpp.
#include "elf/map_table.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <limits>

namespace ebpfvm::elf {
namespace {

constexpr std::size_t kMaxMembers = 64; // of a definition; there are a dozen known ones

class DefinitionReader {
  public:
    DefinitionReader(const Btf& btf, FieldFinder& finder) : btf_(btf), finder_(finder) {}

    Expected<MapSpec> read(std::string name, std::uint32_t type_id, bool is_inner = false);
    /// Of the definition read last.
    [[nodiscard]] std::optional<std::uint32_t> values_off() const { return values_off_; }

  private:
    Expected<void> read_member(MapSpec& spec, const BtfMember& member, bool is_inner);
    Expected<void> read_number(MapSpec& spec, const BtfMember& member);
    Expected<void> read_type(MapSpec& spec, const BtfMember& member);
    Expected<void> read_values(MapSpec& spec, const BtfMember& member);
    [[nodiscard]] std::optional<std::uint64_t> number_of(std::uint32_t type_id) const;
    template <class... Args>
    static std::unexpected<Error> bad(const MapSpec& spec, fmt::format_string<Args...> format,
                                      Args&&... args) {
        return fail(Errc::MalformedElf, "map \"{}\": {}", spec.name,
                    fmt::format(format, std::forward<Args>(args)...));
    }

    const Btf& btf_;
    FieldFinder& finder_;
    std::optional<std::uint32_t> values_off_;
};

struct NumberMember {
    std::string_view name;
    std::uint32_t MapSpec::*to;
};

constexpr NumberMember kNumbers[] = {
    {"max_entries", &MapSpec::max_entries}, {"map_flags", &MapSpec::flags},
    {"key_size", &MapSpec::key_size},       {"value_size", &MapSpec::value_size},
    {"pinning", &MapSpec::pinning},
};

Expected<MapSpec> DefinitionReader::read(std::string name, std::uint32_t type_id, bool is_inner) {
    MapSpec spec;
    spec.name = std::move(name);
    const std::uint32_t id = btf_.resolve(type_id);
    if (btf_.kind(id) != BtfKind::Struct || btf_.type(id).vlen > kMaxMembers) {
        return bad(spec, "defined by a {} with {} members, expected a struct of at most {}",
                   name_of(btf_.kind(id)), btf_.type(id).vlen, kMaxMembers);
    }
    for (const BtfMember& member : btf_.members(id)) {
        TRY(read_member(spec, member, is_inner));
    }
    if (spec.type == MapType::Unspec) {
        return bad(spec, "no type");
    }
    return spec;
}

Expected<void> DefinitionReader::read_member(MapSpec& spec, const BtfMember& member,
                                             bool is_inner) {
    if (member.name == "key" || member.name == "value") {
        return read_type(spec, member);
    }
    if (member.name == "values") {
        if (is_inner) {
            return bad(spec, "an inner map cannot hold maps or programs");
        }
        return read_values(spec, member);
    }
    return read_number(spec, member);
}

std::optional<std::uint64_t> DefinitionReader::number_of(std::uint32_t type_id) const {
    std::uint32_t id = btf_.resolve(type_id);
    if (btf_.kind(id) == BtfKind::Ptr) {
        id = btf_.resolve(btf_.type(id).type);
        return btf_.kind(id) == BtfKind::Array ? std::optional<std::uint64_t>(btf_.array(id).count)
                                               : std::nullopt;
    }
    const bool is_enum = btf_.kind(id) == BtfKind::Enum || btf_.kind(id) == BtfKind::Enum64;
    return is_enum && btf_.type(id).vlen == 1 ? std::optional(btf_.enumerators(id)[0].value)
                                              : std::nullopt;
}

Expected<void> DefinitionReader::read_number(MapSpec& spec, const BtfMember& member) {
    const auto number = number_of(member.type);
    if (!number) {
        return bad(spec, "member \"{}\" is not a number", member.name);
    }
    if (member.name == "map_extra") {
        spec.extra = *number;
        return {};
    }
    if (*number > std::numeric_limits<std::uint32_t>::max()) {
        return bad(spec, "{} {} needs more than 32 bits", member.name, *number);
    }
    const auto value = std::uint32_t(*number);
    if (member.name == "type") {
        spec.type = MapType(value);
        return {};
    }
    if (member.name == "numa_node") { // means nothing here
        return {};
    }
    const auto row = std::ranges::find(kNumbers, member.name, &NumberMember::name);
    if (row == std::end(kNumbers)) {
        return fail(Errc::Unsupported, "map \"{}\": member \"{}\" is unknown", spec.name,
                    member.name);
    }
    const bool is_size = row->to == &MapSpec::key_size || row->to == &MapSpec::value_size;
    if (is_size && spec.*row->to != 0 && spec.*row->to != value) {
        return bad(spec, "{} {} contradicts {}", member.name, value, spec.*row->to);
    }
    spec.*row->to = value;
    return {};
}

Expected<void> DefinitionReader::read_type(MapSpec& spec, const BtfMember& member) {
    const std::uint32_t pointer = btf_.resolve(member.type);
    if (btf_.kind(pointer) != BtfKind::Ptr) {
        return bad(spec, "member \"{}\" is a {}, expected a ptr", member.name,
                   name_of(btf_.kind(pointer)));
    }
    const std::uint32_t id = btf_.type(pointer).type;
    const auto size = btf_.size_of(id);
    if (!size) {
        return bad(spec, "type of {} has no size", member.name);
    }
    const bool is_key = member.name == "key";
    std::uint32_t& known = is_key ? spec.key_size : spec.value_size;
    if (known != 0 && known != *size) {
        return bad(spec, "{} of {} bytes, but {}_size is {}", member.name, *size, member.name,
                   known);
    }
    known = *size;
    (is_key ? spec.key_btf_id : spec.value_btf_id) = id;
    return is_key ? Expected<void>() : finder_.find(id, 0, spec.fields);
}

// A slot of an outer map or prog_array takes 4 bytes in the kernel, and 8 in the definition.
Expected<void> DefinitionReader::read_values(MapSpec& spec, const BtfMember& member) {
    const std::uint32_t array = btf_.resolve(member.type);
    const std::uint32_t pointer =
        btf_.kind(array) == BtfKind::Array ? btf_.resolve(btf_.array(array).element) : 0;
    if (btf_.kind(pointer) != BtfKind::Ptr) {
        return bad(spec, "values are not an array of pointers");
    }
    const std::uint32_t target = btf_.resolve(btf_.type(pointer).type);
    if (btf_.kind(target) == BtfKind::Struct) {
        TRY_ASSIGN(MapSpec inner, read(spec.name + ".inner", target, true));
        spec.inner = std::make_shared<const MapSpec>(std::move(inner));
    } else if (btf_.kind(target) != BtfKind::FuncProto) {
        return bad(spec, "values are pointers to a {}, expected a struct or func_proto",
                   name_of(btf_.kind(target)));
    }
    if (spec.value_size != 0 && spec.value_size != 4) {
        return bad(spec, "value_size {} of a map with slots, expected 4", spec.value_size);
    }
    spec.value_size = 4;
    values_off_ = member.bit_off / 8;
    return {};
}

// Static maps and programs are referred to by their section and their place in it.
Expected<std::string> slot_target(const Input& input, const Code& code, const MapTable& maps,
                                  const Reloc& reloc, std::uint64_t addend) {
    const Symbol& symbol = input.file.symbol(reloc.symbol);
    if (symbol.type != SymbolType::Section) {
        return std::string(symbol.name);
    }
    if (const MapPlace* place = maps.definition_at(symbol.section, addend)) {
        return maps.maps()[place->map].name;
    }
    if (const Function* function = code.function_at(symbol.section, addend / kInsnSize)) {
        return std::string(function->name);
    }
    return fail(Errc::MalformedElf, "no map or program at {} of section \"{}\"", addend,
                symbol.name);
}

} // namespace

Expected<void> define_btf_maps(const Input& input, MapTable& maps) {
    const Section* section = input.file.find_section(".maps");
    if (section == nullptr || section->size == 0) {
        return {};
    }
    if (input.btf == nullptr) {
        return fail(Errc::Unsupported, "section \".maps\" needs BTF to be understood; compile the "
                                       "object with -g");
    }
    const std::uint32_t index = input.file.index_of(*section);
    for (const SectionVar& var : section_vars(input, index)) {
        if (var.is_extern) {
            return fail(Errc::Unsupported, "map \"{}\" is extern; link the objects first",
                        var.name);
        }
        DefinitionReader reader(*input.btf, maps.finder());
        TRY_ASSIGN(MapSpec spec, reader.read(std::string(var.name), var.type));
        if (!fits(var.off, var.size, section->size)) {
            return fail(Errc::MalformedElf, "map \"{}\": {} bytes at {} of {} in section \".maps\"",
                        spec.name, var.size, var.off, section->size);
        }
        const std::uint32_t map = maps.add(std::move(spec));
        TRY(maps.add_definition(index, {map, var.off, var.size, reader.values_off()}));
    }
    return {};
}

Expected<void> fill_map_slots(const Input& input, const Code& code, MapTable& maps) {
    const Section* section = input.file.find_section(".maps");
    if (section == nullptr) {
        return {};
    }
    const std::uint32_t index = input.file.index_of(*section);
    for (const Reloc& reloc : input.file.relocs_of(index)) {
        const MapPlace* place = maps.definition_around(index, reloc.off);
        if (place == nullptr || !place->values_off || reloc.off - place->off < *place->values_off) {
            return fail(Errc::MalformedElf,
                        "section \".maps\": relocation at {} is not in the "
                        "values of a map",
                        reloc.off);
        }
        const std::uint64_t in_values = reloc.off - place->off - *place->values_off;
        if (in_values % 8 != 0 || !fits(reloc.off, 8, section->bytes.size())) {
            return fail(Errc::MalformedElf, "section \".maps\": relocation at {} is not at a slot",
                        reloc.off);
        }
        const auto in_place = load_unaligned<std::uint64_t>(section->bytes.data() + reloc.off);
        TRY_ASSIGN(std::string name,
                   slot_target(input, code, maps, reloc,
                               reloc.has_addend ? std::uint64_t(reloc.addend) : in_place));
        MapSpec& spec = maps.map(place->map);
        spec.slots.push_back({std::uint32_t(in_values / 8), std::move(name)});
    }
    return {};
}

} // namespace ebpfvm::elf
