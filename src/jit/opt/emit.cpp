// A program: its functions one after the other, and how the host gets into it.
#include "jit/opt/emit.hpp"

#include "jit/opt/function_emitter.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {
namespace {

// How the host gets into the program.
void emit_run_entries(FunctionEmitter::Shared& shared, Anchor anchor, Entries& entries) {
    x86::Assembler& as = shared.as;
    const asmjit::Label entry = entries.subprogs.front();
    entries.run = entry;
    switch (anchor) {
    case Anchor::State:
        if (shared.leave.isValid()) {
            if (shared.map != nullptr) {
                shared.map->begin_leaving(std::uint32_t(as.offset()), "ebpfvm_leave");
            }
            as.bind(shared.leave);
            as.mov(x86::rsp, state_field(offsets::kStackPointer));
            shared.stack.resume(CodeMap::kReturnAddress);
            as.ret();
        }
        return;
    case Anchor::None:
        entries.leaf = entry;
        return;
    case Anchor::HostCtx:
        entries.leaf = entries.run = as.newLabel();
        if (shared.map != nullptr) {
            shared.map->begin(std::uint32_t(as.offset()), "ebpfvm_enter_leaf");
        }
        as.bind(entries.leaf);
        shared.stack.push(kState);
        as.mov(kState, kFirstArg);
        as.mov(x86::gpq(kArgRegs[0]), kFirstArg);
        as.call(entry);
        shared.stack.pop(kState);
        as.ret();
        return;
    }
}

} // namespace

Entries emit(std::span<const Function> functions, std::span<const Allocation> allocations,
             asmjit::CodeHolder& holder, const Cpu& cpu, const CodeMemory* memory,
             const std::function<void(std::size_t)>& note, CodeMap* map, Jumps jumps) {
    x86::Assembler as(&holder);
    as.addEncodingOptions(asmjit::EncodingOptions::kOptimizedAlign);
    const exec::Code& code = *functions.front().code;
    Entries entries;
    entries.subprogs.resize(code.subprogs.size());
    for (const Function& fn : functions) {
        entries.subprogs[fn.subprog] = as.newLabel();
    }
    FunctionEmitter::Shared shared{.as = as,
                                   .map = map,
                                   .cpu = cpu,
                                   .memory = memory,
                                   .subprogs = entries.subprogs,
                                   .guesses = jumps == Jumps::Guessed};
    shared.has_tail_calls = std::ranges::any_of(
        code.slots, [](const exec::Slot& slot) { return slot.op == exec::kOpTailCall; });
    shared.leaves_data = shared.has_tail_calls || has_data(code); // another program's, too
    for (std::size_t i = 0; i < functions.size(); ++i) {
        if (note) {
            note(code.slots.size());
        }
        as.bind(entries.subprogs[functions[i].subprog]);
        FunctionEmitter(functions[i], allocations[i], shared, note).run();
        if (note) {
            note(code.slots.size());
        }
    }
    emit_run_entries(shared, functions.front().anchor, entries);
    if (map != nullptr) {
        map->end(std::uint32_t(as.offset()));
    }
    entries.is_complete = shared.is_emitted;
    return entries;
}

} // namespace ebpfvm::jit::opt
