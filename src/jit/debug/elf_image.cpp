// The ELF file for gdb. Tested by jit/see_inside_test.cpp, and by cli/jit_debug_test.cpp with gdb.
#include "jit/debug/elf_image.hpp"

#include "elf/elf_format.hpp"
#include "jit/debug/byte_writer.hpp"
#include "jit/debug/dwarf.hpp"

#include <algorithm>
#include <string_view>

namespace ebpfvm::jit {
namespace {

// System V gABI, what elf_format.hpp has no use for.
constexpr std::uint16_t kTypeExecutable = 2;
constexpr std::uint16_t kMachineX86 = 62;
constexpr std::uint8_t kGlobalFunction = 1 << 4 | 2;
constexpr std::uint32_t kTextSection = 1;

class ImageWriter {
  public:
    explicit ImageWriter(const Compiled& compiled) : compiled_(compiled) {
        out_.put(elf::RawElfHeader{});
        sections_.push_back({});
    }

    std::vector<std::byte> write() {
        add_text();
        add(".eh_frame", eh_frame_of(compiled_), elf::section_flag::kAlloc);
        const DebugSections debug = debug_sections_of(compiled_);
        if (!debug.info.empty()) {
            add(".debug_info", debug.info);
            add(".debug_abbrev", debug.abbrev);
            add(".debug_line", debug.line);
        }
        add_symbols();
        write_headers();
        return out_.take();
    }

  private:
    elf::RawSection& new_section(std::string_view name, std::uint32_t type) {
        sections_.push_back({.name = std::uint32_t(names_.size()),
                             .type = type,
                             .flags = 0,
                             .address = 0,
                             .off = out_.size(),
                             .size = 0,
                             .link = 0,
                             .info = 0,
                             .align = 1,
                             .entry_size = 0});
        names_.put_string(name);
        return sections_.back();
    }

    // Where the code runs; it is not in the file.
    void add_text() {
        names_.put_u8(0);
        elf::RawSection& text = new_section(".text", elf::section_type::kNobits);
        text.flags = elf::section_flag::kAlloc | elf::section_flag::kExec;
        text.address = compiled_.address(0);
        text.size = compiled_.code.size();
        text.align = 16;
    }

    elf::RawSection& add(std::string_view name, std::span<const std::byte> content,
                         std::uint64_t flags = 0,
                         std::uint32_t type = elf::section_type::kProgbits) {
        out_.align(8);
        elf::RawSection& section = new_section(name, type);
        section.flags = flags;
        section.size = content.size();
        section.align = 8;
        out_.put_bytes(content);
        return section;
    }

    void add_symbols() {
        ByteWriter symbols;
        ByteWriter strings;
        symbols.put(elf::RawSymbol{});
        strings.put_u8(0);
        for (const CodeMap::Function& function : compiled_.map.functions()) {
            symbols.put(elf::RawSymbol{.name = std::uint32_t(strings.size()),
                                       .info = kGlobalFunction,
                                       .other = 0,
                                       .section = std::uint16_t(kTextSection),
                                       .value = compiled_.address(function.begin),
                                       .size = function.end - function.begin});
            strings.put_string(function.name);
        }
        elf::RawSection& table = add(".symtab", symbols.bytes(), 0, elf::section_type::kSymtab);
        table.link = std::uint32_t(sections_.size()); // .strtab comes next
        table.info = 1;                               // the first that is not local
        table.entry_size = sizeof(elf::RawSymbol);
        add(".strtab", strings.bytes(), 0, elf::section_type::kStrtab);
    }

    void write_headers() {
        elf::RawSection& names = add(".shstrtab", {}, 0, elf::section_type::kStrtab);
        names.size = names_.size();
        out_.put_bytes(names_.bytes());
        out_.align(8);
        elf::RawElfHeader header{};
        std::copy_n(elf::kElfMagic, sizeof elf::kElfMagic, header.ident);
        header.ident[elf::ident::kClass] = elf::ident::kClass64;
        header.ident[elf::ident::kData] = elf::ident::kDataLittle;
        header.ident[elf::ident::kVersion] = 1;
        header.type = kTypeExecutable;
        header.machine = kMachineX86;
        header.version = 1;
        header.section_headers = out_.size();
        header.header_size = sizeof header;
        header.section_header_size = sizeof(elf::RawSection);
        header.section_count = std::uint16_t(sections_.size());
        header.section_names = std::uint16_t(sections_.size() - 1);
        out_.overwrite(0, header);
        for (const elf::RawSection& section : sections_) {
            out_.put(section);
        }
    }

    const Compiled& compiled_;
    ByteWriter out_;
    ByteWriter names_;
    std::vector<elf::RawSection> sections_;
};

} // namespace

std::vector<std::byte> elf_image_of(const Compiled& compiled) {
    return ImageWriter(compiled).write();
}

} // namespace ebpfvm::jit
