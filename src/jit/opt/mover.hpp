// Brings values to the places where they are wanted.
#pragma once

#include "jit/opt/allocate.hpp"
#include "jit/opt/stack_frame.hpp"

#include <span>

namespace ebpfvm::jit::opt {

class Mover {
  public:
    Mover(const Function& fn, const StackFrame& frame, x86::Assembler& as)
        : fn_(fn), frame_(frame), as_(as) {}

    /// A Const or Frame.
    void load(const x86::Gp& reg, ValueId value);
    /// Leaves flags alone.
    void load_const(const x86::Gp& reg, std::uint64_t value);

    void move(const Place& from, const Place& to);
    /// All at once.
    void move_all(std::span<const Move> moves) {
        if (moves.size() == 1) {
            move(moves.front().from, moves.front().to);
        } else if (!moves.empty()) {
            move_all(Vec<Move>(moves.begin(), moves.end()));
        }
    }
    void move_all(Vec<Move> moves);

  private:
    const Function& fn_;
    const StackFrame& frame_;
    x86::Assembler& as_;
};

} // namespace ebpfvm::jit::opt
