// Gives symbolic operands of insns their meaning: maps, data, functions, externs.
#pragma once

#include "elf/budget.hpp"
#include "elf/code.hpp"
#include "elf/externs.hpp"
#include "elf/map_table.hpp"

#include <vector>

namespace ebpfvm::elf {

/// Applies all relocations of executable sections. Operands that do not depend on where a function
/// ends up (maps, data, externs) are written into the insns; the others become Code::refs_of().
/// Data sections that only a relocation names become maps. Errors: Errc::MalformedElf, Unsupported.
[[nodiscard]] Expected<std::vector<AppliedReloc>>
relocate(const Input& input, MapTable& maps, ExternTable& externs, Code& code, Budget& budget);

} // namespace ebpfvm::elf
