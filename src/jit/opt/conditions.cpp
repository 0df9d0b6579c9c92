#include "jit/opt/conditions.hpp"

#include "support/bits.hpp"

#include <algorithm>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

// Addresses: a constant, perhaps with something added that does not make it wrap.
bool is_not_null(const Function& fn, const Node& node) {
    if (node.kind != Kind::Add || node.width != Width::W64 || !fn.is_const(node.args[1])) {
        return node.kind == Kind::Frame;
    }
    const unsigned bits = fn[node.args[0]].bits;
    const std::uint64_t begin = fn.value_of(node.args[1]);
    return bits < 64 && begin != 0 && begin <= ~low_mask(bits);
}

} // namespace

bool holds(Cond cond, Width width, std::uint64_t a, std::uint64_t b) {
    if (width == Width::W32) {
        a = std::uint32_t(a);
        b = std::uint32_t(b);
    }
    const std::int64_t sa = width == Width::W32 ? std::int32_t(a) : std::int64_t(a);
    const std::int64_t sb = width == Width::W32 ? std::int32_t(b) : std::int64_t(b);
    switch (cond) {
    case Cond::Eq:
        return a == b;
    case Cond::Ne:
        return a != b;
    case Cond::Ult:
        return a < b;
    case Cond::Ule:
        return a <= b;
    case Cond::Ugt:
        return a > b;
    case Cond::Uge:
        return a >= b;
    case Cond::Slt:
        return sa < sb;
    case Cond::Sle:
        return sa <= sb;
    case Cond::Sgt:
        return sa > sb;
    case Cond::Sge:
        return sa >= sb;
    case Cond::Set:
        return (a & b) != 0;
    case Cond::NotSet:
        return (a & b) == 0;
    }
    std::unreachable();
}

std::optional<bool> verdict(const Function& fn, const Node& at) {
    if (fn.is_const(at.args[0]) && fn.is_const(at.args[1])) {
        return holds(at.cond, at.width, fn.value_of(at.args[0]), fn.value_of(at.args[1]));
    }
    if (at.args[0] == at.args[1] && at.cond != Cond::Set && at.cond != Cond::NotSet) {
        return holds(at.cond, at.width, 0, 0);
    }
    if (!fn.is_const(at.args[1])) {
        return std::nullopt;
    }
    const std::uint64_t c = fn.value_of(at.args[1]);
    const std::uint64_t max = low_mask(std::min<unsigned>(fn[at.args[0]].bits, bits_in(at.width)));
    switch (at.cond) {
    case Cond::Eq:
    case Cond::Ne:
        if (c == 0 && at.width == Width::W64 && is_not_null(fn, fn[at.args[0]])) {
            return at.cond == Cond::Ne;
        }
        return c > max ? std::optional(at.cond == Cond::Ne) : std::nullopt;
    case Cond::Ult:
    case Cond::Uge:
        return c > max  ? std::optional(at.cond == Cond::Ult)
               : c == 0 ? std::optional(at.cond == Cond::Uge)
                        : std::nullopt;
    case Cond::Ule:
    case Cond::Ugt:
        return c >= max ? std::optional(at.cond == Cond::Ule) : std::nullopt;
    case Cond::Set:
    case Cond::NotSet:
        return (c & max) == 0 ? std::optional(at.cond == Cond::NotSet) : std::nullopt;
    default:
        return std::nullopt;
    }
}

void set_outcome(Function& fn, ValueId branch, bool is_taken) {
    const ValueId zero = fn.constant(0);
    fn[branch].cond = is_taken ? Cond::Eq : Cond::Ne;
    fn[branch].args = {zero, zero, 0, 0};
}

} // namespace ebpfvm::jit::opt
