// Fields are rows of the layouts in src/prog; what a load of one gives depends on its kind.
#include "verifier/ctx.hpp"

#include "prog/verify_ctx.hpp"

namespace ebpfvm::verifier {
namespace {

using prog::ObjectKind;

const CtxLayout* layout_of(const Env& env, const Reg& reg) {
    switch (reg.type) {
    case RegType::Ctx:
        return env.ctx.get();
    case RegType::Socket:
        return &prog::object_layout(ObjectKind::Socket);
    case RegType::SockCommon:
        return &prog::object_layout(ObjectKind::SockCommon);
    case RegType::TcpSock:
        return &prog::object_layout(ObjectKind::TcpSock);
    case RegType::XdpSock:
        return &prog::object_layout(ObjectKind::XdpSock);
    case RegType::FlowKeys:
        return &prog::object_layout(ObjectKind::FlowKeys);
    default: // the others are not made of fields
        return nullptr;
    }
}

bool is_number(CtxFieldKind kind) {
    return kind == CtxFieldKind::Scalar || kind == CtxFieldKind::Bytes ||
           kind == CtxFieldKind::PacketLen;
}

const CtxField* field_of(const Env& env, const Reg& reg, const MemAccess& access) {
    const CtxLayout* layout = layout_of(env, reg);
    const OffsetRange range = offset_range(reg, access.off);
    if (layout == nullptr || range.min < 0 || range.min != range.max) {
        return nullptr;
    }
    const CtxField* field =
        prog::find_access(*layout, std::uint64_t(range.min), access.size, access.access);
    return field != nullptr && (access.is_plain || is_number(field->kind)) ? field : nullptr;
}

} // namespace

bool check_ctx(Env& env, unsigned number, const Reg& reg, const MemAccess& access) {
    if (!reg.var.is_constant()) {
        return env.reject<Slug::CtxModified>(number, describe(reg.var));
    }
    if (reg.off != 0 || reg.var.value() != 0) {
        return env.reject<Slug::CtxModified>(number, offset_range(reg, 0).min);
    }
    if (env.ctx == nullptr) {
        return env.reject<Slug::UnsupportedProgType>(name_of(env.code.program->type));
    }
    const CtxField* field = field_of(env, reg, access);
    if (field == nullptr) {
        const bool is_write = access.access == Access::Write;
        return env.reject<Slug::CtxOob>(access.off, access.size,
                                        fmt::format("struct {} has no field that may be {} so",
                                                    env.ctx->name, is_write ? "written" : "read"));
    }
    if (field->kind == CtxFieldKind::BtfObject) {
        return env.reject<Slug::UnsupportedInsn>(
            fmt::format("kernel struct {} in the context is not supported", field->btf));
    }
    return true;
}

bool check_object(Env& env, const Reg& reg, const MemAccess& access) {
    if (reg.type == RegType::TpBuffer) {
        const OffsetRange range = offset_range(reg, access.off);
        return (range.min == range.max && range.min >= 0) ||
               env.reject<Slug::ObjectOob>(name_of(reg.type), range.min, access.size);
    }
    if (access.access == Access::Write && reg.type != RegType::FlowKeys) {
        return env.reject<Slug::ReadOnly>(name_of(reg.type));
    }
    return field_of(env, reg, access) != nullptr ||
           env.reject<Slug::ObjectOob>(name_of(reg.type), offset_range(reg, access.off).min,
                                       access.size);
}

Reg load_object(Env& env, const Reg& reg, const MemAccess& access, bool sign_extends) {
    const CtxField* field = field_of(env, reg, access);
    switch (field != nullptr ? field->kind : CtxFieldKind::Bytes) {
    case CtxFieldKind::Packet:
        return Reg::pointer(RegType::Packet);
    case CtxFieldKind::PacketMeta:
        return Reg::pointer(RegType::PacketMeta);
    case CtxFieldKind::PacketEnd:
        return Reg::pointer(RegType::PacketEnd);
    case CtxFieldKind::SockCommonOrNull:
        return Reg::pointer_or_null(RegType::SockCommon, env.fresh_id());
    case CtxFieldKind::SocketOrNull:
        return Reg::pointer_or_null(RegType::Socket, env.fresh_id());
    case CtxFieldKind::Socket:
        return Reg::pointer(RegType::Socket);
    case CtxFieldKind::FlowKeys:
        return Reg::pointer(RegType::FlowKeys);
    case CtxFieldKind::TpBuffer:
        return Reg::pointer(RegType::TpBuffer);
    case CtxFieldKind::Scalar:
    case CtxFieldKind::PacketLen:
    case CtxFieldKind::Bytes:
    case CtxFieldKind::BtfObject:
        break;
    }
    const Scalar value = Scalar::of_bits(access.size * 8);
    return Reg::scalar(sign_extends ? sign_extend(access.size * 8, isa::Width::W64, value) : value);
}

} // namespace ebpfvm::verifier
