// BTF and .BTF.ext as they lie in memory (include/uapi/linux/btf.h). All fields are little endian.
#pragma once

#include "ebpfvm/btf.hpp"

#include <cstdint>
#include <functional>
#include <string_view>

namespace ebpfvm::elf {

inline constexpr std::uint16_t kBtfMagic = 0xeb9f;
inline constexpr std::uint8_t kBtfVersion = 1;
/// Longest name. The kernel allows 511 bytes.
inline constexpr std::size_t kMaxBtfName = 4096;

struct RawBtfHeader {
    std::uint16_t magic;
    std::uint8_t version;
    std::uint8_t flags;
    std::uint32_t hdr_len;
    std::uint32_t type_off; // offsets are from the end of the header
    std::uint32_t type_len;
    std::uint32_t str_off;
    std::uint32_t str_len;
};

struct RawBtfExtHeader {
    std::uint16_t magic;
    std::uint8_t version;
    std::uint8_t flags;
    std::uint32_t hdr_len;
    std::uint32_t func_info_off;
    std::uint32_t func_info_len;
    std::uint32_t line_info_off;
    std::uint32_t line_info_len;
};

struct RawBtfType {
    std::uint32_t name_off;
    std::uint32_t info; // vlen: 0..15, kind: 24..28, kind_flag: 31
    std::uint32_t size_or_type;

    [[nodiscard]] std::uint16_t vlen() const { return std::uint16_t(info); }
    [[nodiscard]] std::uint32_t kind_number() const { return info >> 24 & 0x1f; }
    [[nodiscard]] BtfKind kind() const { return BtfKind(kind_number()); } // after checking
    [[nodiscard]] bool kind_flag() const { return info >> 31 != 0; }
};

struct RawBtfArray {
    std::uint32_t element;
    std::uint32_t index;
    std::uint32_t count;
};

struct RawBtfMember {
    std::uint32_t name_off;
    std::uint32_t type;
    std::uint32_t offset; // in bits; with kind_flag: width in bits 24..31
};

struct RawBtfParam {
    std::uint32_t name_off;
    std::uint32_t type;
};

struct RawBtfEnum {
    std::uint32_t name_off;
    std::int32_t value;
};

struct RawBtfEnum64 {
    std::uint32_t name_off;
    std::uint32_t low;
    std::uint32_t high;
};

struct RawBtfVarSecinfo {
    std::uint32_t type;
    std::uint32_t off;
    std::uint32_t size;
};

/// Kinds whose size_or_type is a type: the rest of them say a size, or nothing.
[[nodiscard]] constexpr bool refers_to_type(BtfKind kind) {
    switch (kind) {
    case BtfKind::Ptr:
    case BtfKind::Typedef:
    case BtfKind::Volatile:
    case BtfKind::Const:
    case BtfKind::Restrict:
    case BtfKind::Func:
    case BtfKind::FuncProto:
    case BtfKind::Var:
    case BtfKind::DeclTag:
    case BtfKind::TypeTag:
        return true;
    case BtfKind::Void:
    case BtfKind::Int:
    case BtfKind::Array:
    case BtfKind::Struct:
    case BtfKind::Union:
    case BtfKind::Enum:
    case BtfKind::Fwd:
    case BtfKind::Datasec:
    case BtfKind::Float:
    case BtfKind::Enum64:
        return false;
    }
    return false;
}

[[nodiscard]] constexpr bool is_modifier(BtfKind kind) {
    return kind == BtfKind::Const || kind == BtfKind::Volatile || kind == BtfKind::Restrict ||
           kind == BtfKind::TypeTag;
}

[[nodiscard]] constexpr bool is_composite(BtfKind kind) {
    return kind == BtfKind::Struct || kind == BtfKind::Union;
}

/// Bytes that follow the common header.
[[nodiscard]] constexpr std::size_t payload_size(BtfKind kind, std::size_t vlen) {
    switch (kind) {
    case BtfKind::Int:
    case BtfKind::Var:
    case BtfKind::DeclTag:
        return 4;
    case BtfKind::Array:
        return sizeof(RawBtfArray);
    case BtfKind::Struct:
    case BtfKind::Union:
        return vlen * sizeof(RawBtfMember);
    case BtfKind::Enum:
        return vlen * sizeof(RawBtfEnum);
    case BtfKind::Enum64:
        return vlen * sizeof(RawBtfEnum64);
    case BtfKind::FuncProto:
        return vlen * sizeof(RawBtfParam);
    case BtfKind::Datasec:
        return vlen * sizeof(RawBtfVarSecinfo);
    case BtfKind::Void:
    case BtfKind::Ptr:
    case BtfKind::Fwd:
    case BtfKind::Typedef:
    case BtfKind::Volatile:
    case BtfKind::Const:
    case BtfKind::Restrict:
    case BtfKind::Func:
    case BtfKind::Float:
    case BtfKind::TypeTag:
        return 0;
    }
    return 0;
}

/// A name and a kind as one number, for the index behind Btf::find().
[[nodiscard]] inline std::uint64_t name_hash(std::string_view name, BtfKind kind) {
    return std::hash<std::string_view>{}(name)*31 + std::uint64_t(kind);
}

} // namespace ebpfvm::elf
