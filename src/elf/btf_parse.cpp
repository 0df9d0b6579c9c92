// Reads and checks BTF: after Btf::parse() no query can leave the data or fail to end.
// Tested by btf_test.cpp.
#include "elf/btf_format.hpp"
#include "support/byte_reader.hpp"

#include <algorithm>
#include <cstring>

namespace ebpfvm {

using namespace elf;

namespace {

// clang's `enum E;` is an enum without values and size.
bool is_forward_enum(const RawBtfType& type) {
    return type.kind() == BtfKind::Enum && type.vlen() == 0 && type.size_or_type == 0;
}

} // namespace

// A friend of Btf that fills it. Three passes: where each type is, what each refers to, and which
// sizes and nesting follow.
class BtfParser {
  public:
    static Expected<Btf> parse(std::span<const std::byte> bytes) {
        BtfParser parser(bytes);
        TRY(parser.read_header());
        TRY(parser.find_types());
        for (std::uint32_t id = 1; id < parser.btf_.type_count(); ++id) {
            TRY(parser.check_type(id));
        }
        TRY(parser.size_types());
        for (std::uint32_t id = 1; id < parser.btf_.type_count(); ++id) {
            TRY(parser.check_members(id));
        }
        parser.index_names();
        return std::move(parser.btf_);
    }

  private:
    explicit BtfParser(std::span<const std::byte> bytes) {
        btf_.bytes_.assign(bytes.begin(), bytes.end());
    }

    Expected<void> read_header();
    Expected<void> find_types();
    Expected<void> check_type(std::uint32_t id);
    Expected<void> check_payload(std::uint32_t id, const RawBtfType& raw);
    template <class Entry>
    Expected<void> check_entries(std::uint32_t id, std::uint16_t count, bool has_types);
    Expected<void> check_int(std::uint32_t id, const RawBtfType& raw) const;
    Expected<void> check_section_vars(std::uint32_t id, std::uint16_t count) const;
    static Expected<void> check_linkage(std::uint32_t id, std::uint32_t linkage);
    Expected<void> check_ref(std::uint32_t id, std::uint32_t target) const;
    Expected<void> check_name(std::uint32_t id, std::uint32_t name_off) const;
    Expected<void> size_types();
    Expected<void> size_type(std::uint32_t id, unsigned depth);
    Expected<void> size_part(std::uint32_t id, std::uint32_t part, unsigned depth);
    Expected<void> check_members(std::uint32_t id) const;
    void index_names();

    [[nodiscard]] RawBtfType raw(std::uint32_t id) const {
        return load_unaligned<RawBtfType>(btf_.bytes_.data() + btf_.offsets_[id]);
    }
    template <class Entry>
    [[nodiscard]] Entry entry(std::uint32_t id, std::size_t index) const {
        return load_unaligned<Entry>(btf_.payload(id) + index * sizeof(Entry));
    }
    template <class... Args>
    static std::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) {
        return fail(Errc::MalformedBtf, "BTF: {}",
                    fmt::format(format, std::forward<Args>(args)...));
    }

    Btf btf_;
    std::size_t types_at_ = 0;
    std::size_t types_size_ = 0;
    std::vector<std::uint8_t> heights_; // how deep each type nests; 0: not sized yet
};

Expected<void> BtfParser::read_header() {
    const ByteReader reader(btf_.bytes_, Errc::MalformedBtf, "BTF");
    TRY_ASSIGN(const auto header, reader.read<RawBtfHeader>(0, "header"));
    if (header.magic != kBtfMagic || header.version != kBtfVersion) {
        return bad("magic {:#06x} version {}, only {:#06x} version {} is known", header.magic,
                   header.version, kBtfMagic, kBtfVersion);
    }
    const std::uint64_t base = header.hdr_len;
    if (base < sizeof(RawBtfHeader)) {
        return bad("header of {} bytes, at least {} needed", base, sizeof(RawBtfHeader));
    }
    TRY(reader.bytes(base + header.type_off, header.type_len, "types"));
    TRY_ASSIGN(const auto strings, reader.bytes(base + header.str_off, header.str_len, "strings"));
    if (strings.empty() || strings.front() != std::byte{0} || strings.back() != std::byte{0}) {
        return bad("strings do not begin and end with a NUL");
    }
    types_at_ = std::size_t(base + header.type_off);
    types_size_ = header.type_len;
    btf_.strings_at_ = std::size_t(base + header.str_off);
    btf_.strings_size_ = header.str_len;
    return {};
}

