// Reads the container. What sections and symbols mean is for others to say.
// Tested by elf_reader_test.cpp.
#include "elf/elf_reader.hpp"

#include "support/byte_reader.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace ebpfvm::elf {
namespace {

// Many symbols may share one name, or a part of it: only a limit keeps the work linear.
constexpr std::size_t kMaxName = 4096;

Expected<RawElfHeader> read_header(const ByteReader& reader) {
    TRY_ASSIGN(const auto header, reader.read<RawElfHeader>(0, "header"));
    if (std::memcmp(header.ident, kElfMagic, sizeof(kElfMagic)) != 0) {
        return fail(Errc::MalformedElf, "no ELF file");
    }
    if (header.ident[ident::kClass] != ident::kClass64) {
        return fail(Errc::Unsupported, "ELF class {}, only 64-bit (2) is supported",
                    header.ident[ident::kClass]);
    }
    if (header.ident[ident::kData] != ident::kDataLittle) {
        return fail(Errc::Unsupported, "ELF byte order {}, only little endian (1) is supported",
                    header.ident[ident::kData]);
    }
    if (header.machine != kMachineBpf && header.machine != kMachineNone) {
        return fail(Errc::Unsupported, "ELF machine {}, only BPF ({}) is supported", header.machine,
                    kMachineBpf);
    }
    if (header.type != kTypeRelocatable) {
        return fail(Errc::Unsupported, "ELF type {}, only relocatable files ({}) are supported",
                    header.type, kTypeRelocatable);
    }
    if (header.section_count != 0 && header.section_header_size != sizeof(RawSection)) {
        return fail(Errc::MalformedElf, "section headers of {} bytes, not {}",
                    header.section_header_size, sizeof(RawSection));
    }
    return header;
}

Expected<std::string_view> name_in(const Section& strings, std::uint32_t off) {
    if (off == 0 && strings.bytes.empty()) {
        return std::string_view();
    }
    if (off >= strings.bytes.size()) {
        return fail(Errc::MalformedElf, "name at {} of {} bytes", off, strings.bytes.size());
    }
    const auto* begin = reinterpret_cast<const char*>(strings.bytes.data()) + off;
    const std::size_t rest = std::min(strings.bytes.size() - off, kMaxName + 1);
    const void* end = std::memchr(begin, 0, rest);
    if (end == nullptr) {
        return fail(Errc::MalformedElf, "name at {} is not terminated within {} bytes", off, rest);
    }
    return std::string_view(begin, static_cast<const char*>(end));
}

} // namespace

Expected<ElfFile> ElfFile::parse(std::span<const std::byte> bytes) {
    TRY_ASSIGN(const RawElfHeader header,
               read_header(ByteReader(bytes, Errc::MalformedElf, "ELF file")));
    ElfFile file;
    TRY(file.read_sections(bytes, header));
    TRY(file.read_symbols());
    TRY(file.read_relocs());
    return file;
}

Expected<void> ElfFile::read_sections(std::span<const std::byte> bytes,
                                      const RawElfHeader& header) {
    const ByteReader reader(bytes, Errc::MalformedElf, "ELF file");
    const std::size_t count = header.section_count;
    TRY_ASSIGN(const auto table,
               reader.bytes(header.section_headers, count * sizeof(RawSection), "section headers"));
    if (count == 0 || header.section_names >= count) {
        return fail(Errc::MalformedElf, "section names are in section {} of {}",
                    header.section_names, count);
    }
    std::uint64_t total = 0;
    std::vector<std::uint32_t> names;
    for (std::size_t i = 0; i < count; ++i) {
        const auto raw = load_unaligned<RawSection>(table.data() + i * sizeof(RawSection));
        Section& section = sections_.emplace_back();
        names.push_back(raw.name);
        if (raw.type == section_type::kNull) {
            continue;
        }
        section.type = raw.type;
        section.flags = raw.flags;
        section.size = raw.size;
        section.link = raw.link;
        section.info = raw.info;
        if (raw.type != section_type::kNobits) {
            TRY_ASSIGN(section.bytes,
                       reader.bytes(raw.off, raw.size, "section " + std::to_string(i)));
            total += raw.size;
        }
        if (total > bytes.size()) {
            return fail(Errc::MalformedElf,
                        "sections overlap: {} bytes up to section {}, {} in all", total, i,
                        bytes.size());
        }
    }
    const Section& strings = sections_[header.section_names];
    for (std::size_t i = 1; i < count; ++i) {
        TRY_ASSIGN(sections_[i].name, name_in(strings, names[i]));
        if (sections_[i].type != section_type::kNull) {
            sections_by_name_.emplace(sections_[i].name, std::uint32_t(i));
        }
    }
    return {};
}

