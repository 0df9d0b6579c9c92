// Finds functions by their symbols, as libbpf does. Tested by programs_test.cpp.
#include "elf/code.hpp"

#include "support/try.hpp"

#include <algorithm>
#include <cstring>

namespace ebpfvm::elf {
namespace {

// Assemblers leave the type of symbols empty unless told; then every global label is a function.
std::vector<const Symbol*> function_symbols(const ElfFile& file, std::uint32_t section) {
    const auto select = [&](auto&& is_function) {
        std::vector<const Symbol*> found;
        for (const std::uint32_t i : file.symbols_in(section)) {
            if (is_function(file.symbol(i))) {
                found.push_back(&file.symbol(i));
            }
        }
        return found;
    };
    auto symbols = select([](const Symbol& s) { return s.type == SymbolType::Func; });
    if (symbols.empty()) {
        symbols =
            select([](const Symbol& s) { return s.type == SymbolType::None && s.is_global(); });
    }
    return symbols;
}

} // namespace

bool is_text(std::string_view section) {
    return section == ".text" || section.starts_with(".text.");
}

Expected<Code> Code::read(const ElfFile& file) {
    Code code;
    for (std::uint32_t i = 0; i < file.sections().size(); ++i) {
        const Section& section = file.section(i);
        if (!section.is_code()) {
            continue;
        }
        if (section.size % kInsnSize != 0) {
            return fail(Errc::MalformedElf, "section \"{}\": size {} is not a multiple of {}",
                        section.name, section.size, kInsnSize);
        }
        auto& insns = code.sections_[i];
        insns.resize(section.size / kInsnSize);
        std::memcpy(insns.data(), section.bytes.data(), section.bytes.size());
        TRY(code.find_functions(file, i));
    }
    code.find_entries(file);
    return code;
}

Expected<void> Code::find_functions(const ElfFile& file, std::uint32_t section) {
    const auto symbols = function_symbols(file, section);
    const std::uint64_t size = file.section(section).size;
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        std::size_t next = i + 1; // the first that begins elsewhere
        while (next < symbols.size() && symbols[next]->value == symbols[i]->value) {
            ++next;
        }
        const std::uint64_t limit = next < symbols.size() ? symbols[next]->value : size;
        // Aliases: a global name is the better one.
        const auto best = std::find_if(symbols.begin() + std::ptrdiff_t(i),
                                       symbols.begin() + std::ptrdiff_t(next),
                                       [](const Symbol* s) { return s->is_global(); });
        const bool has_global = best != symbols.begin() + std::ptrdiff_t(next);
        TRY(add_function(file, section, has_global ? **best : *symbols[i], limit));
        i = next - 1;
    }
    if (symbols.empty()) {
        functions_.push_back({file.section(section).name, section, 0, size / kInsnSize, true});
    }
    return {};
}

// Without a size, a function goes up to the next one.
Expected<void> Code::add_function(const ElfFile& file, std::uint32_t section, const Symbol& symbol,
                                  std::uint64_t next) {
    const std::uint64_t size = symbol.size == 0 ? next - symbol.value : symbol.size;
    if (symbol.value == file.section(section).size && size == 0) {
        return {}; // a label behind the last insn
    }
    if (symbol.value % kInsnSize != 0 || size % kInsnSize != 0 || size > next - symbol.value) {
        return fail(Errc::MalformedElf,
                    "function \"{}\": {} bytes at {} of section \"{}\" are "
                    "not whole insns or run into what is at {}",
                    symbol.name, size, symbol.value, file.section(section).name, next);
    }
    const bool is_global = symbol.is_global() && symbol.visibility != SymbolVisibility::Hidden &&
                           symbol.visibility != SymbolVisibility::Internal;
    functions_.push_back({symbol.name, section, symbol.value / kInsnSize,
                          (symbol.value + size) / kInsnSize, is_global});
    return {};
}

void Code::find_entries(const ElfFile& file) {
    const auto collect = [&](bool from_text) {
        for (const auto& [section, insns] : sections_) {
            if (is_text(file.section(section).name) != from_text) {
                continue;
            }
            const auto symbols = function_symbols(file, section);
            for (const Symbol* symbol : symbols) {
                const Function* function = function_at(section, symbol->value / kInsnSize);
                if (symbol->is_global() && function != nullptr) {
                    entries_.push_back({symbol->name, index_of(*function)});
                }
            }
            if (symbols.empty()) {
                entries_.push_back(
                    {file.section(section).name, index_of(*function_at(section, 0))});
            }
        }
    };
    collect(false);
    if (entries_.empty()) { // nothing but plain functions: those are the programs
        collect(true);
    }
}

std::span<const Insn> Code::insns_of(const Function& function) const {
    return std::span(sections_.at(function.section))
        .subspan(function.begin, function.end - function.begin);
}

const Function* Code::function_around(std::uint32_t section, std::uint64_t slot) const {
    const auto after =
        std::ranges::upper_bound(functions_, std::pair(section, slot), {},
                                 [](const Function& f) { return std::pair(f.section, f.begin); });
    if (after == functions_.begin()) {
        return nullptr;
    }
    const Function& function = *std::prev(after);
    return function.section == section && slot < function.end ? &function : nullptr;
}

const Function* Code::function_at(std::uint32_t section, std::uint64_t slot) const {
    const Function* function = function_around(section, slot);
    return function != nullptr && function->begin == slot ? function : nullptr;
}

std::span<const FuncRef> Code::refs_of(const Function& function) const {
    const auto refs = refs_.find(function.section);
    if (refs == refs_.end()) {
        return {};
    }
    const auto first = std::ranges::lower_bound(refs->second, function.begin, {}, &FuncRef::insn);
    const auto last =
        std::ranges::lower_bound(first, refs->second.end(), function.end, {}, &FuncRef::insn);
    return {first, last};
}

void Code::set_refs(std::uint32_t section, std::vector<FuncRef> refs) {
    std::ranges::sort(refs, {}, &FuncRef::insn);
    refs_[section] = std::move(refs);
}

} // namespace ebpfvm::elf
