// Setting global variables from the command line.
#pragma once

#include "ebpfvm/object.hpp"

#include <string_view>

namespace ebpfvm::cli {

/// "name=value" with an integer (decimal, 0x, negative), true or false for variables of 1, 2, 4 or
/// 8 bytes; "name=hex:aabb" for any other, which must be given whole. Errors: Errc::NotFound,
/// listing the variables there are; Errc::InvalidArgument for what is no value of that size.
Expected<void> set_global(Object& object, std::string_view setting);

} // namespace ebpfvm::cli
