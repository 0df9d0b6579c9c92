// Context layouts of the built-in program types, named in tables/prog_types.def.
#pragma once

#include "ebpfvm/prog_type.hpp"

#include <optional>

namespace ebpfvm::prog {

/// A layout by the name in the ctx column; each has one maker.
std::optional<CtxLayout> make_XdpMdCtx();
std::optional<CtxLayout> make_SchedClsCtx();
std::optional<CtxLayout> make_SocketFilterCtx();
/// Known by name only.
inline std::optional<CtxLayout> make_NoCtx() {
    return std::nullopt;
}

} // namespace ebpfvm::prog
