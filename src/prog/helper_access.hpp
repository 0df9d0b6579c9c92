// Which helpers a program may call (tables/helper_access.def).
#pragma once

#include "ebpfvm/prog_type.hpp"

#include <cstdint>

namespace ebpfvm::prog {

/// The attach type that the kernel assumes: it gives one to a cgroup_sock or sk_reuseport program
/// that states none (0).
[[nodiscard]] std::uint32_t effective_attach_type(ProgType type, std::uint32_t attach_type);

/// May programs of this type call helper `id` of the UAPI? Unspec and types of the host may call
/// all. Whether the helper exists, its license and whether the program may sleep are other
/// questions: helper_proto().
[[nodiscard]] bool helper_allowed(ProgType type, std::uint32_t attach_type, std::uint32_t id);

} // namespace ebpfvm::prog
