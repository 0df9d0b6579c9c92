// One function into machine code: node after node, block after block.
#pragma once

#include "jit/opt/block_layout.hpp"
#include "jit/opt/emit.hpp"
#include "jit/opt/mover.hpp"
#include "jit/opt/stack_frame.hpp"
#include "jit/opt/target.hpp"
#include "support/assert.hpp"

#include <functional>

namespace ebpfvm::jit::opt {

class FunctionEmitter {
  public:
    using Label = asmjit::Label;

    // What all functions of a program share.
    struct Shared {
        x86::Assembler& as;
        CodeMap* map = nullptr;
        StackWriter stack{as, map};
        const Cpu& cpu;
        const CodeMemory* memory;
        const Vec<Label>& subprogs;
        Label leave{};        // invalid: nobody goes there
        bool guesses = false; // which jumps are short
        bool has_tail_calls = false;
        bool leaves_data = false;
        bool is_emitted = true; // no guess was wrong

        [[nodiscard]] Label leave_run() {
            if (!leave.isValid()) {
                leave = as.newLabel();
            }
            return leave;
        }
    };

    /// See emit() for `note`.
    FunctionEmitter(const Function& fn, const Allocation& places, Shared& shared,
                    const std::function<void(std::size_t)>& note)
        : fn_(fn), places_(places), shared_(shared), as_(shared.as), map_(shared.map),
          stack_(shared.stack), note_(note), frame_(fn, places), layout_(fn, places, frame_),
          mover_(fn, frame_, as_), blocks_(fn.blocks.size()) {}

    void run();

  private:
    struct EmittedBlock {
        Label label{};          // once something jumps to it
        std::size_t offset = 0; // of its code
        bool is_emitted = false;
    };

    // Structure.
    void prologue();
    void emit_block();
    void emit_node(const Node& node);
    void moves_at(Position at);
    void store_if_spilled(ValueId id);
    void note_place(const Node& node) {
        if (note_) {
            note_(node.slot);
        }
        if (map_ != nullptr) {
            map_->place(here(), fn_.code->insn_of(node.slot));
        }
    }
    [[nodiscard]] std::uint32_t here() const { return std::uint32_t(as_.offset()); }

    // Operands of the current node.
    [[nodiscard]] x86::Gp reg_of(ValueId value) const {
        const Place place = places_.place_of(value, at_);
        EBPFVM_ASSERT(place.is_reg());
        return x86::gpq(place.number);
    }
    [[nodiscard]] x86::Gp dst() const { return x86::gpq(places_.made_in(id_).number); }
    [[nodiscard]] x86::Gp arg(unsigned i) const { return reg_of(fn_[id_].args[i]); }
    [[nodiscard]] bool is_floating(ValueId id) const { return fn_[id].block == kNoBlock; }
    [[nodiscard]] bool is_imm(unsigned i) const { return is_floating(fn_[id_].args[i]); }
    [[nodiscard]] std::int64_t imm(unsigned i) const { return fn_[fn_[id_].args[i]].imm; }
    // dst = args[i], without touching flags.
    void begin_with(unsigned i, Width width = Width::W64);
    // Operations that work in rax and rdx.
    void begin_in(const x86::Gp& reg, unsigned i, Width width);
    void end_in(const x86::Gp& reg, Width width);

    // Arithmetic.
    void operate(asmjit::InstId id, const Node& node, unsigned i);
    void commutative(asmjit::InstId id, Node node);
    void add(const Node& node);
    void multiply(const Node& node);
    void multiply_high();
    void shift(const Node& node);
    void shift_by(const Node& node, const x86::Gp& to, unsigned count);
    void divide(const Node& node);
    void divide_by_zero(Width width, const x86::Gp& divisor, bool wants_quotient,
                        const Label& done);
    void divide_by_minus_one(Width width, const x86::Gp& divisor, bool wants_quotient,
                             const Label& done);
    void divide_small(const x86::Gp& divisor, const Label& done);
    void zero_extend(const Node& node);
    void sign_extend(const Node& node);
    void swap_bytes(const Node& node);

    // Memory.
    [[nodiscard]] x86::Mem address(const Node& node) const;
    void load(const Node& node);
    void store(const Node& node);
    void atomic(const Node& node);
    void fetch(const Node& node);
    void exchange(const Node& node);
    void compare_exchange(const Node& node);
    void host_ctx();

    // Comparisons and jumps.
    void compare(const Node& node);
    void select(const Node& node);
    void branch(const Node& node);
    void jump_by_table(const Node& node);
    void jump_or_branch(BlockId block);
    [[nodiscard]] bool is_only_branch(BlockId block) const;
    [[nodiscard]] Position position_of_end(BlockId block) const {
        return places_.block_end[block] - kStep;
    }
    void jump_to(BlockId block);
    void jump(BlockId block);
    void jump_if(x86::CondCode condition, BlockId block);
    void jump_cold(x86::CondCode condition, const Label& label);
    [[nodiscard]] bool is_near(BlockId block) const;
    // Does control get there by itself?
    [[nodiscard]] bool is_next(BlockId block) const {
        return layout_.falls_into(next_place_, layout_.destination_of(block));
    }
    [[nodiscard]] Label label_of(BlockId block);
    // A label that a short jump may lead to.
    void bind(const Label& label) { shared_.is_emitted &= as_.bind(label) == asmjit::kErrorOk; }

    // Calls.
    void call_helper(const Node& node);
    void pass_context(const Helper& helper);
    void check_abort(const exec::Slot& slot);
    void call_thunk(const Node& node);
    void find(const Node& node);
    [[nodiscard]] std::uint64_t find_of(const exec::HashLookup& lookup) const;
    void call_local(const Node& node);
    void tail_call(const Node& node);
    void leave(const Node& node);
    void move_args(const Node& node);
    void store_args(const Node& node);
    void call_for_slot(std::uint64_t function, const exec::Slot& slot);
    void call_address(std::uint64_t function);
    [[nodiscard]] const exec::Slot& slot_of(const Node& node) const {
        return fn_.code->slots[node.slot];
    }

    const Function& fn_;
    const Allocation& places_;
    Shared& shared_;
    x86::Assembler& as_;
    CodeMap* map_;
    StackWriter& stack_;
    const std::function<void(std::size_t)>& note_;
    const StackFrame frame_;
    const BlockLayout layout_;
    Mover mover_;
    Vec<EmittedBlock> blocks_;          // by block
    Vec<std::function<void()>> cold_{}; // code that is rarely run, behind the rest
    Label exit_{};                      // where the frame is left
    std::size_t next_move_ = 0;
    std::size_t next_place_ = 0; // in Function::layout, of the block behind placed_
    BlockId block_ = 0;
    BlockId placed_ = 0; // where code is emitted; differs from block_ in a copy of another's end
    ValueId id_ = 0;
    Position at_ = 0;
};

} // namespace ebpfvm::jit::opt
