// ELF64 as it lies in the file (System V gABI), and what BPF adds to it. Fields are little endian.
#pragma once

#include <cstdint>

namespace ebpfvm::elf {

struct RawElfHeader {
    std::uint8_t ident[16];
    std::uint16_t type;
    std::uint16_t machine;
    std::uint32_t version;
    std::uint64_t entry;
    std::uint64_t program_headers;
    std::uint64_t section_headers;
    std::uint32_t flags;
    std::uint16_t header_size;
    std::uint16_t program_header_size;
    std::uint16_t program_header_count;
    std::uint16_t section_header_size;
    std::uint16_t section_count;
    std::uint16_t section_names;
};
static_assert(sizeof(RawElfHeader) == 64);

struct RawSection {
    std::uint32_t name;
    std::uint32_t type;
    std::uint64_t flags;
    std::uint64_t address;
    std::uint64_t off;
    std::uint64_t size;
    std::uint32_t link;
    std::uint32_t info;
    std::uint64_t align;
    std::uint64_t entry_size;
};
static_assert(sizeof(RawSection) == 64);

struct RawSymbol {
    std::uint32_t name;
    std::uint8_t info;  // type: 0..3, binding: 4..7
    std::uint8_t other; // visibility: 0..1
    std::uint16_t section;
    std::uint64_t value;
    std::uint64_t size;
};
static_assert(sizeof(RawSymbol) == 24);

struct RawRel {
    std::uint64_t off;
    std::uint64_t info; // type: 0..31, symbol: 32..63
};

struct RawRela {
    std::uint64_t off;
    std::uint64_t info;
    std::int64_t addend;
};

inline constexpr std::uint8_t kElfMagic[4] = {0x7f, 'E', 'L', 'F'};

namespace ident {
inline constexpr unsigned kClass = 4;
inline constexpr unsigned kData = 5;
inline constexpr unsigned kVersion = 6;
inline constexpr std::uint8_t kClass64 = 2;
inline constexpr std::uint8_t kDataLittle = 1;
} // namespace ident

inline constexpr std::uint16_t kTypeRelocatable = 1;
inline constexpr std::uint16_t kMachineNone = 0; // early tools
inline constexpr std::uint16_t kMachineBpf = 247;

namespace section_type {
inline constexpr std::uint32_t kNull = 0;
inline constexpr std::uint32_t kProgbits = 1;
inline constexpr std::uint32_t kSymtab = 2;
inline constexpr std::uint32_t kStrtab = 3;
inline constexpr std::uint32_t kRela = 4;
inline constexpr std::uint32_t kNobits = 8;
inline constexpr std::uint32_t kRel = 9;
} // namespace section_type

namespace section_flag {
inline constexpr std::uint64_t kWrite = 1;
inline constexpr std::uint64_t kAlloc = 2;
inline constexpr std::uint64_t kExec = 4;
} // namespace section_flag

// Section numbers of symbols that are in no section.
inline constexpr std::uint16_t kSectionUndefined = 0;
inline constexpr std::uint16_t kSectionReserved = 0xff00; // from here on: no section
inline constexpr std::uint16_t kSectionCommon = 0xfff2;

enum class SymbolType : std::uint8_t { None = 0, Object = 1, Func = 2, Section = 3, File = 4 };
enum class SymbolBinding : std::uint8_t { Local = 0, Global = 1, Weak = 2 };
enum class SymbolVisibility : std::uint8_t { Default = 0, Internal = 1, Hidden = 2, Protected = 3 };

} // namespace ebpfvm::elf
