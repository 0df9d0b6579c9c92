// Where the code of blocks will be, before any of it is emitted.
#pragma once

#include "jit/opt/allocate.hpp"
#include "jit/opt/stack_frame.hpp"

namespace ebpfvm::jit::opt {

/// Blocks lie in the order of Function::layout. How long they are is a guess.
class BlockLayout {
  public:
    static constexpr std::uint32_t kLoopAlignment = 32;

    BlockLayout(const Function& fn, const Allocation& places, const StackFrame& frame);

    /// Without code, and never jumped to.
    [[nodiscard]] bool is_empty(BlockId block) const { return destination_of(block) != block; }
    [[nodiscard]] bool is_aligned(BlockId block) const { return blocks_[block].is_aligned; }
    /// Where a jump to the block ends up.
    [[nodiscard]] BlockId destination_of(BlockId block) const { return blocks_[block].destination; }
    /// Does control get to `block`, which is not empty, by itself from what lies at `place`?
    [[nodiscard]] bool falls_into(std::size_t place, BlockId block) const {
        for (; place < fn_.layout.size(); ++place) {
            if (fn_.layout[place] == block) {
                return true;
            }
            if (!is_empty(fn_.layout[place])) {
                return false;
            }
        }
        return false;
    }

    /// Does a short jump reach forward from the end of one block to another?
    [[nodiscard]] bool is_near(BlockId from, BlockId to) const {
        const std::uint32_t begin = blocks_[from].end;
        const std::uint32_t end = blocks_[to].begin;
        return begin <= end && end - begin <= kNear;
    }
    /// Or to so many bytes behind all of them?
    [[nodiscard]] bool is_end_near(BlockId from, std::uint32_t bytes) const;

  private:
    struct Guess {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
        BlockId destination = kNoBlock;
        bool is_aligned = false;
    };
    static constexpr std::uint32_t kNear = 110;

    void find_destinations(const Allocation& places);
    [[nodiscard]] bool only_jumps(const Allocation& places, BlockId block) const;
    void choose_aligned();
    void measure(const Allocation& places, const StackFrame& frame);

    const Function& fn_;
    Vec<Guess> blocks_; // by block
};

} // namespace ebpfvm::jit::opt
