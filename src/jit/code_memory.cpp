// Two mappings of one memory: one to write code to, one to execute it.
#include "exec/fault.hpp"
#include "jit/abi.hpp"
#include "jit/native_code.hpp"
#include "jit/thunks.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cpuid.h>

namespace ebpfvm::jit {
namespace {

constexpr asmjit::JitAllocator::CreateParams kDualMapping{
    .options = asmjit::JitAllocatorOptions::kUseDualMapping};

constexpr x86::Gp kSavedByC[] = {x86::rbx, x86::rbp, x86::r12, x86::r13, x86::r14, x86::r15};

} // namespace

CodeMemory::CodeMemory() : runtime_(&kDualMapping) {
    asmjit::CodeHolder code;
    code.init(runtime_.environment());
    x86::Assembler as(&code);
    for (const x86::Gp& reg : kSavedByC) {
        as.push(reg);
    }
    as.sub(x86::rsp, 8);
    as.mov(kState, x86::rdi);
    as.lea(x86::rax, x86::ptr(x86::rsp, -8)); // where the return address of the entry will be
    as.mov(state_field(offsets::kStackPointer), x86::rax);
    as.mov(x86::rax, x86::rsi);
    as.mov(kRegs[1], x86::rdx);
    as.mov(kRegs[2], x86::rcx);
    as.mov(kFp, x86::r8);
    as.call(x86::rax);
    as.add(x86::rsp, 8);
    for (std::size_t i = std::size(kSavedByC); i-- > 0;) {
        as.pop(kSavedByC[i]);
    }
    as.ret();
    if (runtime_.add(&enter_, &code) != asmjit::kErrorOk) {
        enter_ = nullptr;
    }
}

// Not asmjit::CpuInfo: it asks for everything, and in a virtual machine each question takes 2 us.
Cpu Cpu::host() {
    static const bool has_bmi2 = [] {
        unsigned eax = 0;
        unsigned ebx = 0;
        unsigned ecx = 0;
        unsigned edx = 0;
        constexpr unsigned kExtendedFeatures = 7;
        return __get_cpuid_count(kExtendedFeatures, 0, &eax, &ebx, &ecx, &edx) != 0 &&
               (ebx & bit_BMI2) != 0;
    }();
    return {.has_bmi2 = has_bmi2};
}

Expected<std::shared_ptr<CodeMemory>> make_code_memory() {
    auto memory = std::make_shared<CodeMemory>();
    if (!memory->is_ready()) {
        return fail(Errc::LimitExceeded, "no memory for machine code");
    }
    return memory;
}

std::size_t code_bytes(const exec::Code& code) {
    return code.native != nullptr ? native_of(code).size : 0;
}

RunResult run(const exec::Code& code, const exec::RunInput& input) {
    exec::RunState state(code, input);
    const std::uint64_t budget = std::min<std::uint64_t>(input.insn_budget, INT64_MAX);
    state.native.insns_left = std::int64_t(budget);
    if (!code.is_verified) {
        reach_input(state);
    }
    RunResult result;
    result.r0 =
        native_of(code).memory().enter()(&state, code.native, state.ctx_address, state.plain_size,
                                         state.frame_top(0) + exec::RunState::kPitch);
    if (!code.is_verified) {
        result.insns_executed = budget - std::uint64_t(state.native.insns_left);
    }
    const bool held = state.release_refs();
    if (state.native.fault) [[unlikely]] {
        result.r0 = 0;
        result.fault = std::move(state.native.fault);
    } else if (held) [[unlikely]] {
        result.r0 = 0;
        result.fault = exec::unreleased_fault(state, &state.code->slots[state.native.end]);
    }
    return result;
}

} // namespace ebpfvm::jit
