// One insn after the other into machine code. Tested by vm/data_files_test.cpp, which runs every
// program on all engines.
#pragma once

#include "isa/op_kind.hpp"
#include "jit/jit.hpp"
#include "jit/stack_writer.hpp"
#include "jit/thunks.hpp"
#include "support/entropy.hpp"

#include <array>
#include <functional>
#include <span>
#include <vector>

namespace ebpfvm::jit {

class Emitter {
  public:
    /// Describes what it emits in `map`, unless null.
    Emitter(const exec::Code& code, asmjit::CodeHolder& holder, const Cpu& cpu,
            CodeMap* map = nullptr);

    /// Emits the whole program.
    void run();
    /// Calls `note(slot)` before the code of each slot, and with the number of slots before what
    /// belongs to none.
    void watch(std::function<void(std::size_t)> note) { note_ = std::move(note); }

    /// Where subprograms begin, in the order of Code::subprogs.
    [[nodiscard]] std::span<const asmjit::Label> entries() const { return entries_; }
    /// Where runs and tail calls enter the program.
    [[nodiscard]] const asmjit::Label& run_entry() const { return run_entry_; }
    /// Constants could not be blinded.
    [[nodiscard]] bool lacks_keys() const { return keys_.has_failed(); }
    /// See NativeCode.
    [[nodiscard]] const std::vector<bool>& leads() const { return leads_; }
    [[nodiscard]] const std::vector<std::uint8_t>& reaches() const { return reaches_; }
    [[nodiscard]] unsigned reach_count() const { return reach_count_; }
    /// The program as a C function of its context; invalid if it is none (Code::native_leaf).
    [[nodiscard]] const asmjit::Label& leaf_entry() const { return leaf_entry_; }

  private:
    using Slot = exec::Slot;
    using Label = asmjit::Label;

    // What a subprogram needs of the machine's stack.
    struct FrameShape {
        bool saves[kRegCount] = {}; // r6..r10
        std::uint32_t stack = 0;    // bytes of BPF stack that lie there
        std::uint32_t room = 0;     // bytes below the saved registers
        bool has_counter = false;   // of may_goto, at the bottom
    };
    // Code that is rarely run lies behind the program.
    struct Rare {
        Label begin;
        Label back; // of an access; invalid: the run ends
        std::uint32_t slot;
        Stop why;
    };
    // What all of a program shares that is long.
    struct Shared {
        Label access;        // a load or store that is checked in C++; keeps all registers
        Label stop;          // ends the run, whatever the depth
        Label leave;         // the same, if all has been said
        Label call;          // a helper whose arguments are checked
        Label forget_frames; // keeps r0 and r6..r10
    };

    // Structure.
    void find_labels();
    void emit_subprog(std::size_t index);
    [[nodiscard]] FrameShape shape_of(std::size_t index) const;
    void prologue(bool is_entry);
    void clear_stack();
    void clear_in_loop(std::uint32_t bytes);
    void epilogue();
    void emit_leaf_entries();
    void emit_rare();
    void emit_shared();
    void begin_block();
    void follow_pointers(const Slot& slot);
    [[nodiscard]] unsigned reach_of(unsigned reg);
    void emit(const Slot& slot);

    // Arithmetic.
    void alu(isa::AluOp op, isa::Width width, const Slot& slot, bool is_imm);
    void alu_insn(asmjit::InstId id, isa::Width width, const Slot& slot, bool is_imm);
    void multiply(isa::Width width, const Slot& slot, bool is_imm);
    void move(isa::Width width, const Slot& slot, bool is_imm);
    void shift(isa::AluOp op, isa::Width width, const Slot& slot, bool is_imm);
    x86::Gp divisor_of(isa::Width width, const Slot& slot, bool is_imm);
    void divide(isa::AluOp op, isa::Width width, const Slot& slot, bool is_imm);
    void negate(isa::Width width, const Slot& slot);
    void sign_extend(unsigned bits, isa::Width width, const Slot& slot);
    void swap(unsigned bits, bool swaps, const Slot& slot);
    void load_imm(const x86::Gp& reg, std::uint64_t value);
    void load_constant(const x86::Gp& reg, std::uint64_t value);
    void lddw(isa::Op op, const Slot& slot);
    [[nodiscard]] bool shows(bool is_imm) const { return is_imm && !code_.blinds_constants; }
    [[nodiscard]] x86::Gp source(isa::Width width, const Slot& slot, bool is_imm);
    [[nodiscard]] x86::Gp reg(unsigned number, isa::Width width) const;

