// Type information of an object file, completed from its symbols.
#include "elf/input.hpp"

#include "support/bits.hpp"
#include "support/try.hpp"

#include <map>

namespace ebpfvm::elf {
namespace {

// clang leaves the offsets of variables to relocations against their symbols.
Expected<std::vector<std::byte>> relocated_btf(const ElfFile& file, const Section& section) {
    std::vector<std::byte> bytes(section.bytes.begin(), section.bytes.end());
    for (const Reloc& reloc : file.relocs_of(file.index_of(section))) {
        if (!fits(reloc.off, 4, bytes.size())) {
            return fail(Errc::MalformedElf, "section \"{}\": relocation at {} of {} bytes",
                        section.name, reloc.off, bytes.size());
        }
        std::byte* at = bytes.data() + reloc.off;
        const std::int64_t addend =
            reloc.has_addend ? reloc.addend : load_unaligned<std::uint32_t>(at);
        store_unaligned(at, std::uint32_t(file.symbol(reloc.symbol).value + std::uint64_t(addend)));
    }
    return bytes;
}

} // namespace

std::vector<SectionVar> section_vars(const Input& input, std::uint32_t section) {
    const ElfFile& file = input.file;
    const std::string_view section_name = file.section(section).name;
    if (input.btf == nullptr || file.find_section(section_name) != &file.section(section)) {
        return {};
    }
    const Btf& btf = *input.btf;
    const auto id = btf.find(section_name, BtfKind::Datasec);
    if (!id) {
        return {};
    }
    // gcc leaves all offsets 0, without relocations: only the symbols know.
    const Section* btf_section = file.find_section(".BTF");
    const bool has_offs =
        btf.type(*id).size != 0 || !file.relocs_of(file.index_of(*btf_section)).empty();
    std::map<std::string_view, const Symbol*> symbols;
    if (!has_offs) {
        for (const std::uint32_t symbol : file.symbols_in(section)) {
            symbols.emplace(file.symbol(symbol).name, &file.symbol(symbol));
        }
    }
    std::vector<SectionVar> vars;
    for (const BtfSectionVar& entry : btf.section_vars(*id)) {
        const BtfType type = btf.type(entry.type);
        SectionVar var{type.name, btf.linkage(entry.type) == BtfLinkage::Extern, type.type,
                       entry.off, entry.size};
        if (!has_offs && !var.is_extern) {
            const auto symbol = symbols.find(var.name);
            if (symbol == symbols.end()) {
                continue;
            }
            var.off = std::uint32_t(symbol->second->value);
        }
        vars.push_back(var);
    }
    return vars;
}

Expected<Input> read_input(const ElfFile& file, const LoadObjectOptions& options) {
    Input input{file, options, nullptr, {}};
    const Section* types = file.find_section(".BTF");
    if (types == nullptr || types->bytes.empty()) {
        return input;
    }
    TRY_ASSIGN(const auto bytes, relocated_btf(file, *types));
    TRY_ASSIGN(Btf btf, Btf::parse(bytes));
    input.btf = std::make_shared<const Btf>(std::move(btf));
    if (const Section* ext = file.find_section(".BTF.ext"); ext && !ext->bytes.empty()) {
        TRY_ASSIGN(input.ext, parse_btf_ext(ext->bytes, *input.btf));
    }
    return input;
}

} // namespace ebpfvm::elf
