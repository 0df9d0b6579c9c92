// For machines that the JIT makes no code for: built instead of everything else in this folder.
#include "jit/jit.hpp"
#include "support/try.hpp"

namespace ebpfvm::jit {

class CodeMemory {};

Cpu Cpu::host() {
    return {};
}

Expected<std::shared_ptr<CodeMemory>> make_code_memory(const JitDebug&) {
    return fail(Errc::Unsupported, "there is no JIT compiler for this machine");
}

Expected<void> compile_baseline(exec::Code&, const std::shared_ptr<CodeMemory>&, const Cpu&) {
    return fail(Errc::Unsupported, "there is no JIT compiler for this machine");
}

Expected<bool> compile_optimised(exec::Code&, const std::shared_ptr<CodeMemory>&, const OptOptions&,
                                 const Cpu&) {
    return fail(Errc::Unsupported, "there is no JIT compiler for this machine");
}

std::size_t code_bytes(const exec::Code&) {
    return 0;
}

Expected<std::vector<SlotCode>> list_baseline(const exec::Code&, const Cpu&) {
    return fail(Errc::Unsupported, "there is no JIT compiler for this machine");
}

Expected<std::vector<SlotCode>> list_optimised(const exec::Code&, const OptOptions&, const Cpu&) {
    return fail(Errc::Unsupported, "there is no JIT compiler for this machine");
}

std::vector<SlotCode> list_ir(const exec::Code&, const OptOptions&) {
    return {};
}

RunResult run(const exec::Code&, const exec::RunInput&) {
    return {}; // no code was ever compiled
}

} // namespace ebpfvm::jit
