// LLVM's relocations (llvm/docs/BPF: R_BPF_64_64 on lddw, R_BPF_64_32 on call), and what gcc and
// binutils make of them. The insn says what is meant: types of relocations have changed their
// numbers. Tested by relocate_test.cpp.
#include "elf/relocate.hpp"

#include "support/bits.hpp"

#include <algorithm>
#include <limits>
#include <unordered_set>

namespace ebpfvm::elf {
namespace {

constexpr std::uint8_t kLddw = 0x18;
constexpr std::uint8_t kCall = 0x85;

std::int64_t imm64(const Insn* lddw) {
    const std::uint64_t high = std::uint32_t(lddw[1].imm);
    return std::int64_t(std::uint32_t(lddw[0].imm) | high << 32);
}

class Relocator {
  public:
    Relocator(const Input& input, MapTable& maps, ExternTable& externs, Code& code, Budget& budget)
        : input_(input), file_(input.file), maps_(maps), externs_(externs), code_(code),
          budget_(budget) {}

    Expected<std::vector<AppliedReloc>> run();

  private:
    Expected<void> relocate_section(std::uint32_t section, std::vector<Insn>& insns);
    Expected<void> apply(const Reloc& reloc, std::span<Insn> insns);
    Expected<void> apply_call(const Reloc& reloc, Insn& insn);
    Expected<void> apply_lddw(const Reloc& reloc, Insn* insn);
    Expected<void> refer_to_extern(const Reloc& reloc, Insn* insn);
    Expected<void> refer_to_data(const Reloc& reloc, std::uint32_t map, std::int64_t off,
                                 Insn* insn);
    Expected<void> refer_to_function(std::uint64_t at, std::uint32_t section, std::int64_t slot);
    Expected<void> find_local_refs(std::span<const Insn> insns);
    Expected<void> note(const Reloc& reloc, std::string_view kind);
    [[nodiscard]] std::int64_t addend_of(const Reloc& reloc, const Insn* lddw) const;
    [[nodiscard]] bool has_gas_addends() const;
    [[nodiscard]] const Symbol& symbol_of(const Reloc& reloc) const {
        return file_.symbol(reloc.symbol);
    }
    template <class... Args>
    std::unexpected<Error> bad(std::uint64_t slot, fmt::format_string<Args...> format,
                               Args&&... args) const {
        return fail(Errc::MalformedElf, "section \"{}\" insn {}: {}", file_.section(section_).name,
                    slot, fmt::format(format, std::forward<Args>(args)...));
    }

    const Input& input_;
    const ElfFile& file_;
    MapTable& maps_;
    ExternTable& externs_;
    Code& code_;
    Budget& budget_;
    std::vector<AppliedReloc> applied_;
    bool gas_addends_ = false;

