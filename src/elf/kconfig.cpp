// Values of `extern int CONFIG_HZ __kconfig;` as libbpf stores them. Tested by kconfig_test.cpp.
#include "elf/externs.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>

namespace ebpfvm::elf {
namespace {

enum class ValueKind : std::uint8_t { Bool, Char, Tristate, Int, CharArray };

constexpr std::uint64_t kMaxSize = 1 << 20; // of all values together

struct ValueType {
    ValueKind kind = ValueKind::Int;
    bool is_signed = false;
    std::uint32_t size = 0;

    [[nodiscard]] std::uint32_t align() const { return kind == ValueKind::CharArray ? 1 : size; }
};

struct KconfigExtern {
    std::uint32_t symbol = 0;
    std::string_view name;
    bool is_weak = false;
    ValueType type;
};

Expected<ValueType> value_type(const Btf& btf, std::string_view name, std::uint32_t type_id) {
    const std::uint32_t id = btf.resolve(type_id);
    const BtfType type = btf.type(id);
    if (type.kind == BtfKind::Enum && type.name == "libbpf_tristate") {
        return ValueType{ValueKind::Tristate, false, type.size};
    }
    if (type.kind == BtfKind::Int && std::has_single_bit(type.size) && type.size <= 8) {
        const BtfInt encoding = btf.int_encoding(id);
        // Compilers do not mark char as such: like libbpf, take every byte for one.
        const ValueKind kind = encoding.is_bool ? ValueKind::Bool
                               : type.size == 1 ? ValueKind::Char
                                                : ValueKind::Int;
        return ValueType{kind, encoding.is_signed, type.size};
    }
    if (type.kind == BtfKind::Array) {
        const BtfArray array = btf.array(id);
        const BtfType element = btf.type(btf.resolve(array.element));
        if (element.kind == BtfKind::Int && element.size == 1 && array.count != 0) {
            return ValueType{ValueKind::CharArray, false, array.count};
        }
    }
    return fail(Errc::Unsupported,
                "kconfig extern \"{}\": type {} \"{}\" of {} bytes cannot hold "
                "a value",
                name, name_of(type.kind), type.name, type.size);
}

// The number that stands for y, m or n in a type that is not text.
Expected<std::uint64_t> number_of(char value, const KconfigExtern& wanted) {
    constexpr std::uint64_t kNo = 0;
    constexpr std::uint64_t kYes = 1;
    constexpr std::uint64_t kModule = 2;
    const ValueKind kind = wanted.type.kind;
    if (kind == ValueKind::Char) {
        return std::uint64_t(static_cast<unsigned char>(value));
    }
    if (kind == ValueKind::Bool || kind == ValueKind::Tristate) {
        if (value == 'n') {
            return kNo;
        }
        if (value == 'y') {
            return kYes;
        }
        if (value == 'm' && kind == ValueKind::Tristate) {
            return kModule;
        }
    }
    return fail(Errc::InvalidArgument, "kconfig \"{}\": value '{}' does not suit its type",
                wanted.name, value);
}

bool fits_type(std::uint64_t number, const ValueType& type) {
    if (type.kind == ValueKind::Bool) {
        return number <= 1;
    }
    if (type.size == 8) {
        return true;
    }
    const unsigned bits = type.size * 8;
    return type.is_signed ? number + (std::uint64_t{1} << (bits - 1)) < std::uint64_t{1} << bits
                          : number >> bits == 0;
}

Expected<void> store_number(std::uint64_t number, const KconfigExtern& wanted, std::byte* to) {
    const ValueType& type = wanted.type;
    if (type.kind == ValueKind::CharArray || !fits_type(number, type)) {
        return fail(Errc::InvalidArgument, "kconfig \"{}\": {} does not fit its {} bytes",
                    wanted.name, number, type.size);
    }
    std::memcpy(to, &number, type.size);
    return {};
}

Expected<void> store(const KconfigValue& value, const KconfigExtern& wanted, std::byte* to) {
    if (const auto* number = std::get_if<std::uint64_t>(&value)) {
        return store_number(*number, wanted, to);
    }
    if (const auto* letter = std::get_if<char>(&value)) {
        TRY_ASSIGN(const std::uint64_t number, number_of(*letter, wanted));
        return store_number(number, wanted, to);
    }
    const auto& text = std::get<std::string>(value);
    if (wanted.type.kind != ValueKind::CharArray || text.size() >= wanted.type.size) {
        return fail(Errc::InvalidArgument, "kconfig \"{}\": text of {} bytes does not fit its {}",
                    wanted.name, text.size(), wanted.type.size);
    }
    std::memcpy(to, text.data(), text.size());
    return {};
}

Expected<std::vector<KconfigExtern>> find_externs(const Input& input) {
    std::vector<KconfigExtern> found;
    const auto section =
        input.btf == nullptr ? std::nullopt : input.btf->find(".kconfig", BtfKind::Datasec);
    if (!section) {
        return found;
    }
    std::map<std::string_view, std::uint32_t> types; // of variables, by name
    for (const BtfSectionVar& var : input.btf->section_vars(*section)) {
        const BtfType type = input.btf->type(var.type);
        types.emplace(type.name, type.type);
    }
    for (const std::uint32_t i : input.file.symbols_in(kSectionUndefined)) {
        const Symbol& symbol = input.file.symbol(i);
        const auto type = types.find(symbol.name);
        if (type == types.end() || symbol.name.empty()) {
            continue;
        }
        TRY_ASSIGN(const ValueType value, value_type(*input.btf, symbol.name, type->second));
        found.push_back({i, symbol.name, symbol.binding == SymbolBinding::Weak, value});
    }
    // As libbpf lays them out: no gaps between numbers, then text.
    std::ranges::sort(found, {}, [](const KconfigExtern& item) {
        return std::tuple(-std::int64_t{item.type.align()}, item.type.size, item.name);
    });
    return found;
}

} // namespace

Expected<void> define_kconfig(const Input& input, MapTable& maps, ExternTable& externs) {
    TRY_ASSIGN(const auto wanted, find_externs(input));
    if (wanted.empty()) {
        return {};
    }
    MapSpec spec;
    spec.name = ".kconfig";
    spec.type = MapType::Array;
    spec.key_size = 4;
    spec.max_entries = 1;
    spec.flags = map_flags::kRdonlyProg;
    spec.frozen = true;
    const auto map = std::uint32_t(maps.maps().size());
    for (const KconfigExtern& item : wanted) {
        const std::uint64_t off =
            round_up(std::uint64_t{spec.data.size()}, std::uint64_t{item.type.align()});
        if (off + item.type.size > kMaxSize) {
            return fail(Errc::LimitExceeded, "kconfig externs take more than {} bytes", kMaxSize);
        }
        spec.data.resize(off + item.type.size);
        externs.add_kconfig(item.symbol, {map, std::uint32_t(off)});
        const auto value = input.options.kconfig.find(item.name);
        if (value != input.options.kconfig.end()) {
            TRY(store(value->second, item, spec.data.data() + off));
        } else if (!item.is_weak) {
            return fail(Errc::Unresolved, "kconfig extern \"{}\" has no value", item.name);
        }
    }
    spec.value_size = std::uint32_t(spec.data.size());
    maps.add(std::move(spec));
    return {};
}

} // namespace ebpfvm::elf
