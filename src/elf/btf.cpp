// Queries on BTF that has been checked. Nothing here can fail.
#include "ebpfvm/btf.hpp"

#include "elf/btf_format.hpp"
#include "support/assert.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ebpfvm {

using namespace elf;

namespace {

std::string_view text_at(const std::byte* at) {
    return reinterpret_cast<const char*>(at);
}

template <class Entry>
Entry entry_at(const std::byte* payload, std::size_t index) {
    return load_unaligned<Entry>(payload + index * sizeof(Entry));
}

} // namespace

std::string_view name_of(BtfKind kind) {
    static constexpr std::string_view kNames[] = {
        "void", "int",     "ptr",      "array",    "struct",   "union", "enum",
        "fwd",  "typedef", "volatile", "const",    "restrict", "func",  "func_proto",
        "var",  "datasec", "float",    "decl_tag", "type_tag", "enum64"};
    const auto index = std::size_t(std::to_underlying(kind));
    return index < std::size(kNames) ? kNames[index] : "unknown";
}

const std::byte* Btf::payload(std::uint32_t id) const {
    EBPFVM_ASSERT(id != 0 && id < type_count());
    return bytes_.data() + offsets_[id] + sizeof(RawBtfType);
}

BtfType Btf::type(std::uint32_t id) const {
    EBPFVM_ASSERT(id < type_count());
    if (id == 0) {
        return {};
    }
    const auto raw = load_unaligned<RawBtfType>(bytes_.data() + offsets_[id]);
    const bool is_ref = refers_to_type(raw.kind());
    return {.kind = raw.kind(),
            .kind_flag = raw.kind_flag(),
            .vlen = raw.vlen(),
            .size = is_ref ? 0 : raw.size_or_type,
            .type = is_ref ? raw.size_or_type : 0,
            .name = text_at(bytes_.data() + strings_at_ + raw.name_off)};
}

std::optional<std::uint32_t> Btf::find(std::string_view name, BtfKind kind) const {
    const std::uint64_t hash = name_hash(name, kind);
    auto at = std::ranges::lower_bound(names_, hash, {}, &NameEntry::hash);
    for (; at != names_.end() && at->hash == hash; ++at) {
        const BtfType found = type(at->id);
        if (found.kind == kind && found.name == name) {
            return at->id;
        }
    }
    return std::nullopt;
}

std::uint32_t Btf::skip_modifiers(std::uint32_t id) const {
    while (is_modifier(kind(id))) {
        id = type(id).type;
    }
    return id;
}

std::uint32_t Btf::resolve(std::uint32_t id) const {
    while (is_modifier(kind(id)) || kind(id) == BtfKind::Typedef) {
        id = type(id).type;
    }
    return id;
}

std::optional<std::uint32_t> Btf::size_of(std::uint32_t id) const {
    EBPFVM_ASSERT(id < type_count());
    return sizes_[id] == kNoSize ? std::nullopt : std::optional(sizes_[id]);
}

std::vector<BtfMember> Btf::members(std::uint32_t id) const {
    const BtfType composite = type(id);
    EBPFVM_ASSERT(is_composite(composite.kind));
    std::vector<BtfMember> result(composite.vlen);
    for (std::size_t i = 0; i < result.size(); ++i) {
        const auto raw = entry_at<RawBtfMember>(payload(id), i);
        BtfMember& member = result[i];
        member = {text_at(bytes_.data() + strings_at_ + raw.name_off), raw.type, raw.offset, 0};
        if (composite.kind_flag) {
            member.bit_off = raw.offset & 0xffffff;
            member.bits = raw.offset >> 24;
        } else if (const std::uint32_t base = resolve(raw.type); kind(base) == BtfKind::Int) {
            // The old way: a bitfield has an int type of its own, narrower than its size.
            const BtfInt encoding = int_encoding(base);
            if (encoding.bits != type(base).size * 8) {
                member.bit_off += encoding.bit_off;
                member.bits = encoding.bits;
            }
        }
    }
    return result;
}