Expected<void> ElfFile::read_symbols() {
    const auto table = std::ranges::find(sections_, section_type::kSymtab, &Section::type);
    if (table == sections_.end()) {
        return {};
    }
    if (table->bytes.size() % sizeof(RawSymbol) != 0 || table->link >= sections_.size()) {
        return fail(Errc::MalformedElf, "section \"{}\": {} bytes of symbols, names in section {}",
                    table->name, table->bytes.size(), table->link);
    }
    const Section& names = sections_[table->link];
    for (std::size_t at = 0; at < table->bytes.size(); at += sizeof(RawSymbol)) {
        const auto raw = load_unaligned<RawSymbol>(table->bytes.data() + at);
        TRY(read_symbol(raw, names, at / sizeof(RawSymbol)));
    }
    symbols_by_place_.resize(symbols_.size());
    std::iota(symbols_by_place_.begin(), symbols_by_place_.end(), 0U);
    std::ranges::stable_sort(symbols_by_place_, {}, [this](std::uint32_t i) {
        return std::pair(symbols_[i].section, symbols_[i].value);
    });
    return {};
}

Expected<void> ElfFile::read_symbol(const RawSymbol& raw, const Section& names, std::size_t index) {
    TRY_ASSIGN(std::string_view name, name_in(names, raw.name));
    const bool has_section = raw.section < kSectionReserved;
    if (has_section && raw.section >= sections_.size()) {
        return fail(Errc::MalformedElf, "symbol {} \"{}\": section {} of {}", index, name,
                    raw.section, sections_.size());
    }
    const auto type = SymbolType(raw.info & 0xf);
    if (type == SymbolType::Section && has_section) {
        name = sections_[raw.section].name;
    }
    const bool is_place = has_section && raw.section != kSectionUndefined;
    if (is_place && raw.value > sections_[raw.section].size) {
        return fail(Errc::MalformedElf, "symbol {} \"{}\": at {} of {} bytes in section \"{}\"",
                    index, name, raw.value, sections_[raw.section].size,
                    sections_[raw.section].name);
    }
    symbols_.push_back({.name = name,
                        .type = type,
                        .binding = SymbolBinding(raw.info >> 4),
                        .visibility = SymbolVisibility(raw.other & 3),
                        .section = raw.section,
                        .value = raw.value,
                        .size = raw.size});
    return {};
}

Expected<void> ElfFile::read_relocs() {
    relocs_.resize(sections_.size());
    for (const Section& section : sections_) {
        if (section.type == section_type::kRel || section.type == section_type::kRela) {
            TRY(read_relocs(section));
        }
    }
    for (auto& relocs : relocs_) {
        std::ranges::stable_sort(relocs, {}, &Reloc::off);
    }
    return {};
}

Expected<void> ElfFile::read_relocs(const Section& section) {
    const bool has_addend = section.type == section_type::kRela;
    const std::size_t entry = has_addend ? sizeof(RawRela) : sizeof(RawRel);
    if (section.bytes.size() % entry != 0 || section.info >= sections_.size()) {
        return fail(Errc::MalformedElf, "section \"{}\": {} bytes of relocations for section {}",
                    section.name, section.bytes.size(), section.info);
    }
    const Section& target = sections_[section.info];
    for (std::size_t at = 0; at < section.bytes.size(); at += entry) {
        const auto raw = load_unaligned<RawRel>(section.bytes.data() + at);
        Reloc reloc{.off = raw.off,
                    .symbol = std::uint32_t(raw.info >> 32),
                    .type = std::uint32_t(raw.info),
                    .has_addend = has_addend};
        if (has_addend) {
            reloc.addend = load_unaligned<RawRela>(section.bytes.data() + at).addend;
        }
        if (reloc.off >= target.size || reloc.symbol >= symbols_.size()) {
            return fail(Errc::MalformedElf,
                        "section \"{}\": relocation {} at {} of {} bytes for "
                        "symbol {} of {}",
                        section.name, at / entry, reloc.off, target.size, reloc.symbol,
                        symbols_.size());
        }
        relocs_[section.info].push_back(reloc);
    }
    return {};
}

const Section* ElfFile::find_section(std::string_view name) const {
    const auto found = sections_by_name_.find(name);
    return found == sections_by_name_.end() ? nullptr : &sections_[found->second];
}

std::span<const std::uint32_t> ElfFile::symbols_in(std::uint32_t section) const {
    const auto range = std::ranges::equal_range(
        symbols_by_place_, section, {}, [this](std::uint32_t i) { return symbols_[i].section; });
    return {range.begin(), range.end()};
}

} // namespace ebpfvm::elf
