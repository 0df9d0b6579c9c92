// Machine code for x86-64, made by asmjit. No code memory is ever writable and executable at once.
#pragma once

#include "ebpfvm/vm.hpp"
#include "exec/run_state.hpp"

#include <memory>
#include <string>
#include <vector>

namespace ebpfvm::jit {

/// Memory of machine code and what all programs of a Vm share. Thread-safe.
class CodeMemory;
/// Errors: Errc::Unsupported if there is no JIT for this machine, Errc::LimitExceeded without
/// memory, Errc::Io if a file that `debug` asks for cannot be written.
[[nodiscard]] Expected<std::shared_ptr<CodeMemory>> make_code_memory(const JitDebug& debug = {});

/// What machine code may use besides x86-64.
struct Cpu {
    bool has_bmi2 = false;

    [[nodiscard]] static Cpu host();
};

/// Compiles insn by insn and sets code.native; the machine code lives as long as `code`. Verified
/// code runs without checks and without counting insns; other code with all run-time checks.
/// Errors: Errc::LimitExceeded without memory; Errc::Io, see JitDebug.
[[nodiscard]] Expected<void> compile_baseline(exec::Code& code,
                                              const std::shared_ptr<CodeMemory>& memory,
                                              const Cpu& cpu = Cpu::host());

/// Bytes of machine code; 0 if `code` has not been compiled.
[[nodiscard]] std::size_t code_bytes(const exec::Code& code);

/// The machine code that compile_baseline() makes, in Intel's syntax, by slot; what belongs to none
/// has the number of slots.
struct SlotCode {
    std::uint32_t slot = 0;
    std::string text{}; ///< lines
};
[[nodiscard]] Expected<std::vector<SlotCode>> list_baseline(const exec::Code& code,
                                                            const Cpu& cpu = Cpu::host());

/// Runs code that has been compiled. RunInput::watch is not called; insns_executed is 0 for
/// verified code.
[[nodiscard]] RunResult run(const exec::Code& code, const exec::RunInput& input);

} // namespace ebpfvm::jit