    // Memory.
    void load(unsigned size, bool sign_extends, const Slot& slot);
    void store(unsigned size, const Slot& slot, bool is_imm);
    void store_value(unsigned size, const x86::Mem& at, const Slot& slot, bool is_imm);
    void store_widened(const Slot& slot);
    void packet_len(const Slot& slot);
    void array_lookup(const Slot& slot);
    void scale(const x86::Gp& reg, std::uint32_t factor);
    void atomic(isa::AluOp op, isa::Width width, const Slot& slot);
    void fetch(isa::AluOp op, isa::Width width, const Slot& slot);
    void exchange(isa::Width width, const Slot& slot);
    void compare_exchange(isa::Width width, const Slot& slot);
    [[nodiscard]] x86::Mem checked_address(unsigned base, const Slot& slot, unsigned size,
                                           Access access, const Label& back);
    void check_reach(unsigned base, unsigned size, Access access, const Label& rare);
    [[nodiscard]] bool is_in_frame(unsigned base, std::int32_t off, unsigned size) const;
    x86::Mem atomic_address(unsigned base, unsigned size, Access access, const Slot& slot);
    x86::Mem host_field(unsigned base, std::int32_t off, unsigned size);
    x86::Mem plain_address(unsigned base, std::int32_t off, unsigned size);
    void load_packet(const Slot& slot, bool is_indirect);
    void ordered_load(unsigned size, const Slot& slot);
    void ordered_store(unsigned size, const Slot& slot);

    // Control.
    void jump(isa::JmpOp op, isa::Width width, const Slot& slot, bool is_imm);
    void jump_to(const Slot& slot);
    void may_goto(const Slot& slot);
    void call_helper(const Slot& slot);
    void hash_lookup(const Slot& slot);
    void call_local(const Slot& slot);
    void callx(const Slot& slot);
    void tail_call(const Slot& slot);
    void enter_call();
    void leave_call();
    void save_call_regs(unsigned count);
    void clear_call_regs();
    void store_count();
    void load_count();
    void call_thunk(std::uint64_t thunk, const Slot& slot);
    [[nodiscard]] Label stop_for(Stop why);
    void stop_here(Stop why);
    void note_end();
    [[nodiscard]] Label target_of(const Slot& slot);
    [[nodiscard]] bool goes_back(const Slot& slot) const { return slot.off < 0; }
    void call_address(std::uint64_t function);

    void note(std::size_t slot) const {
        if (note_) {
            note_(slot);
        }
    }

    // For the CodeMap.
    [[nodiscard]] std::uint32_t here() const { return std::uint32_t(as_.offset()); }
    void begin_function(const char* name);
    void begin_leaving(const char* name);
    void begin_subprog(std::size_t index);
    void begin_cold(const Rare& rare);
    void begin_body();
    void place(std::size_t slot);

    const exec::Code& code_;
    std::function<void(std::size_t)> note_{};
    x86::Assembler as_;
    CodeMap* const map_;
    StackWriter stack_;
    const bool checks_;
    const Cpu cpu_;
    bool is_leaf_ = false;  // nothing is called: kState holds the host's context object
    bool is_entry_ = false; // is the current subprogram the entry?
    bool uses_ctx_ = false; // is there a rewritten context access?
    bool has_tail_calls_ = false;
    bool leaves_data_ = false;
    bool calls_entry_ = false; // is there a call to the entry function?
    std::vector<Label> entries_;
    Label run_entry_;
    Label leaf_entry_;
    Label inner_entry_;                 // of the entry function, for calls from within
    std::vector<Label> labels_;         // by slot; invalid: no jump goes there
    std::vector<bool> leads_;           // by slot, and behind the last: a block begins there
    std::vector<std::uint8_t> reaches_; // NativeCode::reaches
    std::vector<Rare> rare_;
    std::vector<std::size_t> described_;  // by subprogram: its index in the CodeMap
    std::size_t cold_subprog_ = SIZE_MAX; // whose rare code is emitted
    Shared shared_;
    Label exit_; // of the current subprogram
    static constexpr std::uint8_t kNoReach = 0xff;
    std::array<std::uint8_t, kRegCount> reach_of_{};
    unsigned next_reach_ = 0;
    unsigned reach_count_ = 0;
    RandomWords keys_; // of blinded constants
    FrameShape frame_;
    std::uint32_t insns_behind_ = 0; // in the current block, the current insn among them
    std::size_t at_ = 0;
    std::size_t end_ = 0; // of the current subprogram
};

} // namespace ebpfvm::jit
