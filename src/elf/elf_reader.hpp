// Sections, symbols and relocations of an eBPF object, with every offset, index and name checked.
#pragma once

#include "ebpfvm/error.hpp"
#include "elf/elf_format.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

namespace ebpfvm::elf {

struct Section {
    std::string_view name;
    std::uint32_t type = section_type::kNull;
    std::uint64_t flags = 0;
    std::uint64_t size = 0;
    std::span<const std::byte> bytes; ///< empty for NOBITS
    std::uint32_t link = 0;
    std::uint32_t info = 0;

    [[nodiscard]] bool has(std::uint64_t flag) const { return (flags & flag) != 0; }
    [[nodiscard]] bool is_code() const {
        return type == section_type::kProgbits && has(section_flag::kExec) && size != 0;
    }
};

struct Symbol {
    std::string_view name; ///< a section symbol has that of its section
    SymbolType type = SymbolType::None;
    SymbolBinding binding = SymbolBinding::Local;
    SymbolVisibility visibility = SymbolVisibility::Default;
    std::uint32_t section = kSectionUndefined; ///< below sections().size(), or reserved
    std::uint64_t value = 0;                   ///< bytes into the section
    std::uint64_t size = 0;

    [[nodiscard]] bool is_undefined() const { return section == kSectionUndefined; }
    [[nodiscard]] bool is_global() const { return binding != SymbolBinding::Local; }
};

struct Reloc {
    std::uint64_t off = 0; ///< bytes into the section; inside it
    std::uint32_t symbol = 0;
    std::uint32_t type = 0;
    /// RELA gives the addend here, REL in the bytes that are relocated.
    bool has_addend = false;
    std::int64_t addend = 0;
};

/// A parsed file; views into its bytes, which must outlive it. Reading is linear in their number:
/// no two sections may share bytes.
class ElfFile {
  public:
    /// Errors: Errc::MalformedElf; Errc::Unsupported for other ELF files than 64-bit little-endian
    /// relocatable ones for BPF.
    [[nodiscard]] static Expected<ElfFile> parse(std::span<const std::byte> bytes);

    [[nodiscard]] std::span<const Section> sections() const { return sections_; }
    [[nodiscard]] std::span<const Symbol> symbols() const { return symbols_; }
    [[nodiscard]] const Section& section(std::uint32_t index) const { return sections_[index]; }
    [[nodiscard]] const Symbol& symbol(std::uint32_t index) const { return symbols_[index]; }
    /// The first section of that name, or nullptr.
    [[nodiscard]] const Section* find_section(std::string_view name) const;
    /// Indices of the symbols in a section, ascending by value.
    [[nodiscard]] std::span<const std::uint32_t> symbols_in(std::uint32_t section) const;
    [[nodiscard]] std::uint32_t index_of(const Section& section) const {
        return std::uint32_t(&section - sections_.data());
    }

    /// The relocations of a section, ascending by off.
    [[nodiscard]] std::span<const Reloc> relocs_of(std::uint32_t section) const {
        return relocs_[section];
    }

  private:
    Expected<void> read_sections(std::span<const std::byte> bytes, const RawElfHeader& header);
    Expected<void> read_symbols();
    Expected<void> read_symbol(const RawSymbol& raw, const Section& names, std::size_t index);
    Expected<void> read_relocs();
    Expected<void> read_relocs(const Section& section);

    std::vector<Section> sections_;
    std::vector<Symbol> symbols_;
    std::map<std::string_view, std::uint32_t> sections_by_name_;
    std::vector<std::uint32_t> symbols_by_place_; // sorted by section, then value
    std::vector<std::vector<Reloc>> relocs_;      // by section they apply to
};

} // namespace ebpfvm::elf
