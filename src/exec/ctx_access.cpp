// Context fields by the table in CtxLayout.
#include "exec/ctx_access.hpp"

namespace ebpfvm::exec {
namespace {

std::uint64_t read_sized(const std::byte* at, std::uint64_t size) {
    std::uint64_t value = 0;
    std::memcpy(&value, at, std::min<std::uint64_t>(size, sizeof value));
    return value;
}

const std::byte* host_field(const RunState& state, const CtxField& field) {
    return static_cast<const std::byte*>(state.ctx_) + field.host_off;
}

bool is_aligned(std::uint64_t off, std::uint64_t size) {
    return off % size == 0;
}

} // namespace

std::optional<std::uint64_t> load_ctx(const RunState& state, std::uint64_t off,
                                      std::uint64_t size) {
    const CtxField* field = state.code->ctx->find(off, size);
    if (field == nullptr || !allows(field->access, Access::Read) || !is_aligned(off, size)) {
        return std::nullopt;
    }
    const std::uint64_t inside = off - field->off;
    const bool is_whole = inside == 0 && size == field->size;
    switch (field->kind) {
    case CtxFieldKind::Packet:
    case CtxFieldKind::PacketMeta:
    case CtxFieldKind::PacketEnd: {
        if (!is_whole) {
            return std::nullopt;
        }
        const Packet& packet = *state.packet;
        const std::byte* at = field->kind == CtxFieldKind::Packet       ? packet.data
                              : field->kind == CtxFieldKind::PacketMeta ? packet.data_meta
                                                                        : packet.data_end;
        return reinterpret_cast<std::uintptr_t>(at);
    }
    case CtxFieldKind::SockCommonOrNull: // a packet of the host's belongs to no socket
        return is_whole ? std::optional<std::uint64_t>(0) : std::nullopt;
    case CtxFieldKind::SocketOrNull:
    case CtxFieldKind::Socket:
    case CtxFieldKind::FlowKeys:
    case CtxFieldKind::TpBuffer:
    case CtxFieldKind::BtfObject:
        return std::nullopt;
    case CtxFieldKind::Bytes:
        return read_sized(host_field(state, *field) + inside, size);
    case CtxFieldKind::PacketLen:
    case CtxFieldKind::Scalar: {
        const std::uint64_t whole = field->kind == CtxFieldKind::PacketLen
                                        ? std::uint64_t(state.packet->data_end - state.packet->data)
                                        : read_sized(host_field(state, *field), field->host_size);
        const std::uint64_t shifted = whole >> (8 * inside);
        return size == 8 ? shifted : shifted & ((std::uint64_t{1} << (8 * size)) - 1);
    }
    }
    std::unreachable();
}

bool store_ctx(RunState& state, std::uint64_t off, std::uint64_t size, std::uint64_t value) {
    const CtxField* field = state.code->ctx->find(off, size);
    if (field == nullptr || !allows(field->access, Access::Write) || !is_aligned(off, size)) {
        return false;
    }
    const std::uint64_t inside = off - field->off;
    std::byte* host = static_cast<std::byte*>(state.ctx_) + field->host_off;
    if (field->kind == CtxFieldKind::Bytes) {
        std::memcpy(host + inside, &value, size);
        return true;
    }
    if (inside != 0 || size != field->size) {
        return false;
    }
    if (size < sizeof value) {
        value &= (std::uint64_t{1} << (8 * size)) - 1;
    }
    std::memcpy(host, &value, field->host_size);
    return true;
}

} // namespace ebpfvm::exec
