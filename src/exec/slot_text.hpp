// Resolved slots in words.
#pragma once

#include "exec/code.hpp"

#include <string>

namespace ebpfvm::exec {

/// "r2 = *(u64 *)(packet +8)": the slot as assembly text, with the registers that no program has by
/// name.
[[nodiscard]] std::string to_text(const Code& code, std::size_t slot);

} // namespace ebpfvm::exec
