#include "elf/externs.hpp"

namespace ebpfvm::elf {

namespace {

// Several declarations of one thing differ in what follows three underscores ("flavors" in libbpf):
// `f___old` and `f___new` are both `f`.
std::string_view without_flavor(std::string_view name) {
    for (std::size_t i = 1; i + 3 < name.size(); ++i) {
        const bool is_mark = name.substr(i, 3) == "___";
        if (is_mark && name[i - 1] != '_' && name[i + 3] != '_') {
            return name.substr(0, i);
        }
    }
    return name;
}

} // namespace

std::optional<KconfigPlace> ExternTable::kconfig_of(std::uint32_t symbol) const {
    const auto found = kconfig_.find(symbol);
    return found == kconfig_.end() ? std::nullopt : std::optional(found->second);
}

std::uint32_t ExternTable::index_of(std::uint32_t index, ExternKind used_as) {
    const auto [at, is_new] = by_symbol_.emplace(index, std::uint32_t(externs_.size()));
    if (!is_new) {
        if (used_as == ExternKind::Function) {
            externs_[at->second].kind = used_as;
        }
        return at->second;
    }
    const Symbol& symbol = input_.file.symbol(index);
    Extern& added = externs_.emplace_back();
    added.name = without_flavor(symbol.name);
    added.kind = used_as;
    added.is_weak = symbol.binding == SymbolBinding::Weak;
    if (input_.btf != nullptr) {
        if (const auto func = input_.btf->find(symbol.name, BtfKind::Func)) {
            added.btf_type_id = *func;
            added.kind = ExternKind::Function;
        } else if (const auto var = input_.btf->find(symbol.name, BtfKind::Var)) {
            added.btf_type_id = *var;
        }
    }
    return at->second;
}

} // namespace ebpfvm::elf
