// A function's part of the machine's stack.
#pragma once

#include "jit/abi.hpp"
#include "jit/opt/allocate.hpp"
#include "jit/opt/ir.hpp"
#include "jit/stack_writer.hpp"

#include <bit>

namespace ebpfvm::jit::opt {

/// From above: the caller's registers, BPF stack, slots of spilled values.
class StackFrame {
  public:
    StackFrame(const Function& fn, const Allocation& places);

    [[nodiscard]] bool is_empty() const { return saved_ == 0 && room_ == 0; }
    [[nodiscard]] std::uint32_t saved_count() const { return std::uint32_t(std::popcount(saved_)); }

    /// Saves the caller's registers, and makes room.
    void enter(StackWriter& stack) const;
    /// Undoes that.
    void leave(StackWriter& stack) const;

    [[nodiscard]] static x86::Mem slot(std::uint32_t number) {
        return x86::qword_ptr(x86::rsp, std::int32_t(8 * number));
    }
    /// Of BPF stack, from rsp; `off` is from r10.
    [[nodiscard]] std::int32_t offset_of(std::int64_t off) const {
        return top_ + std::int32_t(off);
    }

  private:
    std::uint32_t saved_ = 0; // registers, as bits
    std::uint32_t room_ = 0;  // bytes below the saved registers
    std::int32_t top_ = 0;    // of BPF stack
};

} // namespace ebpfvm::jit::opt
