// What a compiled program consists of.
#pragma once

#include "jit/debug/publisher.hpp"
#include "jit/find_code.hpp"
#include "jit/jit.hpp"

#include <asmjit/core.h>

#include <array>
#include <span>
#include <vector>

namespace ebpfvm::jit {

/// Machine code at the place where it runs; freed with this.
class PlacedCode {
  public:
    PlacedCode() = default;
    PlacedCode(const PlacedCode&) = delete;
    PlacedCode& operator=(const PlacedCode&) = delete;
    ~PlacedCode();

    /// In pages that it shares with other code of `runtime`.
    [[nodiscard]] Expected<void> place(asmjit::CodeHolder& holder, asmjit::JitRuntime& runtime);
    /// In pages of its own, behind which there is no file and no other mapping.
    [[nodiscard]] Expected<void> place_apart(asmjit::CodeHolder& holder);
    /// Tells others, until it is freed. Errors: Errc::Io.
    [[nodiscard]] Expected<void> publish(const Publisher& publisher, const CodeMap& map,
                                         const Program* program);

    [[nodiscard]] const std::byte* base() const { return static_cast<const std::byte*>(base_); }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    void* base_ = nullptr;
    std::size_t size_ = 0;                  // bytes of code
    asmjit::JitRuntime* runtime_ = nullptr; // null: pages of its own
    Published published_{};
};

class CodeMemory {
  public:
    explicit CodeMemory(Publisher publisher);
    CodeMemory(const CodeMemory&) = delete;
    CodeMemory& operator=(const CodeMemory&) = delete;

    /// Starts a run: r1 and r2 as given, r10 as a caller's of the entry.
    using Enter = std::uint64_t (*)(exec::RunState* state, const void* entry, std::uint64_t r1,
                                    std::uint64_t r2, std::uint64_t r10);
    [[nodiscard]] Enter enter() const { return enter_; }
    [[nodiscard]] asmjit::JitRuntime& runtime() { return runtime_; }
    [[nodiscard]] const asmjit::JitRuntime& runtime() const { return runtime_; }

    /// Do compilers have to fill a CodeMap?
    [[nodiscard]] bool wants_map() const { return publisher_.has_readers(); }
    /// Puts code where it can run, and tells those who want to know of it. `map` is not looked at
    /// unless wants_map(). Errors: Errc::LimitExceeded without memory; Errc::Io.
    [[nodiscard]] Expected<void> install(PlacedCode& code, asmjit::CodeHolder& holder,
                                         const CodeMap& map, const Program* program);
    /// Makes enter() and find(). Errors: those of install().
    [[nodiscard]] Expected<void> install_shared();

    /// The lookup in hash maps like this one; see emit_finds().
    [[nodiscard]] const std::byte* find(const maps::HashView& view) const {
        return finds_[find_kind(view)];
    }

  private:
    asmjit::JitRuntime runtime_;
    Publisher publisher_;
    PlacedCode shared_code_;
    Enter enter_ = nullptr;
    std::array<const std::byte*, kFindKinds> finds_{};
};

/// The machine code of one program; freed with it.
class NativeCode {
    std::shared_ptr<CodeMemory> memory_; // first: it outlives `code`

  public:
    explicit NativeCode(std::shared_ptr<CodeMemory> memory) : memory_(std::move(memory)) {}
    NativeCode(const NativeCode&) = delete;
    NativeCode& operator=(const NativeCode&) = delete;

    [[nodiscard]] CodeMemory& memory() const { return *memory_; }

    PlacedCode code{};
    std::vector<const void*> subprogs{}; ///< machine code, in the order of Code::subprogs
    std::vector<bool> leads{};           ///< by slot, and one more: a basic block begins there
    /// Of checked code, by slot: the reach that a load or store looks at, or that a call's result
    /// has.
    std::vector<std::uint8_t> reaches{};
    unsigned reach_count = 0;
};

/// From an assembler to memory that can be executed.
class Assembling {
  public:
    explicit Assembling(const CodeMemory& memory);
    Assembling(const Assembling&) = delete;
    Assembling& operator=(const Assembling&) = delete;

    [[nodiscard]] asmjit::CodeHolder& holder() { return holder_; }
    /// For compilers to fill; null if nobody wants it.
    [[nodiscard]] CodeMap* map() { return wants_map_ ? &map_ : nullptr; }
    /// Sets code.native and what belongs to it. `leaf` may be invalid, and so may `subprogs` that
    /// nothing calls. Errors: those of CodeMemory::install().
    [[nodiscard]] Expected<std::shared_ptr<NativeCode>>
    install(exec::Code& code, std::shared_ptr<CodeMemory> memory,
            std::span<const asmjit::Label> subprogs, const asmjit::Label& run,
            const asmjit::Label& leaf);

  private:
    class ErrorKeeper : public asmjit::ErrorHandler {
      public:
        void handleError(asmjit::Error error, const char*, asmjit::BaseEmitter*) override;
        asmjit::Error first = asmjit::kErrorOk;
    };

    ErrorKeeper errors_{};
    asmjit::CodeHolder holder_{};
    CodeMap map_{};
    bool wants_map_ = false;
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
