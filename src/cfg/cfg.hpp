// The control flow of a decoded program: basic blocks, merges, loops and live registers.
#pragma once

#include "isa/decode.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace ebpfvm::cfg {

inline constexpr std::uint32_t kNone = ~std::uint32_t{0};

/// At most two blocks; no memory of its own.
class Successors {
  public:
    [[nodiscard]] const std::uint32_t* begin() const { return blocks_.data(); }
    [[nodiscard]] const std::uint32_t* end() const { return blocks_.data() + count_; }
    [[nodiscard]] std::size_t size() const { return count_; }
    /// Nothing happens if it is there already.
    void add(std::uint32_t block) {
        if (count_ == 0 || blocks_[0] != block) {
            blocks_[count_++] = block;
        }
    }

  private:
    std::array<std::uint32_t, 2> blocks_{};
    std::uint32_t count_ = 0;
};

/// Insns that are entered at the first and left behind the last only.
struct BasicBlock {
    std::uint32_t first = 0;               ///< slot
    std::uint32_t last = 0;                ///< slot of the last insn (its first slot)
    std::uint32_t subprog = 0;             ///< index into DecodedProgram::subprogs
    Successors successors{};               ///< blocks of the same subprogram; calls are not edges
    std::uint32_t predecessors = 0;        ///< number of reachable ones
    bool is_reachable = false;             ///< from the entry of its subprogram
    bool is_loop_head = false;             ///< a back edge goes here
    std::uint32_t loop = kNone;            ///< number of its strongly connected component, if any
};

struct Cfg {
    std::vector<BasicBlock> blocks{};         ///< ascending by first
    std::vector<std::uint32_t> block_of{};    ///< by slot
    /// Registers r0..r9 (bits) that may be read before they are written, from a slot on.
    std::vector<std::uint16_t> live{};
    /// By block: the nearest block that all ways to it lead through, kNone for entries; filled if
    /// there are loops.
    std::vector<std::uint32_t> dominator{};

    [[nodiscard]] const BasicBlock& block(std::uint32_t slot) const {
        return blocks[block_of[slot]];
    }
};

/// The blocks (by number) of the loop with that head: those from which a back edge to it can be
/// reached without passing it. Of a loop with several entries: all that can reach each other.
[[nodiscard]] std::vector<bool> natural_loop(const Cfg& cfg, std::uint32_t head);

/// How many of r1..r5 a call reads that is no local call.
using CallArity = std::function<unsigned(const isa::Decoded&)>;

[[nodiscard]] Cfg build_cfg(const isa::DecodedProgram& program, const CallArity& arity);

/// Fills Cfg::live (build_cfg() calls it).
void compute_liveness(const isa::DecodedProgram& program, const CallArity& arity, Cfg& cfg);

/// The graph in Graphviz' language, one node per block with its insns.
[[nodiscard]] std::string to_dot(const isa::DecodedProgram& program, const Cfg& cfg,
                                 std::span<const Insn> insns);

} // namespace ebpfvm::cfg
