// Makes blocks and values of the slots of a function, and of what is inlined into it.
#pragma once

#include "exec/code.hpp"
#include "isa/op_kind.hpp"
#include "jit/opt/program_shape.hpp"
#include "jit/opt/regs.hpp"
#include "jit/opt/writer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace ebpfvm::jit::opt {

class Builder : Writer {
  public:
    Builder(const exec::Code& code, const ProgramShape& program, bool may_inline, Function& fn)
        : Writer(fn), code_(code), program_(program), may_inline_(may_inline) {}

    /// Subprograms that the function calls are noted in `called`.
    void run(Vec<std::uint32_t>& called);

  private:
    using Regs = std::array<ValueId, kVarCount>;

    struct Chunk { // of Instance::blocks
        std::size_t begin = 0;
        std::size_t end = 0;
    };
    // One subprogram at one place: the function itself, or inlined into it.
    struct Instance {
        const ProgramShape::Subprog* subprog = nullptr;
        std::uint32_t index = 0;
        bool is_inlined = false;
        Vec<BlockId> first{}; // by SlotBlock
        Vec<BlockId> last{};  // kNoBlock: not filled yet
        Vec<Regs> ends{};     // registers at the end, by SlotBlock
        Vec<BlockId> blocks{};
        Vec<Chunk> chunks{}; // the layout of each SlotBlock
        Vec<std::pair<BlockId, ValueId>> returns{};
    };
    struct Incomplete {
        std::uint32_t place;
        unsigned reg;
        ValueId phi;
    };

    // build.cpp: blocks and edges.
    ValueId instance(std::uint32_t index, const Regs& regs);
    Regs initial_regs(const Instance& in, const Regs& regs);
    void clear(std::int64_t top, std::uint32_t bytes);
    ValueId join_returns(const Instance& in);
    void fill(Instance& in, std::uint32_t place);
    void leave(Instance& in);
    bool inlines(std::uint32_t index);

    // build_phis.cpp: registers where blocks begin.
    Regs entry_regs(const Instance& in, std::uint32_t place, const Regs* initial,
                    Vec<Incomplete>& incomplete);
    static ValueId value_in_loop(const Instance& in, const SlotBlock& block, unsigned reg,
                                 const Regs* initial);
    static std::uint32_t first_filled(const Instance& in, const SlotBlock& block);
    void complete(const Instance& in, const Incomplete& phi, BlockId before, const Regs& initial);
    bool remove_if_single(ValueId phi);

    // build_insns.cpp: single insns. Those that return a bool: true if it ended the block.
    bool insn(Instance& in, const SlotBlock& block, const exec::Slot& slot);
    void rewritten(const exec::Slot& slot);
    void alu(isa::AluOp op, Width width, const exec::Slot& slot, ValueId operand);
    bool jump(const Instance& in, const SlotBlock& block, isa::JmpOp op, Width width,
              const exec::Slot& slot, ValueId operand);
    bool may_goto(const Instance& in, const SlotBlock& block);
    // Hidden registers: the packet is the first member of the host's object.
    [[nodiscard]] ValueId base(unsigned reg) const {
        return reg < kRegCount ? regs_[reg] : host_ctx_;
    }
    ValueId load(unsigned size, bool is_signed, unsigned reg, std::int64_t off,
                 bool is_ordered = false);
    void store(unsigned size, unsigned reg, std::int64_t off, ValueId value,
               bool is_ordered = false);
    void atomic(isa::AluOp op, unsigned size, const exec::Slot& slot);
    void fetch(Kind kind, isa::AluOp op, unsigned size, const exec::Slot& slot);
    void compare_exchange(unsigned size, const exec::Slot& slot);
    void packet_len(const exec::Slot& slot);

    // build_calls.cpp: calls, and what is like one: r1..r5 are gone behind it.
    void call_helper(const exec::Slot& slot);
    ValueId ctx_or_null(ValueId ctx);
    void call_local(const exec::Slot& slot);
    void tail_call();
    void array_lookup(const exec::Slot& slot);
    void hash_lookup(const exec::Slot& slot);
    void load_packet(Instance& in, const exec::Slot& slot, bool is_indirect);
    ValueId call(Kind kind, std::int64_t imm, std::span<const ValueId> args);
    void clobber();

    const exec::Code& code_;
    const ProgramShape& program_;
    const bool may_inline_;
    bool has_replaced_ = false; // phis of loops
    Vec<std::uint32_t>* called_ = nullptr;
    Vec<std::uint32_t> open_{};   // subprograms around the current place
    Regs regs_{};                 // where the current block has come to
    Vec<ValueId> values_{};       // of the list that is being put together
    Vec<std::uint32_t> places_{}; // of SlotBlocks, by the block that ends them
    ValueId host_ctx_ = 0;
    ValueId zero_ = 0;        // the constant
    std::uint32_t slots_ = 0; // with those that are inlined
};

} // namespace ebpfvm::jit::opt
