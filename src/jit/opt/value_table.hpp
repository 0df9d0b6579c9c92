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

    /// The entry for values like this one, of that hash_of(): 0 if there is none yet.
    ValueId& find(const Function& fn, const Node& node, std::uint32_t hash) {
        const std::size_t mask = entries_.size() - 1;
        for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
            if (entries_[i] == 0 || is_same(fn[entries_[i]], node)) {
                return entries_[i];
            }
        }
    }

  private:
    static bool is_same(const Node& a, const Node& b) {
        return a.kind == b.kind && a.width == b.width && a.cond == b.cond && a.size == b.size &&
               has_same_args(a, b) && a.imm == b.imm;
    }

    Vec<ValueId> entries_{};
};

} // namespace ebpfvm::jit::opt
