// Reads JSON text, for files that this program wrote.
#pragma once

#include "cli/json.hpp"
#include "ebpfvm/error.hpp"

#include <string_view>

namespace ebpfvm::cli {

/// One value with nothing behind it but blanks. Whole numbers become uint64 (negative ones int64)
/// if they fit, else double. At most 64 levels deep. Errors: Errc::MalformedText.
[[nodiscard]] Expected<Json> parse_json(std::string_view text);

} // namespace ebpfvm::cli
