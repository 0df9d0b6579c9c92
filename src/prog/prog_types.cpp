// The table of program types: the kernel's rows, and what a host adds.
#include "ebpfvm/prog_type.hpp"
#include "prog/ctx_layouts.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>

namespace ebpfvm {
namespace {

enum class Match : std::uint8_t { Exact, Prefix };

enum class Flags : std::uint8_t { None, Sleepable, XdpHasFrags };

// AttachType, with a name for none.
namespace Attach {
constexpr std::uint32_t NoAttach = 0;
#define EBPFVM_ATTACH_TYPE(name, id) [[maybe_unused]] constexpr std::uint32_t name = id;
#include "ebpfvm/tables/prog_types.def"
} // namespace Attach

struct SectionRow {
    std::string_view section;
    Match match;
    ProgSection info;
};

constexpr std::uint32_t flags_of(Flags flags) {
    switch (flags) {
    case Flags::None:
        return 0;
    case Flags::Sleepable:
        return prog_flags::kSleepable;
    case Flags::XdpHasFrags:
        return prog_flags::kXdpHasFrags;
    }
    std::unreachable();
}

constexpr SectionRow kSections[] = {
#define EBPFVM_SECTION(section, match, type, attach, flags)                                        \
    {section, Match::match, {ProgType::type, Attach::attach, flags_of(Flags::flags)}},
#include "ebpfvm/tables/prog_types.def"
};

bool matches(std::string_view section, std::string_view name) {
    return section == name || (section.starts_with(name) &&
                               (section[name.size()] == '/' || section[name.size()] == '.'));
}

// Where engines take the value of a field from.
enum class Source : std::uint8_t { Host, Packet, Null, Nowhere };

Source source_of(CtxFieldKind kind) {
    switch (kind) {
    case CtxFieldKind::Scalar:
    case CtxFieldKind::Bytes:
        return Source::Host;
    case CtxFieldKind::Packet:
    case CtxFieldKind::PacketMeta:
    case CtxFieldKind::PacketEnd:
    case CtxFieldKind::PacketLen:
        return Source::Packet;
    case CtxFieldKind::SockCommonOrNull:
        return Source::Null;
    case CtxFieldKind::SocketOrNull:
    case CtxFieldKind::Socket:
    case CtxFieldKind::FlowKeys:
    case CtxFieldKind::TpBuffer:
    case CtxFieldKind::BtfObject:
        return Source::Nowhere;
    }
    std::unreachable();
}

Expected<void> check_field(const CtxLayout& layout, const CtxField& field, std::uint32_t end) {
    if (field.size == 0 || !fits(field.off, field.size, layout.size)) {
        return fail(Errc::InvalidArgument, "ctx {}: field {} at {} size {} does not fit size {}",
                    layout.name, field.name, field.off, field.size, layout.size);
    }
    if (field.off < end) {
        return fail(Errc::InvalidArgument, "ctx {}: field {} at {} overlaps the one before it",
                    layout.name, field.name, field.off);
    }
    const Source source = source_of(field.kind);
    if (source == Source::Nowhere) {
        return fail(Errc::InvalidArgument, "ctx {}: field {}: no engine gives such a pointer",
                    layout.name, field.name);
    }
    const bool is_packet = source == Source::Packet;
    if (is_packet && !layout.has_packet) {
        return fail(Errc::InvalidArgument, "ctx {}: field {} needs a packet", layout.name,
                    field.name);
    }
    if (source != Source::Host && field.access != Access::Read) {
        return fail(Errc::InvalidArgument, "ctx {}: field {} can only be read", layout.name,
                    field.name);
    }
    const auto is_word = [](std::uint32_t size) { return std::has_single_bit(size) && size <= 8; };
    if (field.kind == CtxFieldKind::Scalar && !(is_word(field.host_size) && is_word(field.size))) {
        return fail(Errc::InvalidArgument, "ctx {}: field {}: sizes {} and {} are not 1, 2, 4 or 8",
                    layout.name, field.name, field.size, field.host_size);
    }
    if (source == Source::Host && !fits(field.host_off, field.host_size, layout.host_size)) {
        return fail(Errc::InvalidArgument,
                    "ctx {}: field {} at {} size {} does not fit host size {}", layout.name,
                    field.name, field.host_off, field.host_size, layout.host_size);
    }
    if (field.kind == CtxFieldKind::Bytes && field.host_size != field.size) {
        return fail(Errc::InvalidArgument, "ctx {}: field {}: host size {} is not {}", layout.name,
                    field.name, field.host_size, field.size);
    }
    return {};
}

Expected<void> check_layout(const CtxLayout& layout) {
    if (layout.size > kMaxCtxSize && !layout.fields.empty()) {
        return fail(Errc::InvalidArgument, "ctx {}: size {} is above {}", layout.name, layout.size,
                    kMaxCtxSize);
    }
    if (!layout.fields.empty() && layout.plain != Access::None) {
        return fail(Errc::InvalidArgument, "ctx {}: both fields and plain access", layout.name);
    }
    if (layout.has_packet && layout.plain != Access::None) {
        return fail(Errc::InvalidArgument, "ctx {}: both a packet and plain access", layout.name);
    }
    if (!layout.has_packet && layout.packet_access != Access::None) {
        return fail(Errc::InvalidArgument, "ctx {}: packet access without a packet", layout.name);
    }
    if (layout.has_packet && layout.host_size < sizeof(Packet)) {
        return fail(Errc::InvalidArgument, "ctx {}: host size {} leaves no room for its Packet",
                    layout.name, layout.host_size);
    }
    std::uint32_t end = 0;
    for (const CtxField& field : layout.fields) {
        TRY(check_field(layout, field, end));
        end = field.off + field.size;
    }
    return {};
}

} // namespace

const CtxField* CtxLayout::find(std::uint64_t off, std::uint64_t bytes) const {
    const auto after = std::ranges::upper_bound(fields, off, {}, &CtxField::off);
    if (after == fields.begin()) {
        return nullptr;
    }
    const CtxField& field = *std::prev(after);
    return fits(off - field.off, bytes, field.size) ? &field : nullptr;
}

ProgTypeTable::ProgTypeTable() {
    types_[ProgType::Unspec] = {ProgType::Unspec,
                                "unspec",
                                {},
                                std::make_shared<const CtxLayout>(CtxLayout{
                                    .name = "memory", .fields = {}, .plain = Access::ReadWrite})};
#define EBPFVM_PROG_TYPE(name, id, text, ctx)                                                      \
    types_[ProgType::name] = {ProgType::name, text, {}, prog::make_##ctx()};
#include "ebpfvm/tables/prog_types.def"
    for (const SectionRow& row : kSections) {
        types_[row.info.type].sections.emplace_back(row.section);
    }
}

Expected<void> ProgTypeTable::add(ProgTypeInfo info) {
    if (std::to_underlying(info.type) < kFirstHostProgType) {
        return fail(Errc::InvalidArgument, "program type {}: number {} is below {:#x}", info.name,
                    std::to_underlying(info.type), kFirstHostProgType);
    }
    if (find(info.type) != nullptr || find(std::string_view(info.name)) != nullptr) {
        return fail(Errc::InvalidArgument, "program type {}: number or name is taken", info.name);
    }
    for (const std::string& section : info.sections) {
        if (section.empty() || this->section(section).type != ProgType::Unspec) {
            return fail(Errc::InvalidArgument, "program type {}: section \"{}\" is taken",
                        info.name, section);
        }
    }
    if (info.ctx) {
        TRY(check_layout(*info.ctx));
    }
    const ProgType type = info.type;
    types_.emplace(type, std::move(info));
    return {};
}

const ProgTypeInfo* ProgTypeTable::find(ProgType type) const {
    const auto found = types_.find(type);
    return found == types_.end() ? nullptr : &found->second;
}

const ProgTypeInfo* ProgTypeTable::find(std::string_view name) const {
    const auto found = std::ranges::find(
        types_, name, [](const auto& entry) { return std::string_view(entry.second.name); });
    return found == types_.end() ? nullptr : &found->second;
}

ProgSection ProgTypeTable::section(std::string_view section) const {
    for (const SectionRow& row : kSections) {
        const bool is_match =
            row.match == Match::Prefix ? matches(section, row.section) : section == row.section;
        if (is_match) {
            return row.info;
        }
    }
    for (const auto& [type, info] : types_) {
        const bool is_host = std::to_underlying(type) >= kFirstHostProgType;
        for (const std::string& name : info.sections) {
            if (is_host && matches(section, name)) {
                return {.type = type};
            }
        }
    }
    return {};
}

std::string_view name_of(ProgType type) {
    switch (type) {
    case ProgType::Unspec:
        return "unspec";
#define EBPFVM_PROG_TYPE(name, id, text, ctx)                                                      \
    case ProgType::name:                                                                           \
        return text;
#include "ebpfvm/tables/prog_types.def"
    }
    return "host-defined";
}

} // namespace ebpfvm
