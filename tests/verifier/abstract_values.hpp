// Sets of words with all their members at hand, to compare abstract with concrete operations.
#pragma once

#include "isa/semantics.hpp"
#include "verifier/domains/scalar.hpp"

#include <array>
#include <cstdint>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace ebpfvm::verifier {

struct Sample {
    Scalar set;
    std::vector<std::uint64_t> members; // some of them, in a window all
};

inline std::string text(const Scalar& s) {
    std::ostringstream out;
    out << std::hex << "{bits " << s.bits.value << "/" << s.bits.mask << " u64 " << s.u64.min
        << ".." << s.u64.max << " s64 " << s.s64.min << ".." << s.s64.max << " u32 " << s.u32.min
        << ".." << s.u32.max << " s32 " << s.s32.min << ".." << s.s32.max << "}";
    return out.str();
}
inline void PrintTo(const Scalar& s, std::ostream* out) {
    *out << text(s);
}

/// The words just around each point where some view wraps: 0, 2^31, 2^32, 2^63 and 2^64.
inline constexpr std::array<std::uint64_t, 5> kWindows = {0, (1ull << 31) - 8, (1ull << 32) - 8,
                                                          (1ull << 63) - 8, ~std::uint64_t{0} - 7};

enum class Density : std::uint8_t { All, Some };

/// Every interval and every tnum of the 16 words from `base`, or those whose numbers are at or next
/// to an end or the middle, where the wrap-around is.
inline std::vector<Sample> window(std::uint64_t base, Density density) {
    std::vector<unsigned> points = {0, 3, 7, 8, 9, 15};
    if (density == Density::All) {
        points.resize(16);
        std::iota(points.begin(), points.end(), 0u);
    }
    std::vector<Sample> samples;
    const auto keep = [&](const Scalar& set) {
        Sample sample{set, {}};
        for (std::uint64_t i = 0; i < 16; ++i) {
            if (set.contains(base + i)) {
                sample.members.push_back(base + i);
            }
        }
        for (const Sample& other : samples) {
            if (other.members == sample.members) {
                return;
            }
        }
        if (!sample.members.empty()) {
            samples.push_back(std::move(sample));
        }
    };
    for (const unsigned first : points) {
        for (const unsigned last : points) {
            if (first > last) {
                continue;
            }
            const std::uint64_t min = base + first;
            const std::uint64_t max = base + last;
            keep(min <= max ? Scalar::in(min, max)
                            : Scalar::in_signed(std::int64_t(min), std::int64_t(max)));
        }
    }
    for (const unsigned mask : points) {
        for (const unsigned value : points) {
            if ((value & mask) == 0) {
                Scalar set = Scalar::unknown();
                set.bits = {((base + 8) & ~std::uint64_t{15}) | value, mask};
                if (reduce(set)) {
                    keep(set);
                }
            }
        }
    }
    return samples;
}
inline std::vector<Sample> windows(Density density) {
    std::vector<Sample> all;
    for (const std::uint64_t base : kWindows) {
        for (Sample& sample : window(base, density)) {
            all.push_back(std::move(sample));
        }
    }
    return all;
}

class RandomSamples {
  public:
    explicit RandomSamples(std::uint64_t seed) : random_{seed} {}

    /// Words of all magnitudes, often next to a power of two.
    std::uint64_t word() {
        const std::uint64_t value = random_() >> (random_() % 64);
        switch (random_() % 8) {
        case 0:
            return (std::uint64_t{1} << (random_() % 64)) + random_() % 5 - 2;
        case 1:
            return ~value;
        case 2:
            return random_() % 80;
        case 3:
            return value << (random_() % 64);
        case 4: // halves of different sign
            return (value << 32) | std::uint32_t(-(random_() % 100));
        }
        return value;
    }

    /// A set around a few words, tightened or loosened part by part, reduced or not.
    Sample next() {
        Sample sample{Scalar::constant(word()), {}};
        sample.members.push_back(sample.set.value());
        const unsigned more = unsigned(random_() % 4);
        for (unsigned i = 0; i < more; ++i) {
            const std::uint64_t near = sample.members[0] + random_() % 300 - 150;
            sample.members.push_back(random_() % 2 == 0 ? near : word());
            sample.set = join(sample.set, Scalar::constant(sample.members.back()));
        }
        const Scalar unknown = Scalar::unknown();
        const std::uint64_t forget = random_();
        sample.set.bits = (forget & 3) == 0 ? unknown.bits : sample.set.bits;
        sample.set.u64 = (forget & 12) == 0 ? unknown.u64 : sample.set.u64;
        sample.set.s64 = (forget & 48) == 0 ? unknown.s64 : sample.set.s64;
        sample.set.u32 = (forget & 192) == 0 ? unknown.u32 : sample.set.u32;
        sample.set.s32 = (forget & 768) == 0 ? unknown.s32 : sample.set.s32;
        if (random_() % 8 != 0 && !reduce(sample.set)) {
            sample.members.clear(); // an unsound reduction: the test will say so
        }
        for (const std::uint64_t candidate :
             {sample.set.u64.min, sample.set.u64.max, std::uint64_t(sample.set.s64.min),
              std::uint64_t(sample.set.s64.max), sample.set.bits.value, sample.set.bits.max(),
              word()}) {
            if (sample.set.contains(candidate)) {
                sample.members.push_back(candidate);
            }
        }
        return sample;
    }

  private:
    std::mt19937_64 random_;
};

struct Alu {
    const char* name;
    isa::AluOp op;
    std::uint64_t (*word)(std::uint64_t, std::uint64_t);
    std::uint32_t (*half)(std::uint32_t, std::uint32_t);

    [[nodiscard]] std::uint64_t operator()(isa::Width width, std::uint64_t dst,
                                           std::uint64_t src) const {
        return width == isa::Width::W64 ? word(dst, src)
                                        : half(std::uint32_t(dst), std::uint32_t(src));
    }
};
inline constexpr Alu kAluOps[] = {
#define EBPFVM_ALU(name, ...)                                                                      \
    {#name, isa::AluOp::name,                                                                      \
     [](std::uint64_t dst, std::uint64_t src) { return isa::semantics::name{}(dst, src); },        \
     [](std::uint32_t dst, std::uint32_t src) { return isa::semantics::name{}(dst, src); }},
#include "ebpfvm/tables/insn.def"
};

struct Jmp {
    const char* name;
    isa::JmpOp op;
    bool (*word)(std::uint64_t, std::uint64_t);
    bool (*half)(std::uint32_t, std::uint32_t);

    [[nodiscard]] Outcome operator()(isa::Width width, std::uint64_t dst, std::uint64_t src) const {
        const bool taken = width == isa::Width::W64 ? word(dst, src)
                                                    : half(std::uint32_t(dst), std::uint32_t(src));
        return taken ? Outcome::Taken : Outcome::NotTaken;
    }
};
inline constexpr Jmp kJmpOps[] = {
#define EBPFVM_JMP(name, ...)                                                                      \
    {#name, isa::JmpOp::name,                                                                      \
     [](std::uint64_t dst, std::uint64_t src) { return isa::semantics::name{}(dst, src); },        \
     [](std::uint32_t dst, std::uint32_t src) { return isa::semantics::name{}(dst, src); }},
#include "ebpfvm/tables/insn.def"
};

inline constexpr isa::Width kWidths[] = {isa::Width::W32, isa::Width::W64};

} // namespace ebpfvm::verifier
