// How large values may be, and which of their bits matter.
#pragma once

#include "jit/opt/ir.hpp"
#include "support/bits.hpp"

#include <cstdint>

namespace ebpfvm::jit::opt {

/// An upper bound of the number of significant bits, from those of the arguments.
[[nodiscard]] std::uint8_t bits_of(const Function& fn, const Node& node);

/// What an operation on the low `bits` bits alone sees of a value.
[[nodiscard]] inline ValueId low_part(const Function& fn, ValueId value, unsigned bits) {
    for (;;) {
        const Node& of = fn[value];
        if (of.kind == Kind::Zext && 8U * of.size >= bits) {
            value = of.args[0];
        } else if (of.kind == Kind::Sext && 8U * of.size >= bits) {
            value = of.args[0];
        } else if (of.kind == Kind::And && fn.is_const(of.args[1]) &&
                   (~fn.value_of(of.args[1]) & low_mask(bits)) == 0 &&
                   (of.width == Width::W64 || bits <= 32)) {
            value = of.args[0];
        } else {
            return value;
        }
    }
}

} // namespace ebpfvm::jit::opt
