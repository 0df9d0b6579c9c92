// Programs of any size, each of one shape: what a compiler's time may grow with.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>

namespace ebpfvm::test {

/// Programs are text for assemble(), verified by nobody, and of about `insns` insns.
struct LargeProgram {
    const char* name;
    std::string (*text)(std::size_t insns);
};

namespace large {

inline const char* const kBegin = "r0 = 0\nr3 = r1\nr4 = r2\nr5 = 7\nr6 = r10\n";
inline const char* const kEnd = "r0 += r3\nr0 += r4\nr0 += r5\nexit\n";

/// `part(i)`, of `size` insns, until there are enough.
template <class F>
std::string repeat(std::size_t insns, std::size_t size, F part) {
    std::string text = kBegin;
    for (std::size_t i = 0; i < insns / size; ++i) {
        text += part(i);
    }
    return text + kEnd;
}

inline std::string arithmetic(std::size_t insns) {
    return repeat(insns, 5, [](std::size_t i) {
        return fmt::format("r3 += r4\nr4 ^= r3\nr5 *= {}\nr3 -= r5\nw4 <<= 3\n", i + 3);
    });
}

inline std::string diamonds(std::size_t insns) {
    return repeat(insns, 4, [](std::size_t i) {
        return fmt::format("if r3 > {} goto +2\nr4 *= r3\ngoto +1\nr5 ^= r4\n", i);
    });
}

inline std::string repeated_tests(std::size_t insns) {
    return repeat(insns, 4, [](std::size_t) {
        return "r0 = 0\nif r3 == 5 goto +1\nr0 = r4\nif r0 == 0 goto +0\n";
    });
}

inline std::string loops(std::size_t insns) {
    return repeat(insns, 5, [](std::size_t i) {
        return fmt::format("r2 = {}\nr4 += r2\nr5 ^= r4\nr2 += -1\nif r2 != 0 goto -4\n", i + 1);
    });
}

/// Up to 60 around each other.
inline std::string loops_in_loops(std::size_t insns) {
    std::string text = kBegin;
    for (std::size_t done = 0; done < insns; done += 240) {
        for (int i = 0; i < 60; ++i) {
            text += fmt::format("r4 += {}\n", i);
        }
        for (int i = 0; i < 60; ++i) {
            text += fmt::format("r5 ^= r4\nr3 += -{}\nif r3 != 0 goto -{}\n", i + 1, 4 * i + 4);
        }
    }
    return text + kEnd;
}

/// Each in the one before, thousands deep.
inline std::string nested_ifs(std::size_t insns) {
    constexpr std::size_t kDepth = 10'000; // jumps reach 32,767 insns
    std::string text = kBegin;
    for (std::size_t done = 0; done < insns; done += 2 * kDepth) {
        const std::size_t depth = std::min(kDepth, insns / 2);
        for (std::size_t i = 0; i < depth; ++i) {
            text += fmt::format("if r3 == {} goto +{}\n", i, 2 * (depth - i) - 2);
        }
        for (std::size_t i = 0; i < depth; ++i) {
            text += fmt::format("r4 += {}\n", i);
        }
    }
    return text + kEnd;
}

/// Thousands of ways to one place.
inline std::string ways_out(std::size_t insns) {
    constexpr std::size_t kMost = 30'000;
    std::string text = kBegin;
    for (std::size_t done = 0; done < insns; done += kMost) {
        const std::size_t size = std::min(kMost, insns) / 2;
        for (std::size_t i = 0; i < size; ++i) {
            text += fmt::format("r4 *= r5\nif r3 == {} goto +{}\n", i, 2 * (size - i) - 2);
        }
    }
    return text + kEnd;
}

/// Branches with an outcome that is known, from thousands of places to one.
inline std::string known_ways_out(std::size_t insns) {
    constexpr std::size_t kMost = 30'000;
    std::string text = kBegin;
    for (std::size_t done = 0; done < insns; done += kMost) {
        const std::size_t size = std::min(kMost, insns) / 2;
        for (std::size_t i = 0; i < size; ++i) {
            text += fmt::format("r2 = {}\nif r2 == 0 goto +{}\n", i + 1, 2 * (size - i) - 2);
        }
    }
    return text + kEnd;
}

inline std::string stack_slots(std::size_t insns) {
    return repeat(insns, 4, [](std::size_t i) {
        const std::size_t slot = 8 * (i % 64 + 1);
        return fmt::format("*(u64 *)(r10 -{}) = r3\nif r4 > {} goto +1\nr3 = *(u64 *)(r10 -{})\n"
                           "r3 += r4\n",
                           slot, i, 8 * ((i + 33) % 64 + 1));
    });
}

inline std::string bytes(std::size_t insns) {
    return repeat(insns, 7, [](std::size_t i) {
        return fmt::format("r0 = *(u8 *)(r1 +{})\nr2 = *(u8 *)(r1 +{})\nr2 <<= 8\nr2 |= r0\n"
                           "*(u8 *)(r6 -{}) = r2\nr2 >>= 8\n*(u8 *)(r6 -{}) = r2\n",
                           2 * (i % 1000), 2 * (i % 1000) + 1, 2 * (i % 200 + 2),
                           2 * (i % 200 + 2) - 1);
    });
}

inline std::string calls(std::size_t insns) {
    return repeat(insns, 4, [](std::size_t i) {
        return fmt::format("call 5\nr6 = r0\nr7 ^= r6\nr8 += {}\n", i);
    });
}

/// More values than registers, over calls and branches.
inline std::string spills(std::size_t insns) {
    std::string text = kBegin;
    for (int i = 0; i < 30; ++i) {
        text += fmt::format("r2 = *(u64 *)(r1 +{})\n*(u64 *)(r10 -{}) = r2\n", 8 * i, 8 * i + 8);
    }
    text += "r6 = 1\nr7 = 1\n";
    for (std::size_t i = 0; i < insns / 5; ++i) {
        text += fmt::format("r2 = *(u64 *)(r10 -{})\nr6 += r2\nif r6 > r7 goto +1\nr7 ^= r2\n"
                            "*(u64 *)(r10 -{}) = r7\n",
                            8 * (i % 30) + 8, 8 * ((i * 7) % 30) + 8);
    }
    return text + "r0 = r7\nexit\n";
}

/// Values that are all made before the first of them is used.
inline std::string long_lives(std::size_t insns) {
    constexpr std::size_t kSlots = 60;
    return repeat(insns, 3 * kSlots, [](std::size_t i) {
        std::string text;
        for (std::size_t slot = 0; slot < kSlots; ++slot) {
            text += fmt::format("r5 *= r4\n*(u64 *)(r10 -{}) = r5\n", 8 * slot + 8);
        }
        for (std::size_t slot = 0; slot < kSlots; ++slot) {
            text += fmt::format("*(u64 *)(r1 +{}) = r3\n", 8 * ((i + slot) % 1000));
        }
        return text;
    });
}

} // namespace large

inline constexpr std::array kLargePrograms = {
    LargeProgram{"Arithmetic", large::arithmetic},
    LargeProgram{"Diamonds", large::diamonds},
    LargeProgram{"RepeatedTests", large::repeated_tests},
    LargeProgram{"Loops", large::loops},
    LargeProgram{"LoopsInLoops", large::loops_in_loops},
    LargeProgram{"NestedIfs", large::nested_ifs},
    LargeProgram{"WaysOut", large::ways_out},
    LargeProgram{"KnownWaysOut", large::known_ways_out},
    LargeProgram{"StackSlots", large::stack_slots},
    LargeProgram{"Bytes", large::bytes},
    LargeProgram{"Calls", large::calls},
    LargeProgram{"Spills", large::spills},
    LargeProgram{"LongLives", large::long_lives},
};

} // namespace ebpfvm::test
