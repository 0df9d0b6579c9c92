// The names are the kernel's (kernel/bpf/btf.c: btf_get_field_type()).
#include "elf/special_fields.hpp"

#include "support/try.hpp"

#include <algorithm>

namespace ebpfvm::elf {
namespace {

constexpr std::size_t kMaxFields = 64; // BTF_FIELDS_MAX is 11

constexpr std::string_view kSpecialStructs[] = {
    "bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer",   "bpf_wq",
    "bpf_list_head", "bpf_list_node",     "bpf_rb_root", "bpf_rb_node",
    "bpf_refcount",  "bpf_task_work",     "bpf_dynptr",
};
constexpr std::string_view kPrefix = "bpf_"; // which MapField::kind omits

bool is_special_pointer(std::string_view tag) {
    return tag.starts_with("kptr") || tag.starts_with("percpu_kptr") || tag.starts_with("uptr");
}

} // namespace

Expected<void> FieldFinder::append(std::string_view kind, std::uint32_t off,
                                   std::vector<MapField>& out) {
    if (out.size() == kMaxFields) {
        return fail(Errc::LimitExceeded, "more than {} special fields in one value", kMaxFields);
    }
    out.push_back({std::string(kind), off});
    return {};
}

Expected<void> FieldFinder::find(std::uint32_t id, std::uint32_t off, std::vector<MapField>& out) {
    if (steps_left_-- == 0) {
        return fail(Errc::LimitExceeded, "types of map values are too large to search");
    }
    id = btf_->resolve(id);
    switch (btf_->kind(id)) {
    case BtfKind::Ptr: {
        const BtfType target = btf_->type(btf_->type(id).type);
        const bool is_special = target.kind == BtfKind::TypeTag && is_special_pointer(target.name);
        return is_special ? append(target.name, off, out) : Expected<void>();
    }
    case BtfKind::Array:
        return find_in_array(id, off, out);
    case BtfKind::Struct:
    case BtfKind::Union:
        return find_in_struct(id, off, out);
    case BtfKind::Void:
    case BtfKind::Int:
    case BtfKind::Enum:
    case BtfKind::Fwd:
    case BtfKind::Typedef:
    case BtfKind::Volatile:
    case BtfKind::Const:
    case BtfKind::Restrict:
    case BtfKind::Func:
    case BtfKind::FuncProto:
    case BtfKind::Var:
    case BtfKind::Datasec:
    case BtfKind::Float:
    case BtfKind::DeclTag:
    case BtfKind::TypeTag:
    case BtfKind::Enum64:
        return {};
    }
    std::unreachable();
}

Expected<void> FieldFinder::find_in_array(std::uint32_t id, std::uint32_t off,
                                          std::vector<MapField>& out) {
    const BtfArray array = btf_->array(id);
    const std::uint32_t size = btf_->size_of(array.element).value_or(0);
    for (std::uint32_t i = 0; i < array.count; ++i) {
        const std::size_t before = out.size();
        TRY(find(array.element, off + i * size, out));
        if (out.size() == before) { // then the other elements have none either
            break;
        }
    }
    return {};
}

Expected<void> FieldFinder::find_in_struct(std::uint32_t id, std::uint32_t off,
                                           std::vector<MapField>& out) {
    const std::string_view name = btf_->name(id);
    if (std::ranges::find(kSpecialStructs, name) != std::end(kSpecialStructs)) {
        return append(name.substr(kPrefix.size()), off, out);
    }
    for (const BtfMember& member : btf_->members(id)) {
        TRY(find(member.type, off + member.bit_off / 8, out));
    }
    return {};
}

} // namespace ebpfvm::elf
