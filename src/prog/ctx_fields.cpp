// From rows of the context tables to CtxField.
#include "prog/ctx_layouts.hpp"

namespace ebpfvm::prog {

CtxField to_field(const FieldRow& row) {
    const Access access = row.stores == 0  ? Access::Read
                          : row.loads == 0 ? Access::Write
                                           : Access::ReadWrite;
    return {.name = std::string(row.name),
            .off = row.off,
            .size = row.size,
            .kind = row.kind,
            .access = access,
            .loads = row.loads,
            .stores = row.stores,
            .part = row.part};
}

std::vector<CtxField> to_fields(std::initializer_list<FieldRow> rows) {
    std::vector<CtxField> fields;
    for (const FieldRow& row : rows) {
        fields.push_back(to_field(row));
    }
    return fields;
}

CtxLayout bytes_layout(std::string_view name, std::uint32_t from, std::uint32_t size, Access access,
                       CtxPart part) {
    const std::uint8_t stores = access == Access::ReadWrite ? kToLong : 0;
    return {.name = std::string(name),
            .size = size,
            .fields =
                to_fields({{name, from, size - from, kToLong, stores, CtxFieldKind::Bytes, part}})};
}

CtxLayoutPtr share(CtxLayout layout) {
    return std::make_shared<const CtxLayout>(std::move(layout));
}

} // namespace ebpfvm::prog
