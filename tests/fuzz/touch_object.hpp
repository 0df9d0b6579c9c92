// Reads every part of an object, so that sanitizers see what a loader left behind.
#pragma once

#include "ebpfvm/btf.hpp"
#include "ebpfvm/object.hpp"

#include <cstddef>

namespace ebpfvm {

inline std::size_t touch(const Btf& btf) {
    std::size_t sum = 0;
    for (std::uint32_t id = 0; id < btf.type_count(); ++id) {
        const BtfType type = btf.type(id);
        sum += type.name.size() + btf.resolve(id) + btf.size_of(id).value_or(1);
        sum += btf.find(type.name, type.kind).value_or(0);
        switch (type.kind) {
        case BtfKind::Int:
            sum += btf.int_encoding(id).bits;
            break;
        case BtfKind::Array:
            sum += btf.array(id).count;
            break;
        case BtfKind::Struct:
        case BtfKind::Union:
            for (const BtfMember& member : btf.members(id)) {
                sum += member.name.size() + btf.resolve(member.type);
            }
            break;
        case BtfKind::Enum:
        case BtfKind::Enum64:
            for (const BtfEnumerator& value : btf.enumerators(id)) {
                sum += value.name.size();
            }
            break;
        case BtfKind::FuncProto:
            for (const BtfParam& param : btf.params(id)) {
                sum += param.name.size() + btf.resolve(param.type);
            }
            break;
        case BtfKind::Datasec:
            sum += btf.section_vars(id).size();
            break;
        case BtfKind::Func:
        case BtfKind::Var:
            sum += std::size_t(btf.linkage(id));
            break;
        case BtfKind::DeclTag:
            sum += std::size_t(btf.component(id));
            break;
        case BtfKind::Void:
        case BtfKind::Ptr:
        case BtfKind::Fwd:
        case BtfKind::Typedef:
        case BtfKind::Volatile:
        case BtfKind::Const:
        case BtfKind::Restrict:
        case BtfKind::Float:
        case BtfKind::TypeTag:
            break;
        }
    }
    return sum;
}

inline std::size_t touch(const Program& program) {
    std::size_t sum = program.name.size() + program.section.size();
    for (std::size_t i = 0; i < program.insns.size(); ++i) {
        const LineInfo* line = program.line_of(i);
        const Subprog* subprog = program.subprog_of(i);
        sum += line == nullptr ? 0 : line->text.size() + line->file.size();
        sum += subprog == nullptr ? 0 : subprog->name.size() + subprog->params.size();
    }
    if (const auto text = disassemble(program.insns)) {
        sum += text->size();
    }
    return sum;
}

inline std::size_t touch(Object object) {
    std::size_t sum = object.license().size() + object.name().size();
    for (const Program& program : object.programs()) {
        sum += touch(program) + (object.find_program(program.name) != nullptr ? 1 : 0);
    }
    for (const MapSpec& map : object.maps()) {
        sum += map.slots.size() + map.fields.size() + map.data.size();
        sum += object.find_map(std::string_view(map.name))->name.size();
    }
    for (const Extern& item : object.externs()) {
        sum += item.name.size();
    }
    for (const AppliedReloc& reloc : object.relocations()) {
        sum += reloc.section.size() + reloc.symbol.size();
    }
    for (const CoreReloc& reloc : object.core_relocations()) {
        sum += reloc.access.size() + object.programs().at(reloc.program).insns.at(reloc.insn).code;
    }
    for (const Global& global : object.globals()) {
        if (global.size <= 4096 && object.maps().at(global.map).value_size <= 1 << 20) {
            const std::vector<std::byte> zero(global.size);
            sum += object.set_global(global.name, zero) ? 1 : 0;
        }
    }
    return sum + (object.btf() == nullptr ? 0 : touch(*object.btf()));
}

} // namespace ebpfvm
