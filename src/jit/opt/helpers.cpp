#include "jit/opt/helpers.hpp"

#include "jit/abi.hpp"

namespace ebpfvm::jit::opt {
namespace {

// csum_diff() of csum_helpers.cpp. Words are added up in 64 bits, and what is above 32 is added
// below in the end: of two numbers that are equal modulo 2^32 - 1 both ways give the same, and 0
// only if all words are 0.
class CsumDiff {
  public:
    explicit CsumDiff(Writer& to) : to_(to) {}

    // `seed`, the words at `data` added; each half of 8 bytes is one.
    ValueId sum(ValueId data, std::uint32_t size, ValueId seed) {
        ValueId sum = seed;
        std::uint32_t off = 0;
        for (; size - off >= 8; off += 8) {
            const ValueId words = to_.load_at(data, off, 8);
            sum = add(sum, low(words));
            sum = add(sum, to_.emit(Kind::Shr, Width::W64, words, to_.constant(32)));
        }
        return off == size ? sum : add(sum, to_.load_at(data, off, 4));
    }
    // To 32 bits.
    ValueId fold(ValueId wide) {
        const ValueId once = add(low(wide), high(wide)); // at most 33 bits
        return low(add(once, high(once)));
    }
    // To 16 bits.
    ValueId fold_half(ValueId sum) {
        const ValueId swapped = to_.emit(Kind::Rotl, Width::W32, sum, to_.constant(16));
        return to_.emit(Kind::Shr, Width::W32, to_.emit(Kind::Add, Width::W32, sum, swapped),
                        to_.constant(16));
    }
    ValueId complement(ValueId sum) {
        return to_.emit(Kind::Xor, Width::W32, sum, to_.constant(0xffff'ffff));
    }
    ValueId add(ValueId a, ValueId b) { return to_.emit(Kind::Add, Width::W64, a, b); }
    ValueId low(ValueId value) { return to_.emit(Kind::Zext, Width::W64, value, 0, 4); }
    ValueId high(ValueId value) { return to_.emit(Kind::Shr, Width::W64, value, to_.constant(32)); }

  private:
    Writer& to_;
};

std::optional<ValueId> csum_diff(Writer& to, std::span<const ValueId> args) {
    constexpr std::uint32_t kMaxBytes = 40; // both together; an IPv6 header
    const auto is_known = [&](ValueId size) { return to.fn().is_const(size); };
    if (!is_known(args[1]) || !is_known(args[3])) {
        return std::nullopt;
    }
    const auto from = std::uint32_t(to.fn().value_of(args[1]));
    const auto into = std::uint32_t(to.fn().value_of(args[3]));
    if (from % 4 != 0 || into % 4 != 0 || from > kMaxBytes || into > kMaxBytes - from) {
        return std::nullopt;
    }
    CsumDiff csum(to);
    ValueId sum = csum.low(args[4]);
    if (into != 0) {
        sum = csum.sum(args[2], into, sum);
        if (from != 0) {
            const ValueId old = csum.fold(csum.sum(args[0], from, to.constant(0)));
            sum = csum.add(sum, csum.complement(old));
        }
        sum = csum.fold(sum);
    } else if (from != 0) {
        sum = csum.complement(csum.fold(csum.sum(args[0], from, csum.complement(sum))));
    }
    return csum.fold_half(sum);
}

} // namespace

std::optional<ValueId> write_helper(Writer& to, const exec::Builtins& builtins, HelperFn fn,
                                    std::span<const ValueId> args) {
    if (fn != nullptr && fn == builtins.get_smp_processor_id) {
        return to.state_field(offsets::kCpu, 4);
    }
    if (fn != nullptr && fn == builtins.csum_diff) {
        return csum_diff(to, args);
    }
    return std::nullopt;
}

} // namespace ebpfvm::jit::opt
