// Prototypes of the kernel's helpers, per program type.
#pragma once

#include "ebpfvm/helper.hpp"
#include "ebpfvm/prog_type.hpp"

namespace ebpfvm::prog {

/// The prototype that helper `id` of the UAPI has for programs of `type`: uapi_helper(), except
/// where the kernel has another one for that type. nullptr for other numbers.
[[nodiscard]] const HelperProto* helper_proto(ProgType type, std::uint32_t id);

} // namespace ebpfvm::prog
