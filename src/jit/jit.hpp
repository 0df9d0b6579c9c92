// Machine code for x86-64, made by asmjit. No code memory is ever writable and executable at once.
#pragma once

#include "ebpfvm/vm.hpp"
#include "exec/run_state.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
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
    /// Is a division of 64 bits hardly slower than one of 32?
    bool divides_fast = false;

    [[nodiscard]] static Cpu host();
};

/// Compiles insn by insn and sets code.native; the machine code lives as long as `code`. Verified
/// code runs without checks and without counting insns; other code with all run-time checks.
/// Errors: Errc::LimitExceeded without memory; Errc::Io, see JitDebug.
[[nodiscard]] Expected<void> compile_baseline(exec::Code& code,
                                              const std::shared_ptr<CodeMemory>& memory,
                                              const Cpu& cpu = Cpu::host());

/// Passes of the optimising tier, to measure what each is worth.
enum class Pass : std::uint8_t {
#define EBPFVM_PASS(name, text) name,
#include "jit/opt/passes.def"
};
inline constexpr unsigned kPassCount = 0
#define EBPFVM_PASS(...) +1
#include "jit/opt/passes.def"
    ;
struct OptOptions {
    std::uint32_t disabled = 0; ///< Passes, as bits

    [[nodiscard]] constexpr bool has(Pass pass) const {
        return (disabled >> unsigned(pass) & 1) == 0;
    }
};

/// Compiles verified code by way of SSA form; the same otherwise. Other code, and programs that
/// call through pointers, are left to compile_baseline(): false.
[[nodiscard]] Expected<bool> compile_optimised(exec::Code& code,
                                               const std::shared_ptr<CodeMemory>& memory,
                                               const OptOptions& options = {},
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

[[nodiscard]] Expected<std::vector<SlotCode>> list_optimised(const exec::Code& code,
                                                             const OptOptions& options = {},
                                                             const Cpu& cpu = Cpu::host());
/// The intermediate form after all passes, by slot; empty if compile_optimised() refuses it.
[[nodiscard]] std::vector<SlotCode> list_ir(const exec::Code& code, const OptOptions& options = {});

/// "inline", "stack"...
[[nodiscard]] std::string_view name_of(Pass pass);
/// Errors: Errc::InvalidArgument for a name that no pass has, listing those there are.
[[nodiscard]] Expected<OptOptions> without_passes(std::span<const std::string> names);

/// Runs code that has been compiled. RunInput::watch is not called; insns_executed is 0 for
/// verified code.
[[nodiscard]] RunResult run(const exec::Code& code, const exec::RunInput& input);

} // namespace ebpfvm::jit