Expected<void> BtfParser::find_types() {
    btf_.offsets_.push_back(0);
    for (std::size_t at = 0; at < types_size_;) {
        const auto id = btf_.offsets_.size();
        if (!fits(at, sizeof(RawBtfType), types_size_)) {
            return bad("type {} is cut off", id);
        }
        const auto type = load_unaligned<RawBtfType>(btf_.bytes_.data() + types_at_ + at);
        if (type.kind_number() == 0 || type.kind_number() > std::uint32_t(BtfKind::Enum64)) {
            return bad("type {}: kind {} is unknown", id, type.kind_number());
        }
        const std::size_t size = sizeof(RawBtfType) + payload_size(type.kind(), type.vlen());
        if (!fits(at, size, types_size_)) {
            return bad("type {} ({}) is cut off", id, name_of(type.kind()));
        }
        btf_.offsets_.push_back(std::uint32_t(types_at_ + at));
        at += size;
    }
    return {};
}

Expected<void> BtfParser::check_ref(std::uint32_t id, std::uint32_t target) const {
    if (target >= btf_.type_count()) {
        return bad("type {} refers to type {}, there are {}", id, target, btf_.type_count());
    }
    return {};
}

Expected<void> BtfParser::check_name(std::uint32_t id, std::uint32_t name_off) const {
    if (name_off >= btf_.strings_size_) {
        return bad("type {}: name at {} of {} bytes", id, name_off, btf_.strings_size_);
    }
    // Types may share a name, or a part of one: only a limit keeps the work linear.
    const std::size_t rest = std::min(btf_.strings_size_ - name_off, kMaxBtfName + 1);
    if (std::memchr(btf_.bytes_.data() + btf_.strings_at_ + name_off, 0, rest) == nullptr) {
        return bad("type {}: name of more than {} bytes", id, kMaxBtfName);
    }
    return {};
}

Expected<void> BtfParser::check_type(std::uint32_t id) {
    const RawBtfType type = raw(id);
    TRY(check_name(id, type.name_off));
    if (refers_to_type(type.kind())) {
        TRY(check_ref(id, type.size_or_type));
    }
    return check_payload(id, type);
}

Expected<void> BtfParser::check_payload(std::uint32_t id, const RawBtfType& type) {
    switch (type.kind()) {
    case BtfKind::Int:
        return check_int(id, type);
    case BtfKind::Array: {
        const auto array = entry<RawBtfArray>(id, 0);
        TRY(check_ref(id, array.element));
        return check_ref(id, array.index);
    }
    case BtfKind::Struct:
    case BtfKind::Union:
        return check_entries<RawBtfMember>(id, type.vlen(), true);
    case BtfKind::FuncProto:
        return check_entries<RawBtfParam>(id, type.vlen(), true);
    case BtfKind::Enum:
    case BtfKind::Enum64:
        if (is_forward_enum(type)) {
            return {};
        }
        if (!std::has_single_bit(type.size_or_type) || type.size_or_type > 8) {
            return bad("type {}: enum of {} bytes", id, type.size_or_type);
        }
        return type.kind() == BtfKind::Enum ? check_entries<RawBtfEnum>(id, type.vlen(), false)
                                            : check_entries<RawBtfEnum64>(id, type.vlen(), false);
    case BtfKind::Datasec:
        return check_section_vars(id, type.vlen());
    case BtfKind::Func:
        if (raw(type.size_or_type).kind() != BtfKind::FuncProto || type.size_or_type == 0) {
            return bad("type {}: func refers to type {}, which is no func_proto", id,
                       type.size_or_type);
        }
        return check_linkage(id, type.vlen());
    case BtfKind::Var:
        return check_linkage(id, entry<std::uint32_t>(id, 0));
    case BtfKind::Void:
    case BtfKind::Ptr:
    case BtfKind::Fwd:
    case BtfKind::Typedef:
    case BtfKind::Volatile:
    case BtfKind::Const:
    case BtfKind::Restrict:
    case BtfKind::Float:
    case BtfKind::DeclTag:
    case BtfKind::TypeTag:
        return {};
    }
    std::unreachable();
}

template <class Entry>
Expected<void> BtfParser::check_entries(std::uint32_t id, std::uint16_t count, bool has_types) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto part = entry<Entry>(id, i);
        TRY(check_name(id, part.name_off));
        if constexpr (requires { part.type; }) {
            if (has_types) {
                TRY(check_ref(id, part.type));
            }
        }
    }
    return {};
}

Expected<void> BtfParser::check_int(std::uint32_t id, const RawBtfType& type) const {
    const auto encoding = entry<std::uint32_t>(id, 0);
    const std::uint32_t bits = encoding & 0xff;
    const std::uint32_t bit_off = encoding >> 16 & 0xff;
    const std::uint32_t size = type.size_or_type;
    if (size == 0 || size > 16 || bits == 0 || !fits(bit_off, bits, size * 8)) {
        return bad("type {}: int of {} bytes with {} bits at {}", id, size, bits, bit_off);
    }
    return {};
}

Expected<void> BtfParser::check_linkage(std::uint32_t id, std::uint32_t linkage) {
    if (linkage > std::uint32_t(BtfLinkage::Extern)) {
        return bad("type {}: linkage {} is unknown", id, linkage);
    }
    return {};
}

