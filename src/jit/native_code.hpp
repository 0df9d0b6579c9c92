// What a compiled program consists of.
#pragma once

#include "jit/jit.hpp"

#include <asmjit/core.h>

#include <vector>

namespace ebpfvm::jit {

class CodeMemory {
  public:
    CodeMemory();
    CodeMemory(const CodeMemory&) = delete;
    CodeMemory& operator=(const CodeMemory&) = delete;

    /// Starts a run: r1 and r2 as given, r10 as a caller's of the entry.
    using Enter = std::uint64_t (*)(exec::RunState* state, const void* entry, std::uint64_t r1,
                                    std::uint64_t r2, std::uint64_t r10);
    [[nodiscard]] Enter enter() const { return enter_; }
    [[nodiscard]] asmjit::JitRuntime& runtime() { return runtime_; }
    [[nodiscard]] bool is_ready() const { return enter_ != nullptr; }

  private:
    asmjit::JitRuntime runtime_;
    Enter enter_ = nullptr;
};

/// The machine code of one program; freed with it.
class NativeCode {
  public:
    NativeCode(std::shared_ptr<CodeMemory> memory, void* base)
        : memory_(std::move(memory)), base_(base) {}
    NativeCode(const NativeCode&) = delete;
    NativeCode& operator=(const NativeCode&) = delete;
    ~NativeCode() { memory_->runtime().release(base_); }

    [[nodiscard]] CodeMemory& memory() const { return *memory_; }

    std::vector<const void*> subprogs; ///< machine code, in the order of Code::subprogs
    std::size_t size = 0;              ///< bytes
    std::vector<bool> leads;           ///< by slot, and one more: a basic block begins there
    /// Of checked code, by slot: the reach that a load or store looks at, or that a call's result
    /// has.
    std::vector<std::uint8_t> reaches;
    unsigned reach_count = 0;

  private:
    std::shared_ptr<CodeMemory> memory_;
    void* base_;
};

[[nodiscard]] inline const NativeCode& native_of(const exec::Code& code) {
    return *static_cast<const NativeCode*>(code.native_owner.get());
}

} // namespace ebpfvm::jit
