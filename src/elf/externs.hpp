// Symbols that the object does not define: kconfig values, and what the host must provide.
#pragma once

#include "elf/map_table.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace ebpfvm::elf {

/// Where a kconfig extern lies: in the value of map `.kconfig`.
struct KconfigPlace {
    std::uint32_t map = 0;
    std::uint32_t off = 0;
};

/// Externs by symbol. Those that nothing refers to are left out.
class ExternTable {
  public:
    explicit ExternTable(const Input& input) : input_(input) {}

    [[nodiscard]] const std::vector<Extern>& externs() const { return externs_; }

    void add_kconfig(std::uint32_t symbol, KconfigPlace place) { kconfig_[symbol] = place; }
    [[nodiscard]] std::optional<KconfigPlace> kconfig_of(std::uint32_t symbol) const;

    /// The index of an undefined symbol in externs(), added when first asked for. Without BTF, it
    /// is a function if something calls it.
    std::uint32_t index_of(std::uint32_t symbol, ExternKind used_as);

  private:
    const Input& input_;
    std::vector<Extern> externs_;
    std::map<std::uint32_t, std::uint32_t> by_symbol_;
    std::map<std::uint32_t, KconfigPlace> kconfig_;
};

/// Lays out the `__kconfig` externs in a map `.kconfig` with the values the caller gave.
/// Errors: Errc::Unresolved for a missing value of a strong symbol, Errc::InvalidArgument for one
/// that does not suit the type.
Expected<void> define_kconfig(const Input& input, MapTable& maps, ExternTable& externs);

} // namespace ebpfvm::elf
