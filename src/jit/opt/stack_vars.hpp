// Which bytes of the frame become values.
#pragma once

#include "jit/opt/frame_accesses.hpp"
#include "jit/opt/ir.hpp"

#include <cstddef>
#include <cstdint>

namespace ebpfvm::jit::opt {

/// Variables: bytes of the frame, ascending.
class StackVars {
  public:
    /// Numbers of variables that lie side by side.
    struct Range {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
    };

    StackVars(const Function& fn, FrameAccesses& frame) : fn_(fn), frame_(frame) {}

    /// False if there is none.
    bool choose();
    /// Where there will be no registers for all that changes in a loop, what does not change in
    /// each turn stays in memory. It would be moved to and fro in all turns.
    void leave_rare();

    [[nodiscard]] std::size_t size() const { return vars_.size(); }
    [[nodiscard]] const Span& operator[](std::uint32_t var) const { return vars_[var]; }
    /// Variables in these bytes.
    [[nodiscard]] Range in(const Span& span) const;
    /// Those that a Load or Store accesses.
    [[nodiscard]] Range of(const Node& node) const {
        return frame_.is_plain_access(node) && !node.is_ordered ? in(frame_.span_of(node))
                                                                : Range{};
    }
    /// By variable: does the program, or a helper, read it?
    [[nodiscard]] Vec<std::uint8_t> find_read() const;

  private:
    // Accesses that overlap, one after the other in `accesses`.
    struct Group {
        std::size_t begin = 0;
        std::size_t end = 0;
        Span span{};
    };
    // Of a variable, in an outermost loop.
    struct Use {
        BlockId loop = kNoBlock;
        std::uint32_t var = 0;
        bool is_rare = true;
        bool is_changed = false;
    };

    void choose(const Group& group);
    static bool overlaps_any(const Vec<Span>& spans, const Span& span);
    [[nodiscard]] Vec<Use> uses_in_loops() const;
    void keep_pieces(Vec<bool>& stays) const;
    [[nodiscard]] BlockId outermost(BlockId block) const;
    [[nodiscard]] bool is_in_each_turn(BlockId block) const;

    const Function& fn_;
    FrameAccesses& frame_;
    Vec<Span> vars_{};
};

} // namespace ebpfvm::jit::opt