Expected<void> BtfParser::check_section_vars(std::uint32_t id, std::uint16_t count) const {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t var = entry<RawBtfVarSecinfo>(id, i).type;
        TRY(check_ref(id, var));
        if (var == 0 || (raw(var).kind() != BtfKind::Var && raw(var).kind() != BtfKind::Func)) {
            return bad("type {}: entry {} is neither var nor func", id, i);
        }
    }
    return {};
}

Expected<void> BtfParser::size_types() {
    btf_.sizes_.assign(btf_.type_count(), Btf::kNoSize);
    heights_.assign(btf_.type_count(), 0);
    heights_[0] = 1;
    for (std::uint32_t id = 1; id < btf_.type_count(); ++id) {
        TRY(size_type(id, 1));
    }
    return {};
}

// A type that contains itself by value shows as nesting without end.
Expected<void> BtfParser::size_part(std::uint32_t id, std::uint32_t part, unsigned depth) {
    TRY(size_type(part, depth + 1));
    const unsigned height = heights_[part] + 1U;
    if (height > Btf::kMaxDepth) {
        return bad("type {} nests more than {} types deep, or contains itself", id, Btf::kMaxDepth);
    }
    heights_[id] = std::max(heights_[id], std::uint8_t(height));
    return {};
}

Expected<void> BtfParser::size_type(std::uint32_t id, unsigned depth) {
    if (heights_[id] != 0) {
        return {};
    }
    if (depth > Btf::kMaxDepth) {
        return bad("type {} nests more than {} types deep, or contains itself", id, Btf::kMaxDepth);
    }
    const RawBtfType type = raw(id);
    std::uint64_t size = Btf::kNoSize;
    switch (type.kind()) {
    case BtfKind::Int:
    case BtfKind::Enum:
    case BtfKind::Enum64:
    case BtfKind::Float:
    case BtfKind::Datasec:
        size = is_forward_enum(type) ? Btf::kNoSize : type.size_or_type;
        break;
    case BtfKind::Ptr:
        size = 8;
        break;
    case BtfKind::Struct:
    case BtfKind::Union:
        size = type.size_or_type;
        for (std::size_t i = 0; i < type.vlen(); ++i) {
            TRY(size_part(id, entry<RawBtfMember>(id, i).type, depth));
        }
        break;
    case BtfKind::Array: {
        const auto array = entry<RawBtfArray>(id, 0);
        TRY(size_part(id, array.element, depth));
        const std::uint32_t element = btf_.sizes_[array.element];
        size = element == Btf::kNoSize ? Btf::kNoSize : std::uint64_t{element} * array.count;
        if (size > Btf::kNoSize) {
            return bad("type {}: array of {} elements of {} bytes", id, array.count, element);
        }
        break;
    }
    case BtfKind::Typedef:
    case BtfKind::Volatile:
    case BtfKind::Const:
    case BtfKind::Restrict:
    case BtfKind::TypeTag:
    case BtfKind::Var:
        TRY(size_part(id, type.size_or_type, depth));
        size = btf_.sizes_[type.size_or_type];
        break;
    case BtfKind::Void:
    case BtfKind::Fwd:
    case BtfKind::Func:
    case BtfKind::FuncProto:
    case BtfKind::DeclTag:
        break;
    }
    btf_.sizes_[id] = std::uint32_t(size);
    heights_[id] = std::max(heights_[id], std::uint8_t{1});
    return {};
}

Expected<void> BtfParser::check_members(std::uint32_t id) const {
    if (!is_composite(raw(id).kind())) {
        return {};
    }
    const std::uint64_t limit = std::uint64_t{btf_.sizes_[id]} * 8;
    for (const BtfMember& member : btf_.members(id)) {
        const std::uint32_t size = btf_.sizes_[member.type];
        if (size == Btf::kNoSize) {
            return bad("type {}: member \"{}\" has a type without size", id, member.name);
        }
        const std::uint64_t bits = member.bits != 0 ? member.bits : std::uint64_t{size} * 8;
        if (!fits(member.bit_off, bits, limit)) {
            return bad("type {}: member \"{}\" with {} bits at {} is outside {} bytes", id,
                       member.name, bits, member.bit_off, btf_.sizes_[id]);
        }
    }
    return {};
}

void BtfParser::index_names() {
    for (std::uint32_t id = 1; id < btf_.type_count(); ++id) {
        const BtfType type = btf_.type(id);
        if (!type.name.empty()) {
            btf_.names_.push_back({name_hash(type.name, type.kind), id});
        }
    }
    std::ranges::sort(btf_.names_);
}

Expected<Btf> Btf::parse(std::span<const std::byte> bytes) {
    return BtfParser::parse(bytes);
}

} // namespace ebpfvm
