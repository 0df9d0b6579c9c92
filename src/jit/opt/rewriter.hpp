// A node that becomes a simpler one.
#pragma once

#include "jit/opt/ir.hpp"
#include "jit/opt/known_bits.hpp"
#include "support/bits.hpp"

#include <cstdint>

namespace ebpfvm::jit::opt {

/// Has the node in terms of which rules are written; what changes it notes that in `changed_`.
class Rewriter {
  protected:
    Rewriter(Function& fn, ValueId id) : fn_(fn), id_(id) {}

    [[nodiscard]] Node& node() { return fn_[id_]; }
    [[nodiscard]] const Node& arg(unsigned i) { return fn_[node().args[i]]; }
    [[nodiscard]] ValueId arg_id(unsigned i) { return node().args[i]; }
    [[nodiscard]] bool is_const(unsigned i) { return fn_.is_const(arg_id(i)); }
    [[nodiscard]] std::uint64_t const_arg(unsigned i) { return fn_.value_of(arg_id(i)); }
    [[nodiscard]] bool is_64() { return node().width == Width::W64; }
    [[nodiscard]] unsigned width() { return bits_in(node().width); }
    [[nodiscard]] std::uint64_t width_mask() { return low_mask(width()); }

    // Becomes another operation on the same or other arguments.
    ValueId become(Kind kind, ValueId a, ValueId b = 0, unsigned size = 0) {
        Node& changed = node();
        changed.kind = kind;
        changed.args = {a, b, 0, 0};
        changed.size = std::uint8_t(size);
        changed_ = true;
        return id_;
    }
    ValueId become_zext(ValueId a, unsigned bytes) {
        node().width = Width::W64;
        return become(Kind::Zext, a, 0, bytes);
    }
    // The value itself, as an operation of this width leaves it.
    ValueId as_result(ValueId value) {
        if (is_64() || fn_[value].bits <= 32) {
            return value;
        }
        return become_zext(value, 4);
    }
    void set_arg(unsigned i, ValueId value) {
        if (node().args[i] != value) {
            node().args[i] = value;
            changed_ = true;
        }
    }

    Function& fn_;
    ValueId id_;
    bool changed_ = false;
};

} // namespace ebpfvm::jit::opt