std::vector<BtfParam> Btf::params(std::uint32_t id) const {
    const BtfType proto = type(id);
    EBPFVM_ASSERT(proto.kind == BtfKind::FuncProto);
    std::vector<BtfParam> result(proto.vlen);
    for (std::size_t i = 0; i < result.size(); ++i) {
        const auto raw = entry_at<RawBtfParam>(payload(id), i);
        result[i] = {text_at(bytes_.data() + strings_at_ + raw.name_off), raw.type};
    }
    return result;
}

std::vector<BtfSectionVar> Btf::section_vars(std::uint32_t id) const {
    const BtfType section = type(id);
    EBPFVM_ASSERT(section.kind == BtfKind::Datasec);
    std::vector<BtfSectionVar> result(section.vlen);
    for (std::size_t i = 0; i < result.size(); ++i) {
        const auto raw = entry_at<RawBtfVarSecinfo>(payload(id), i);
        result[i] = {raw.type, raw.off, raw.size};
    }
    return result;
}

std::vector<BtfEnumerator> Btf::enumerators(std::uint32_t id) const {
    const BtfType list = type(id);
    EBPFVM_ASSERT(list.kind == BtfKind::Enum || list.kind == BtfKind::Enum64);
    const auto name_at = [&](std::uint32_t off) {
        return text_at(bytes_.data() + strings_at_ + off);
    };
    std::vector<BtfEnumerator> result(list.vlen);
    for (std::size_t i = 0; i < result.size(); ++i) {
        if (list.kind == BtfKind::Enum64) {
            const auto raw = entry_at<RawBtfEnum64>(payload(id), i);
            result[i] = {name_at(raw.name_off), raw.low | std::uint64_t{raw.high} << 32};
        } else {
            const auto raw = entry_at<RawBtfEnum>(payload(id), i);
            const std::uint64_t value =
                list.kind_flag ? std::uint64_t(std::int64_t{raw.value}) : std::uint32_t(raw.value);
            result[i] = {name_at(raw.name_off), value};
        }
    }
    return result;
}

BtfArray Btf::array(std::uint32_t id) const {
    EBPFVM_ASSERT(kind(id) == BtfKind::Array);
    const auto raw = entry_at<RawBtfArray>(payload(id), 0);
    return {raw.element, raw.index, raw.count};
}

BtfInt Btf::int_encoding(std::uint32_t id) const {
    EBPFVM_ASSERT(kind(id) == BtfKind::Int);
    const auto raw = entry_at<std::uint32_t>(payload(id), 0);
    return {.bits = raw & 0xff,
            .bit_off = raw >> 16 & 0xff,
            .is_signed = (raw >> 24 & 1) != 0,
            .is_char = (raw >> 24 & 2) != 0,
            .is_bool = (raw >> 24 & 4) != 0};
}

BtfLinkage Btf::linkage(std::uint32_t id) const {
    const BtfType symbol = type(id);
    EBPFVM_ASSERT(symbol.kind == BtfKind::Func || symbol.kind == BtfKind::Var);
    const std::uint32_t number =
        symbol.kind == BtfKind::Func ? symbol.vlen : entry_at<std::uint32_t>(payload(id), 0);
    return BtfLinkage(number);
}

std::int32_t Btf::component(std::uint32_t id) const {
    EBPFVM_ASSERT(kind(id) == BtfKind::DeclTag);
    return entry_at<std::int32_t>(payload(id), 0);
}

Expected<std::string_view> Btf::string(std::uint32_t off) const {
    if (off >= strings_size_) {
        return fail(Errc::MalformedBtf, "BTF: string at {} of {} bytes", off, strings_size_);
    }
    const char* begin = reinterpret_cast<const char*>(bytes_.data()) + strings_at_ + off;
    return std::string_view(begin, strnlen(begin, std::min(strings_size_ - off, kMaxBtfName)));
}

} // namespace ebpfvm
