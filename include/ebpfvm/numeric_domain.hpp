// What a verifier tracks of numbers.
#pragma once

#include <cstdint>

namespace ebpfvm {

/// Rows of tables/domains.def.
enum class NumericDomain : std::uint8_t {
#define EBPFVM_DOMAIN(name, text) name,
#include "ebpfvm/tables/domains.def"
};

} // namespace ebpfvm
