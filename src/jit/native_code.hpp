// What a compiled program consists of.
#pragma once

#include "jit/jit.hpp"

#include <asmjit/core.h>

#include <span>
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
    [[nodiscard]] const asmjit::JitRuntime& runtime() const { return runtime_; }
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

  private:
    std::shared_ptr<CodeMemory> memory_;
    void* base_;
};

/// From an assembler to memory that can be executed.
class Assembling {
  public:
    explicit Assembling(const CodeMemory& memory);
    Assembling(const Assembling&) = delete;
    Assembling& operator=(const Assembling&) = delete;

    [[nodiscard]] asmjit::CodeHolder& holder() { return holder_; }
    /// Sets code.native and what belongs to it. `leaf` may be invalid, and so may `subprogs` that
    /// nothing calls. Errors: Errc::LimitExceeded without memory.
    [[nodiscard]] Expected<void> install(exec::Code& code, std::shared_ptr<CodeMemory> memory,
                                         std::span<const asmjit::Label> subprogs,
                                         const asmjit::Label& run, const asmjit::Label& leaf);

  private:
    class ErrorKeeper : public asmjit::ErrorHandler {
      public:
        void handleError(asmjit::Error error, const char*, asmjit::BaseEmitter*) override;
        asmjit::Error first = asmjit::kErrorOk;
    };

    ErrorKeeper errors_{};
    asmjit::CodeHolder holder_{};
};

/// Machine code as text, by slot.
class Listing {
  public:
    Listing();
    Listing(const Listing&) = delete;
    Listing& operator=(const Listing&) = delete;

    [[nodiscard]] asmjit::CodeHolder& holder() { return holder_; }
    /// What comes next belongs to that slot.
    void note(std::size_t slot);
    [[nodiscard]] std::vector<SlotCode> take();

  private:
    void finish_part();

    asmjit::StringLogger logger_{};
    asmjit::CodeHolder holder_{};
    std::vector<SlotCode> parts_{};
};

[[nodiscard]] inline const NativeCode& native_of(const exec::Code& code) {
    return *static_cast<const NativeCode*>(code.native_owner.get());
}

} // namespace ebpfvm::jit
