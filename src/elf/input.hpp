// What the stages of loading share: the file, its types, and what the caller asked for.
#pragma once

#include "ebpfvm/object.hpp"
#include "elf/btf_ext.hpp"
#include "elf/elf_reader.hpp"

#include <memory>

namespace ebpfvm::elf {

struct Input {
    const ElfFile& file;
    const LoadObjectOptions& options;
    std::shared_ptr<const Btf> btf; ///< nullptr if there is none
    BtfExt ext;
};

/// A variable of a section, as BTF describes it.
struct SectionVar {
    std::string_view name;
    bool is_extern = false; ///< defined in another object
    std::uint32_t type = 0; ///< of the variable
    std::uint32_t off = 0;
    std::uint32_t size = 0;
};

/// The variables that BTF lists for a section; none without BTF, or for a section whose name an
/// earlier one has.
[[nodiscard]] std::vector<SectionVar> section_vars(const Input& input, std::uint32_t section);

/// Reads .BTF and .BTF.ext, with the relocations of the former applied.
[[nodiscard]] Expected<Input> read_input(const ElfFile& file, const LoadObjectOptions& options);

} // namespace ebpfvm::elf