    // Of the section at hand:
    std::uint32_t section_ = 0;
    std::vector<FuncRef> refs_;
    std::unordered_set<std::uint64_t> relocated_; // slots
};

Expected<std::vector<AppliedReloc>> Relocator::run() {
    gas_addends_ = has_gas_addends();
    for (auto& [section, insns] : code_.sections()) {
        TRY(relocate_section(section, insns));
        code_.set_refs(section, std::move(refs_));
    }
    return std::move(applied_);
}

// binutils before 2.41 leave the whole value, symbol included, in the insn; LLVM only what is to be
// added to the symbol. Nothing in the file says so, except that gcc made it and that no insn
// contradicts.
bool Relocator::has_gas_addends() const {
    const Section* comment = file_.find_section(".comment");
    const auto text = comment == nullptr
                          ? std::string_view()
                          : std::string_view(reinterpret_cast<const char*>(comment->bytes.data()),
                                             comment->bytes.size());
    if (text.find("GCC:") == std::string_view::npos) {
        return false;
    }
    for (const auto& [section, insns] : code_.sections()) {
        for (const Reloc& reloc : file_.relocs_of(section)) {
            const Symbol& symbol = symbol_of(reloc);
            const std::size_t slot = reloc.off / kInsnSize;
            const bool is_lddw = insns[slot].code == kLddw && slot + 1 < insns.size();
            if (is_lddw && !symbol.is_undefined() && symbol.type != SymbolType::Section &&
                imm64(&insns[slot]) < std::int64_t(symbol.value)) {
                return false;
            }
        }
    }
    return true;
}

Expected<void> Relocator::relocate_section(std::uint32_t section, std::vector<Insn>& insns) {
    section_ = section;
    refs_.clear();
    relocated_.clear();
    for (const Reloc& reloc : file_.relocs_of(section)) {
        TRY(apply(reloc, insns));
    }
    return find_local_refs(insns);
}

Expected<void> Relocator::apply(const Reloc& reloc, std::span<Insn> insns) {
    const std::uint64_t slot = reloc.off / kInsnSize;
    if (reloc.off % kInsnSize != 0) {
        return bad(slot, "relocation at offset {} is inside an insn", reloc.off);
    }
    if (!relocated_.insert(slot).second) {
        return bad(slot, "relocated twice");
    }
    Insn& insn = insns[slot];
    if (insn.code == kCall) {
        return apply_call(reloc, insn);
    }
    if (insn.code == kLddw) {
        if (slot + 1 == insns.size()) {
            return bad(slot, "lddw is cut off");
        }
        return apply_lddw(reloc, &insn);
    }
    return fail(Errc::Unsupported,
                "section \"{}\" insn {}: relocation against \"{}\" on opcode {:#04x}, only lddw "
                "and call can have one",
                file_.section(section_).name, slot, symbol_of(reloc).name, insn.code);
}

Expected<void> Relocator::apply_call(const Reloc& reloc, Insn& insn) {
    const std::uint64_t slot = reloc.off / kInsnSize;
    const Symbol& symbol = symbol_of(reloc);
    if (symbol.is_undefined()) {
        return refer_to_extern(reloc, &insn);
    }
    if (!code_.sections().contains(symbol.section)) {
        return bad(slot, "call of \"{}\", which is no function", symbol.name);
    }
    std::int64_t target = std::int64_t(symbol.value / kInsnSize);
    if (symbol.type == SymbolType::Section) { // a static function: the insn says which
        target +=
            reloc.has_addend ? reloc.addend / std::int64_t{kInsnSize} : std::int64_t{insn.imm} + 1;
    }
    insn.src = std::to_underlying(CallSrc::Local) & 0xf;
    TRY(note(reloc, "call"));
    return refer_to_function(slot, symbol.section, target);
}

std::int64_t Relocator::addend_of(const Reloc& reloc, const Insn* lddw) const {
    if (reloc.has_addend) {
        return reloc.addend;
    }
    const Symbol& symbol = symbol_of(reloc);
    const bool includes_symbol = gas_addends_ && symbol.type != SymbolType::Section;
    const std::uint64_t included = includes_symbol ? symbol.value : 0;
    return std::int64_t(std::uint64_t(imm64(lddw)) - included);
}

Expected<void> Relocator::apply_lddw(const Reloc& reloc, Insn* insn) {
    const std::uint64_t slot = reloc.off / kInsnSize;
    const Symbol& symbol = symbol_of(reloc);
    if (symbol.is_undefined()) {
        return refer_to_extern(reloc, insn);
    }
    if (symbol.section >= kSectionReserved) {
        return fail(Errc::Unsupported, "section \"{}\" insn {}: \"{}\" is in no section ({})",
                    file_.section(section_).name, slot, symbol.name,
                    symbol.section == kSectionCommon ? "common" : "absolute");
    }
    const auto off = std::int64_t(symbol.value + std::uint64_t(addend_of(reloc, insn)));
    if (code_.sections().contains(symbol.section)) {
        if (off % kInsnSize != 0) {
            return bad(slot, "address {} in \"{}\" is inside an insn", off, symbol.name);
        }
        insn->src = std::to_underlying(LddwSrc::Func) & 0xf;
        insn[1].imm = 0;
        TRY(note(reloc, "func"));
        return refer_to_function(slot, symbol.section, off / std::int64_t{kInsnSize});
    }
    if (maps_.defines_maps(symbol.section)) {
        const MapPlace* place = maps_.definition_at(symbol.section, std::uint64_t(off));
        if (place == nullptr) {
            return bad(slot, "no map at offset {} of section \"{}\"", off,
                       file_.section(symbol.section).name);
        }
        insn->src = std::to_underlying(LddwSrc::MapIdx) & 0xf;
        insn->imm = std::int32_t(place->map);
        insn[1].imm = 0;
        return note(reloc, "map");
    }
    auto map = maps_.data_of(symbol.section);
    if (!map) {
        const Section& section = file_.section(symbol.section);
        if (!section.has(section_flag::kAlloc) || section.size == 0) {
            return bad(slot, "\"{}\" is in section \"{}\", which holds no data", symbol.name,
                       section.name);
        }
        TRY_ASSIGN(map, define_data_map(input_, symbol.section, maps_));
    }
    TRY(refer_to_data(reloc, *map, off, insn));
    return note(reloc, "data");
}

Expected<void> Relocator::refer_to_data(const Reloc& reloc, std::uint32_t map, std::int64_t off,
                                        Insn* insn) {
    // An offset outside the section is the program's own affair, as long as it can be said at all.
    if (off != std::int32_t(off) && off != std::uint32_t(off)) {
        return bad(reloc.off / kInsnSize, "offset {} from \"{}\" needs more than 32 bits", off,
                   symbol_of(reloc).name);
    }
    insn->src = std::to_underlying(LddwSrc::MapValueIdx) & 0xf;
    insn->imm = std::int32_t(map);
    insn[1].imm = std::int32_t(off);
    return {};
}

Expected<void> Relocator::refer_to_extern(const Reloc& reloc, Insn* insn) {
    const Symbol& symbol = symbol_of(reloc);
    if (symbol.name.empty()) {
        return bad(reloc.off / kInsnSize, "relocation against symbol {}, which has no name",
                   reloc.symbol);
    }
    if (insn->code == kCall) {
        insn->src = std::to_underlying(CallSrc::Kfunc) & 0xf;
        insn->off = 0;
        insn->imm = std::int32_t(externs_.index_of(reloc.symbol, ExternKind::Function));
        return note(reloc, "extern");
    }
    const std::int64_t addend = addend_of(reloc, insn);
    if (const auto place = externs_.kconfig_of(reloc.symbol)) {
        TRY(refer_to_data(reloc, place->map, std::int64_t(place->off) + addend, insn));
        return note(reloc, "extern");
    }
    if (addend != 0) {
        return fail(Errc::Unsupported, "section \"{}\" insn {}: offset {} from extern \"{}\"",
                    file_.section(section_).name, reloc.off / kInsnSize, addend, symbol.name);
    }
    insn->src = std::to_underlying(LddwSrc::BtfId) & 0xf;
    insn->imm = std::int32_t(externs_.index_of(reloc.symbol, ExternKind::Variable));
    insn[1].imm = 0;
    return note(reloc, "extern");
}

Expected<void> Relocator::refer_to_function(std::uint64_t at, std::uint32_t section,
                                            std::int64_t slot) {
    const Function* target =
        slot < 0 ? nullptr : code_.function_around(section, std::uint64_t(slot));
    if (target == nullptr) {
        return bad(at, "slot {} of section \"{}\" is in no function", slot,
                   file_.section(section).name);
    }
    refs_.push_back({at, code_.index_of(*target), std::uint64_t(slot) - target->begin});
    return {};
}

// Compilers resolve calls inside one section themselves.
Expected<void> Relocator::find_local_refs(std::span<const Insn> insns) {
    for (std::size_t i = 0; i < insns.size(); ++i) {
        const Insn& insn = insns[i];
        const bool is_call = insn.code == kCall && insn.src == std::to_underlying(CallSrc::Local);
        const bool is_func = insn.code == kLddw && insn.src == std::to_underlying(LddwSrc::Func);
        if ((is_call || is_func) && !relocated_.contains(i)) {
            TRY(refer_to_function(i, section_, std::int64_t(i) + insn.imm + 1));
        }
        i += insn.code == kLddw ? 1 : 0;
    }
    return {};
}

Expected<void> Relocator::note(const Reloc& reloc, std::string_view kind) {
    AppliedReloc applied{std::string(file_.section(section_).name), reloc.off,
                         std::string(symbol_of(reloc).name), std::string(kind)};
    TRY(budget_.charge(sizeof(applied) + applied.section.size() + applied.symbol.size()));
    applied_.push_back(std::move(applied));
    return {};
}

} // namespace

Expected<std::vector<AppliedReloc>> relocate(const Input& input, MapTable& maps,
                                             ExternTable& externs, Code& code, Budget& budget) {
    return Relocator(input, maps, externs, code, budget).run();
}

} // namespace ebpfvm::elf
