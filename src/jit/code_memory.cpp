// Two mappings of one memory: one to write code to, one to execute it.
#include "exec/fault.hpp"
#include "jit/abi.hpp"
#include "jit/native_code.hpp"
#include "jit/stack_writer.hpp"
#include "jit/thunks.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cpuid.h>

namespace ebpfvm::jit {
namespace {

constexpr asmjit::JitAllocator::CreateParams kDualMapping{
    .options = asmjit::JitAllocatorOptions::kUseDualMapping};

constexpr x86::Gp kSavedByC[] = {x86::rbx, x86::rbp, x86::r12, x86::r13, x86::r14, x86::r15};

void emit_enter(x86::Assembler& as, CodeMap& map) {
    map.begin(0, "ebpfvm_enter");
    StackWriter stack(as, &map);
    for (const x86::Gp& reg : kSavedByC) {
        stack.push(reg);
    }
    stack.grow(8);
    as.mov(kState, x86::rdi);
    as.lea(x86::rax, x86::ptr(x86::rsp, -8)); // where the return address of the entry will be
    as.mov(state_field(offsets::kStackPointer), x86::rax);
    as.mov(x86::rax, x86::rsi);
    as.mov(kFirstArg, state_field(offsets::kCtx)); // for programs that are C functions of it
    as.mov(kRegs[1], x86::rdx);
    as.mov(kRegs[2], x86::rcx);
    as.mov(kFp, x86::r8);
    as.call(x86::rax);
    stack.shrink(8);
    for (std::size_t i = std::size(kSavedByC); i-- > 0;) {
        stack.pop(kSavedByC[i]);
    }
    as.ret();
}

} // namespace

CodeMemory::CodeMemory(Publisher publisher)
    : runtime_(&kDualMapping), publisher_(std::move(publisher)) {}

Expected<void> CodeMemory::install_shared() {
    asmjit::CodeHolder holder;
    holder.init(runtime_.environment());
    x86::Assembler as(&holder);
    CodeMap map;
    emit_enter(as, map);
    const auto finds = emit_finds(as, &map);
    map.end(std::uint32_t(as.offset()));
    TRY(install(shared_code_, holder, map, nullptr));
    enter_ = reinterpret_cast<Enter>(reinterpret_cast<std::uintptr_t>(shared_code_.base()));
    std::ranges::transform(finds, finds_.begin(), [&](const asmjit::Label& label) {
        return shared_code_.base() + holder.labelOffset(label);
    });
    return {};
}

Expected<void> CodeMemory::install(PlacedCode& code, asmjit::CodeHolder& holder, const CodeMap& map,
                                   const Program* program) {
    TRY(publisher_.needs_private_pages() ? code.place_apart(holder) : code.place(holder, runtime_));
    if (publisher_.has_readers()) {
        TRY(code.publish(publisher_, map, program));
    }
    return {};
}

// Not asmjit::CpuInfo: it asks for everything, and in a virtual machine each question takes 2 us.
Cpu Cpu::host() {
    static const Cpu cpu = [] {
        unsigned eax = 0;
        unsigned ebx = 0;
        unsigned ecx = 0;
        unsigned edx = 0;
        constexpr unsigned kExtendedFeatures = 7;
        if (__get_cpuid_count(kExtendedFeatures, 0, &eax, &ebx, &ecx, &edx) == 0) {
            return Cpu{};
        }
        // What came with Intel's fast divider (Ice Lake) and AMD's (Zen 3), and not before.
        return Cpu{.has_bmi2 = (ebx & bit_BMI2) != 0, .divides_fast = (ecx & bit_VAES) != 0};
    }();
    return cpu;
}

Expected<std::shared_ptr<CodeMemory>> make_code_memory(const JitDebug& debug) {
    TRY_ASSIGN(auto publisher, Publisher::make(debug));
    auto memory = std::make_shared<CodeMemory>(std::move(publisher));
    TRY(memory->install_shared());
    return memory;
}

std::size_t code_bytes(const exec::Code& code) {
    return code.native != nullptr ? native_of(code).code.size() : 0;
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
