// Context layouts of the built-in program types, named in tables/prog_types.def.
#pragma once

#include "ebpfvm/prog_type.hpp"

#include <memory>

namespace ebpfvm::prog {

/// A layout by the name in the ctx column; each has one maker.
std::shared_ptr<const CtxLayout> make_XdpMdCtx();
std::shared_ptr<const CtxLayout> make_SchedClsCtx();
std::shared_ptr<const CtxLayout> make_SocketFilterCtx();
/// Known by name only.
inline std::shared_ptr<const CtxLayout> make_NoCtx() {
    return nullptr;
}

} // namespace ebpfvm::prog
