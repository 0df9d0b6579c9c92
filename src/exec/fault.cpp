// The text of faults.
#include "exec/fault.hpp"

#include <fmt/format.h>

namespace ebpfvm::exec {
namespace {

std::string right_of(Access access) {
    return access == Access::Read ? "load" : "store";
}

FaultPtr ctx_fault(const RunState& state, const Slot* slot, std::uint64_t address,
                   std::uint64_t size, Access access) {
    const CtxLayout& ctx = *state.code->ctx;
    const auto off = std::int64_t(address - state.ctx_address);
    const CtxField* field = ctx.find(std::uint64_t(off), size);
    const std::string why = field == nullptr ? fmt::format("no field of {} there", ctx.name)
                            : field->access == Access::Read && access != Access::Read
                                ? fmt::format("{}.{} is read only", ctx.name, field->name)
                                : fmt::format("{}.{} has {} bytes at {}", ctx.name, field->name,
                                              field->size, field->off);
    const std::string reason = fmt::format("invalid access to ctx: off={} size={}, ctx size={}: {}",
                                           off, size, ctx.size, why);
    return make_fault(state, slot, FaultKind::BadCtxAccess, reason, MemoryClass::Ctx);
}

} // namespace

FaultPtr make_fault(const RunState& state, const Slot* slot, FaultKind kind,
                    std::string_view reason, MemoryClass memory_class) {
    const Program& program = state.code->program;
    const std::size_t insn = state.code->insn_of(std::size_t(slot - state.code->slots.data()));
    auto fault = std::make_shared<Fault>(
        Fault{.kind = kind,
              .memory_class = memory_class,
              .insn = insn,
              .prog = program.name,
              .message =
                  fmt::format("insn {}: {}: {}", insn, disassemble_at(program.insns, insn), reason),
              .where = std::nullopt});
    if (const LineInfo* line = program.line_of(insn)) {
        fault->where = Location{line->file, line->line, line->column};
    }
    return fault;
}

FaultPtr unreleased_fault(const RunState& state, const Slot* slot) {
    return make_fault(state, slot, FaultKind::UnreleasedRef,
                      "the program ends without submitting or discarding a record");
}

FaultPtr memory_fault(RunState& state, const Slot* slot, std::uint64_t address, std::uint64_t size,
                      Access access) {
    if (is_ctx_field(state, address)) {
        return ctx_fault(state, slot, address, size, access);
    }
    const Verdict verdict = check_memory(state, address, size, access);
    const std::string_view region = name_of(verdict.memory_class);
    std::string reason =
        verdict.kind == FaultKind::ReadOnly    ? fmt::format("store to read-only {}", region)
        : verdict.kind == FaultKind::WriteOnly ? fmt::format("load from write-only {}", region)
        : verdict.kind == FaultKind::StaleMapValue
            ? "map value of an element that was deleted"
            : fmt::format("{} of {} bytes at {:#x} is outside what the program may touch; nearest "
                          "is {}",
                          right_of(access), size, address, region);
    if (verdict.map != nullptr) {
        reason += fmt::format(" (map \"{}\", value size {})", verdict.map->spec().name,
                              verdict.map->spec().value_size);
    }
    return make_fault(state, slot, verdict.kind, reason, verdict.memory_class);
}

} // namespace ebpfvm::exec
