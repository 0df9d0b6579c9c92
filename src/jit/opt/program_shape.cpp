#include "jit/opt/program_shape.hpp"

#include "isa/op_kind.hpp"
#include "jit/abi.hpp"
#include "jit/opt/hash_lookup.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {

using isa::Shape;

ProgramShape::ProgramShape(const exec::Code& code) {
    for (std::size_t i = 0; i < code.subprogs.size(); ++i) {
        const std::uint32_t begin = code.subprogs[i];
        const auto end =
            std::uint32_t(i + 1 < code.subprogs.size() ? code.subprogs[i + 1] : code.slots.size());
        subprogs.push_back({.begin = begin, .end = end});
    }
    for (Subprog& subprog : subprogs) {
        subprog.shape = shape_of(code, subprog.begin, subprog.end);
        is_supported &= (subprog.shape.writes & bit(kFramePointer)) == 0;
        for (const std::uint32_t at : subprog.shape.unusual) {
            look_at(code, at, subprog);
        }
    }
    // C functions of the context have no size of it.
    needs_state |= (subprogs.front().shape.blocks.front().live & bit(2)) != 0;
}

std::size_t ProgramShape::index_of(const exec::Code& code, std::uint32_t first) {
    return std::size_t(std::ranges::lower_bound(code.subprogs, first) - code.subprogs.begin());
}

void ProgramShape::look_at(const exec::Code& code, std::uint32_t at, Subprog& subprog) {
    const exec::Slot& slot = code.slots[at];
    if (slot.op == exec::kOpTailCall) {
        needs_state = true;
        subprog.can_inline = false;
    } else if (slot.op == exec::kOpArrayLookup) {
        const auto& array = *reinterpret_cast<const exec::ArrayLookup*>(slot.imm);
        needs_state |= array.cpu_stride != 0;
    } else if (slot.op == exec::kOpHashLookup) {
        needs_state |= opt::needs_state(*reinterpret_cast<const exec::HashLookup*>(slot.imm));
    }
    if (!exec::is_insn(slot)) {
        return;
    }
    switch (exec::shape_of(slot)) {
    case Shape::CallHelper:
        needs_state |= needs_run(code, slot);
        return;
    case Shape::LdAbs:
    case Shape::LdInd:
        needs_state = true;
        return;
    case Shape::CallLocal: {
        const auto target = std::uint32_t(std::int64_t(at) + 1 + slot.off);
        ++subprogs[index_of(code, target)].calls;
        return;
    }
    case Shape::Callx:
    case Shape::CallxImm:
    case Shape::CallKfunc:
    case Shape::AddrSpaceCast:
        is_supported = false;
        return;
    default:
        return;
    }
}

} // namespace ebpfvm::jit::opt
