// Tested by btf_value_test.cpp.
#include "cli/btf_value.hpp"

#include "cli/files.hpp"
#include "support/assert.hpp"
#include "support/bits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace ebpfvm::cli {
namespace {

using Bytes = std::span<const std::byte>;

// Objects are little endian. Up to eight bytes.
std::uint64_t load_unsigned(Bytes bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
    }
    return value;
}

Json number(std::uint64_t value, unsigned bits, bool is_signed) {
    const unsigned unused = 64 - bits;
    if (is_signed) {
        return static_cast<std::int64_t>(value << unused) >> unused;
    }
    return value << unused >> unused;
}

// Bytes each type is expected to have; the caller has checked that they are there.
class Reader {
  public:
    explicit Reader(const Btf& btf) : btf_(btf) {}

    [[nodiscard]] Json read(std::uint32_t id, Bytes bytes) const;

  private:
    [[nodiscard]] Json read_int(std::uint32_t id, std::uint64_t value, unsigned bits) const;
    [[nodiscard]] Json read_enum(std::uint32_t id, std::uint64_t value, unsigned bits) const;
    [[nodiscard]] Json read_bits(std::uint32_t id, std::uint64_t value, unsigned bits) const;
    [[nodiscard]] Json read_float(Bytes bytes) const;
    [[nodiscard]] Json read_array(std::uint32_t id, Bytes bytes) const;
    [[nodiscard]] Json read_members(std::uint32_t id, Bytes bytes) const;
    [[nodiscard]] Json read_bitfield(const BtfMember& member, Bytes bytes) const;
    [[nodiscard]] bool is_big_endian(std::uint32_t id) const;

    const Btf& btf_;
};

// __be16, __be32 and __be64 of linux/types.h, under any modifiers and further typedefs.
bool Reader::is_big_endian(std::uint32_t id) const {
    constexpr std::string_view kNames[] = {"__be16", "__be32", "__be64"};
    for (id = btf_.skip_modifiers(id); btf_.kind(id) == BtfKind::Typedef;
         id = btf_.skip_modifiers(btf_.type(id).type)) {
        if (std::ranges::find(kNames, btf_.name(id)) != std::end(kNames)) {
            return true;
        }
    }
    return false;
}

Json Reader::read_int(std::uint32_t id, std::uint64_t value, unsigned bits) const {
    const BtfInt encoding = btf_.int_encoding(id);
    if (encoding.is_bool) {
        return value != 0;
    }
    return number(value, bits, encoding.is_signed);
}

Json Reader::read_enum(std::uint32_t id, std::uint64_t value, unsigned bits) const {
    const unsigned unused = 64 - bits;
    for (const BtfEnumerator& enumerator : btf_.enumerators(id)) {
        if (enumerator.value << unused == value << unused) {
            return enumerator.name;
        }
    }
    return number(value, bits, btf_.type(id).kind_flag);
}

// An integer or enum of `bits` bits, the only types that bitfields may have.
Json Reader::read_bits(std::uint32_t id, std::uint64_t value, unsigned bits) const {
    const std::uint32_t resolved = btf_.resolve(id);
    return btf_.kind(resolved) == BtfKind::Int ? read_int(resolved, value, bits)
                                               : read_enum(resolved, value, bits);
}

Json Reader::read_float(Bytes bytes) const {
    switch (bytes.size()) {
    case sizeof(float):
        return double(load_unaligned<float>(bytes.data()));
    case sizeof(double):
        return load_unaligned<double>(bytes.data());
    default: // long double and half floats
        return to_hex(bytes);
    }
}

Json Reader::read_array(std::uint32_t id, Bytes bytes) const {
    const BtfArray array = btf_.array(id);
    const std::uint32_t element = btf_.resolve(array.element);
    const std::size_t size = btf_.size_of(element).value_or(0);
    if (array.count == 0 || size == 0) {
        return Json::array();
    }
    if (btf_.kind(element) == BtfKind::Int && size == 1) {
        const std::string_view text = as_text(bytes);
        const std::string_view head = text.substr(0, text.find('\0'));
        const bool is_text =
            btf_.name(element) == "char" &&
            text.find_first_not_of('\0', head.size()) == std::string_view::npos &&
            std::ranges::all_of(head, [](unsigned char c) { return c >= ' ' && c < 0x7f; });
        return is_text ? Json(head) : Json(to_hex(bytes));
    }
    Json result = Json::array();
    for (std::uint32_t i = 0; i < array.count; ++i) {
        result.push(read(array.element, bytes.subspan(i * size, size)));
    }
    return result;
}

Json Reader::read_bitfield(const BtfMember& member, Bytes bytes) const {
    const std::size_t first = member.bit_off / 8;
    const unsigned shift = member.bit_off % 8;
    const std::size_t size = (shift + member.bits + 7) / 8;
    if (size > sizeof(std::uint64_t) || !fits(first, size, bytes.size())) {
        return nullptr; // spans nine bytes: no compiler lays it out so
    }
    const std::uint64_t value = load_unsigned(bytes.subspan(first, size)) >> shift;
    const unsigned unused = 64 - member.bits;
    return read_bits(member.type, value << unused >> unused, member.bits);
}

