// What a verifier must know of contexts, and of the structs programs reach through them.
#pragma once

#include "ebpfvm/helper.hpp"
#include "ebpfvm/prog_type.hpp"

#include <cstdint>
#include <memory>

namespace ebpfvm::prog {

/// The context of the kernel's program type for programs that attach there. nullptr for Unspec and
/// types of the host (see ProgTypeInfo::ctx), and for types whose context depends on the BTF of
/// what they attach to (tracing, lsm, struct_ops, ext).
[[nodiscard]] std::shared_ptr<const CtxLayout> ctx_layout(ProgType type, std::uint32_t attach_type);

/// Structs that programs reach through a pointer from the context, a map or a helper.
enum class ObjectKind : std::uint8_t { Socket, SockCommon, TcpSock, XdpSock, FlowKeys };

[[nodiscard]] const CtxLayout& object_layout(ObjectKind kind);

/// The field that a load (Access::Read) or store (Access::Write) of `size` bytes at `off` touches,
/// or nullptr if the kernel's verifier refuses it: wrong size, misaligned, no right, no such field.
/// A layout of plain memory answers with a field of kind Bytes; if its size is 0 (any), nullptr.
[[nodiscard]] const CtxField* find_access(const CtxLayout& layout, std::uint64_t off,
                                          std::uint32_t size, Access access);

/// May packet pointers be arguments of this helper in programs of `type`? Few types may pass them,
/// and to few helpers.
[[nodiscard]] bool may_pass_packet(ProgType type, const HelperProto& helper);

} // namespace ebpfvm::prog
