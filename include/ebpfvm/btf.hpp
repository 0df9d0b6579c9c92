// BTF type information: a bounds-checked reader, and the questions loaders and verifiers ask.
#pragma once

#include "ebpfvm/error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ebpfvm {

/// The kernel's numbers (BTF_KIND_*).
enum class BtfKind : std::uint8_t {
    Void = 0,
    Int = 1,
    Ptr = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Fwd = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Func = 12,
    FuncProto = 13,
    Var = 14,
    Datasec = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
};

/// "int", "ptr", "struct"...
[[nodiscard]] std::string_view name_of(BtfKind kind);

/// The kernel's numbers; of Func and Var.
enum class BtfLinkage : std::uint8_t { Static = 0, Global = 1, Extern = 2 };

/// What all kinds have in common. Names live as long as the Btf.
struct BtfType {
    BtfKind kind = BtfKind::Void;
    /// Fwd: a union rather than a struct. Enum, Enum64: values are signed.
    bool kind_flag = false;
    std::uint16_t vlen = 0; ///< number of members, values, parameters or variables
    /// Int, Enum, Enum64, Float, Struct, Union, Datasec: bytes, as stored; else 0.
    std::uint32_t size = 0;
    /// What Ptr, Typedef, Var, TypeTag and the qualifiers refer to; FuncProto: what it returns;
    /// Func: its FuncProto; DeclTag: what it marks; else 0.
    std::uint32_t type = 0;
    std::string_view name; ///< empty if anonymous
};

struct BtfMember {
    std::string_view name;
    std::uint32_t type = 0;
    std::uint32_t bit_off = 0; ///< from the start of the struct
    std::uint32_t bits = 0;    ///< width of a bitfield; 0 for an ordinary member
};

struct BtfParam {
    std::string_view name;
    std::uint32_t type = 0; ///< 0 in the last one: variadic
};

/// An entry of a Datasec.
struct BtfSectionVar {
    std::uint32_t type = 0; ///< a Var, or a Func for extern functions
    std::uint32_t off = 0;
    std::uint32_t size = 0;
};

struct BtfEnumerator {
    std::string_view name;
    std::uint64_t value = 0; ///< sign extended if the enum is signed
};

struct BtfArray {
    std::uint32_t element = 0;
    std::uint32_t index = 0;
    std::uint32_t count = 0;
};

struct BtfInt {
    std::uint32_t bits = 0;
    std::uint32_t bit_off = 0;
    bool is_signed = false;
    bool is_char = false;
    bool is_bool = false;
};

/// The type section of an object, or of a kernel. A value; independent of the bytes it came from.
///
/// parse() establishes what every query relies on: all type ids and names exist, nothing contains
/// itself by value, types nest at most kMaxDepth deep (so recursion over them is safe), and members
/// lie inside their struct. An `id` given to a query must be below type_count() and of the kind
/// that the query is about.
class Btf {
  public:
    /// How deep arrays, structs, typedefs and qualifiers nest at most; pointers start anew. The
    /// kernel allows 32.
    static constexpr unsigned kMaxDepth = 250;

    /// Of the bytes of a .BTF section or of /sys/kernel/btf/vmlinux. Linear in their number.
    /// Errors: Errc::MalformedBtf.
    [[nodiscard]] static Expected<Btf> parse(std::span<const std::byte> bytes);

    /// Ids are 0 (void) to type_count() - 1.
    [[nodiscard]] std::uint32_t type_count() const { return std::uint32_t(offsets_.size()); }
    [[nodiscard]] BtfType type(std::uint32_t id) const;
    [[nodiscard]] BtfKind kind(std::uint32_t id) const { return type(id).kind; }
    [[nodiscard]] std::string_view name(std::uint32_t id) const { return type(id).name; }

    /// The first type of that name and kind.
    [[nodiscard]] std::optional<std::uint32_t> find(std::string_view name, BtfKind kind) const;

    /// The type below const, volatile, restrict and type tags.
    [[nodiscard]] std::uint32_t skip_modifiers(std::uint32_t id) const;
    /// The type below modifiers and typedefs.
    [[nodiscard]] std::uint32_t resolve(std::uint32_t id) const;
    /// Bytes an object of the type takes: looks through modifiers, typedefs, arrays and variables.
    /// None for void, functions and forward declarations.
    [[nodiscard]] std::optional<std::uint32_t> size_of(std::uint32_t id) const;

    [[nodiscard]] std::vector<BtfMember> members(std::uint32_t id) const; ///< Struct, Union
    [[nodiscard]] std::vector<BtfParam> params(std::uint32_t id) const;   ///< FuncProto
    [[nodiscard]] std::vector<BtfSectionVar> section_vars(std::uint32_t id) const; ///< Datasec
    [[nodiscard]] std::vector<BtfEnumerator> enumerators(std::uint32_t id) const;  ///< Enum, Enum64
    [[nodiscard]] BtfArray array(std::uint32_t id) const;                          ///< Array
    [[nodiscard]] BtfInt int_encoding(std::uint32_t id) const;                     ///< Int
    [[nodiscard]] BtfLinkage linkage(std::uint32_t id) const;                      ///< Func, Var
    /// DeclTag: the member or parameter it marks; -1 for the type itself.
    [[nodiscard]] std::int32_t component(std::uint32_t id) const;

    /// The string at an offset of the string section, as .BTF.ext refers to them; cut after 4096
    /// bytes.
    [[nodiscard]] Expected<std::string_view> string(std::uint32_t off) const;

  private:
    friend class BtfParser;
    struct NameEntry {
        std::uint64_t hash; // of name and kind
        std::uint32_t id;
        auto operator<=>(const NameEntry&) const = default;
    };
    static constexpr std::uint32_t kNoSize = ~std::uint32_t{0};

    [[nodiscard]] const std::byte* payload(std::uint32_t id) const; // what follows the header

    std::vector<std::byte> bytes_;
    std::size_t strings_at_ = 0; // in bytes_
    std::size_t strings_size_ = 0;
    std::vector<std::uint32_t> offsets_; // of each type's record in bytes_, by id; [0] is void
    std::vector<std::uint32_t> sizes_;   // by id; kNoSize if it has none
    std::vector<NameEntry> names_;       // ascending
};

} // namespace ebpfvm
