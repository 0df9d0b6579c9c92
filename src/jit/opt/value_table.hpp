// Values that are the same, because they are made the same way.
#pragma once

#include "jit/opt/ir.hpp"

#include <algorithm>
#include <bit>

namespace ebpfvm::jit::opt {

/// Pure nodes, by what they compute.
class ValueTable {
  public:
    /// Forgets all; there will be no more than `count`.
    void clear(std::size_t count) {
        entries_.assign(std::bit_ceil(std::max<std::size_t>(16, 2 * count)), 0);
    }

    /// The entry for values like this one: 0 if there is none yet.
    ValueId& find(const Function& fn, const Node& node) {
        const std::size_t mask = entries_.size() - 1;
        for (std::size_t i = hash(node) & mask;; i = (i + 1) & mask) {
            if (entries_[i] == 0 || is_same(fn[entries_[i]], node)) {
                return entries_[i];
            }
        }
    }

  private:
    static std::size_t hash(const Node& node) {
        std::uint64_t sum = std::uint64_t(node.kind) | std::uint64_t(node.size) << 8 |
                            std::uint64_t(node.width) << 16 | std::uint64_t(node.cond) << 24;
        const std::uint64_t low = std::uint64_t(node.args[0]) << 32 | node.args[1];
        const std::uint64_t high = std::uint64_t(node.args[2]) << 32 | node.args[3];
        sum += low * 0x9e37'79b9'7f4a'7c15 + std::uint64_t(node.imm) * 0xc2b2'ae3d'27d4'eb4f;
        sum += (high ^ sum >> 32) * 0x1656'67b1'9e37'79f9;
        return std::size_t(sum ^ sum >> 32);
    }
    static bool is_same(const Node& a, const Node& b) {
        return a.kind == b.kind && a.width == b.width && a.cond == b.cond && a.size == b.size &&
               a.args == b.args && a.imm == b.imm;
    }

    Vec<ValueId> entries_{};
};

} // namespace ebpfvm::jit::opt