Json Reader::read_members(std::uint32_t id, Bytes bytes) const {
    Json result = Json::object();
    unsigned anonymous = 0;
    for (const BtfMember& member : btf_.members(id)) {
        const std::string name =
            member.name.empty() ? fmt::format("anon{}", anonymous++) : std::string(member.name);
        if (member.bits != 0) {
            result.add(name, read_bitfield(member, bytes));
            continue;
        }
        const std::size_t size = btf_.size_of(member.type).value_or(0);
        const std::size_t off = member.bit_off / 8;
        result.add(name, fits(off, size, bytes.size()) ? read(member.type, bytes.subspan(off, size))
                                                       : Json());
    }
    return result;
}

Json Reader::read(std::uint32_t id, Bytes bytes) const {
    const std::uint32_t resolved = btf_.resolve(id);
    const bool is_word = !bytes.empty() && bytes.size() <= sizeof(std::uint64_t);
    const auto bits = static_cast<unsigned>(8 * bytes.size());
    switch (btf_.kind(resolved)) {
    case BtfKind::Int:
        if (is_word && is_big_endian(id)) {
            std::array<std::byte, sizeof(std::uint64_t)> swapped{};
            std::ranges::reverse_copy(bytes, swapped.begin());
            return load_unsigned(std::span(swapped).first(bytes.size()));
        }
        return is_word ? read_int(resolved, load_unsigned(bytes), bits) : Json(to_hex(bytes));
    case BtfKind::Enum:
    case BtfKind::Enum64:
        return is_word ? read_enum(resolved, load_unsigned(bytes), bits) : Json(to_hex(bytes));
    case BtfKind::Ptr:
        return fmt::format(
            "{:#x}",
            load_unsigned(bytes.first(std::min<std::size_t>(bytes.size(), sizeof(std::uint64_t)))));
    case BtfKind::Float:
        return read_float(bytes);
    case BtfKind::Array:
        return read_array(resolved, bytes);
    case BtfKind::Struct:
    case BtfKind::Union:
        return read_members(resolved, bytes);
    case BtfKind::Var:
        return read(btf_.type(resolved).type, bytes);
    case BtfKind::Void:
    case BtfKind::Fwd:
    case BtfKind::Typedef:
    case BtfKind::Volatile:
    case BtfKind::Const:
    case BtfKind::Restrict:
    case BtfKind::Func:
    case BtfKind::FuncProto:
    case BtfKind::Datasec:
    case BtfKind::DeclTag:
    case BtfKind::TypeTag:
        return to_hex(bytes);
    }
    std::unreachable();
}

std::optional<Json> sum_numbers(const Json::Array& values) {
    std::uint64_t sum = 0;
    const bool is_signed = std::holds_alternative<std::int64_t>(values.front().value());
    for (const Json& value : values) {
        if (const auto* natural = std::get_if<std::uint64_t>(&value.value())) {
            sum += *natural;
        } else if (const auto* integer = std::get_if<std::int64_t>(&value.value())) {
            sum += static_cast<std::uint64_t>(*integer);
        } else {
            return std::nullopt;
        }
    }
    return is_signed ? Json(static_cast<std::int64_t>(sum)) : Json(sum);
}

// Element `i` of each value, all of which are of one type and so have as many.
template <class Container, class Part>
Json::Array slice(const Json::Array& values, std::size_t i, Part part) {
    Json::Array result;
    for (const Json& value : values) {
        result.push_back(part(std::get<Container>(value.value())[i]));
    }
    return result;
}

} // namespace

Json value_of(const Btf* btf, std::uint32_t type_id, std::span<const std::byte> bytes) {
    if (btf == nullptr || type_id == 0 || type_id >= btf->type_count()) {
        return to_hex(bytes);
    }
    const auto size = btf->size_of(type_id);
    if (!size || *size > bytes.size() || btf->kind(type_id) == BtfKind::Datasec) {
        return to_hex(bytes);
    }
    return Reader(*btf).read(type_id, bytes.first(*size));
}

std::optional<Json> sum_of(const Json::Array& values) {
    EBPFVM_ASSERT(!values.empty());
    if (const auto* members = std::get_if<Json::Object>(&values.front().value())) {
        Json result = Json::object();
        for (std::size_t i = 0; i < members->size(); ++i) {
            auto sum = sum_of(slice<Json::Object>(
                values, i, [](const Json::Member& member) { return member.value; }));
            if (!sum) {
                return std::nullopt;
            }
            result.add((*members)[i].key, std::move(*sum));
        }
        return result;
    }
    if (const auto* elements = std::get_if<Json::Array>(&values.front().value())) {
        Json result = Json::array();
        for (std::size_t i = 0; i < elements->size(); ++i) {
            auto sum =
                sum_of(slice<Json::Array>(values, i, [](const Json& value) { return value; }));
            if (!sum) {
                return std::nullopt;
            }
            result.push(std::move(*sum));
        }
        return result;
    }
    return sum_numbers(values);
}

} // namespace ebpfvm::cli
