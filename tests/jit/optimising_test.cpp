// What passes of the optimising tier make of programs, and that it is the same to them.
#include "ebpfvm/ebpfvm.hpp"
#include "interp/interp.hpp"
#include "jit/jit.hpp"
#include "support/engines.hpp"
#include "support/resolved.hpp"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <regex>
#include <span>

namespace ebpfvm::test {
namespace {

using Buffer = std::array<std::uint64_t, 8>;

struct Result {
    std::uint64_t r0 = 0;
    Buffer buffer{};

    bool operator==(const Result&) const = default;
};

// Programs get 64 bytes of memory in r1, and run without a verifier's verdict.
class Optimised {
  public:
    explicit Optimised(const std::string& assembly, const exec::Builtins& builtins = {}) {
        const auto insns = assemble(assembly);
        EXPECT_TRUE(insns) << (insns ? "" : to_string(insns.error()));
        const Object object = Object::from_insns("test", ProgType::Unspec, insns.value());
        EXPECT_TRUE(helpers_.add_function(1000, "invert", [](std::span<std::byte> bytes) {
            std::ranges::transform(bytes, bytes.begin(), [](std::byte byte) { return ~byte; });
        }));
        code_ = resolved(object.programs().front(), helpers_, builtins).value();
        code_->is_verified = true;
        code_->clears_stack = false;
    }

    std::string ir(const jit::OptOptions& options = {}) const {
        std::string text;
        for (const jit::SlotCode& line : jit::list_ir(*code_, options)) {
            text += line.text + '\n';
        }
        return text;
    }
    std::string machine_code() const {
        std::string text;
        const auto lines = jit::list_optimised(*code_).value();
        for (const jit::SlotCode& line : lines) {
            text += line.text;
        }
        return text;
    }
    Result interpreted(const Buffer& input) const { return run_on(input, interp::run); }
    Result optimised(const Buffer& input, const jit::OptOptions& options = {}) {
        EXPECT_TRUE(jit::compile_optimised(*code_, memory_, options).value());
        return run_on(input, jit::run);
    }

    // The same as the interpreter, with each pass left out in turn, and with all.
    void expect_same(const Buffer& input) {
        const Result expected = interpreted(input);
        EXPECT_EQ(optimised(input), expected) << ir();
        for (const jit::OptOptions& options : pass_omissions()) {
            EXPECT_EQ(optimised(input, options), expected)
                << fmt::format("without {}\n", fmt::join(omitted_passes(options), ", "))
                << ir(options);
        }
    }

  private:
    template <class Run>
    Result run_on(const Buffer& input, Run engine) const {
        static Buffer buffer; // at one place, for those who look at addresses
        buffer = input;
        const RunResult result = engine(*code_, exec::RunInput{.ctx = buffer.data(),
                                                               .size = sizeof buffer,
                                                               .insn_budget = 100'000,
                                                               .environment = &environment_});
        EXPECT_FALSE(result.fault);
        return {result.r0, buffer};
    }

    HelperTable helpers_ = HelperTable::defaults();
    Environment environment_;
    std::shared_ptr<jit::CodeMemory> memory_ = jit::make_code_memory().value();
    std::shared_ptr<exec::Code> code_;
};

std::size_t count(const std::string& text, std::string_view part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++found;
    }
    return found;
}

Buffer random_buffer(std::mt19937_64& rng) {
    Buffer buffer;
    for (std::uint64_t& word : buffer) {
        word = rng();
    }
    return buffer;
}

// A tree of compares, signed or not, of 32 or 64 bits, in random order of the cases.
std::string compare_tree(std::mt19937_64& rng) {
    const bool is_32 = rng() % 2 == 0;
    const bool is_signed = rng() % 2 == 0;
    const char reg = is_32 ? 'w' : 'r';
    const int lowest = int(rng() % 40) - 20;
    std::string text = "r2 = *(s32 *)(r1 +0)\nr0 = 7\n";
    if (is_32) {
        text += "w2 = w2\n";
    }
    text += fmt::format("if {}2 {}> {} goto upper\n", reg, is_signed ? "s" : "", lowest + 5);
    const auto cases = [&](int from) {
        for (int i = 0; i < 6; ++i) {
            if (rng() % 5 != 0) {
                text += fmt::format("if {}2 == {} goto case{}\n", reg, from + i, rng() % 7);
            }
        }
        text += "goto none\n";
    };
    cases(lowest);
    text += "upper:\n";
    cases(lowest + 6);
    for (int i = 0; i < 7; ++i) {
        text += fmt::format("case{}: r0 {}= {}\n{}", i, i % 2 == 0 ? "+" : "*", 3 * i + 1,
                            rng() % 2 == 0 ? "goto none\n" : "");
    }
    return text + "none: r0 += 1\nexit";
}

TEST(Optimising, TablesOfSwitchesGoWhereTheComparesWent) {
    std::mt19937_64 rng(1);
    unsigned tables = 0;
    for (int round = 0; round < 60; ++round) {
        Optimised program(compare_tree(rng));
        tables += program.ir().contains("switch") ? 1 : 0;
        for (std::int64_t value = -45; value < 45; ++value) {
            const Buffer input{std::uint64_t(value)};
            ASSERT_EQ(program.optimised(input), program.interpreted(input)) << program.ir();
        }
        program.expect_same({0x8000'0000});
        program.expect_same({0x7fff'ffff});
    }
    EXPECT_GT(tables, 30U);
}

TEST(Optimising, BytesThatAreLoadedToBecomeANumberAreOneLoad) {
    Optimised little("r2 = *(u8 *)(r1 +3)\nr2 <<= 8\nr3 = *(u8 *)(r1 +2)\nr2 |= r3\n"
                     "r4 = *(u8 *)(r1 +5)\nr4 <<= 8\nr3 = *(u8 *)(r1 +4)\nr4 |= r3\n"
                     "r4 <<= 16\nr4 |= r2\nr0 = r4\nexit");
    EXPECT_EQ(count(little.ir(), "load"), 1U) << little.ir();
    EXPECT_TRUE(little.ir().contains("load.32")) << little.ir();
    little.expect_same({0x1122'3344'5566'7788});
    Optimised big("r2 = *(u8 *)(r1 +2)\nr2 <<= 8\nr3 = *(u8 *)(r1 +3)\nr2 |= r3\nr0 = r2\nexit");
    EXPECT_TRUE(big.ir().contains("load.16")) << big.ir();
    big.expect_same({0x1122'3344'5566'7788});
    // Something else is stored in between.
    Optimised changed("r2 = *(u8 *)(r1 +1)\nr2 <<= 8\n*(u8 *)(r1 +0) = 77\n"
                      "r3 = *(u8 *)(r1 +0)\nr2 |= r3\nr0 = r2\nexit");
    EXPECT_EQ(count(changed.ir(), "load.8"), 2U) << changed.ir();
    changed.expect_same({0x1122'3344'5566'7788});
}

TEST(Optimising, BytesOfANumberAreOneStore) {
    Optimised plain("r2 = *(u64 *)(r1 +8)\n*(u8 *)(r1 +1) = r2\nr2 >>= 8\n*(u8 *)(r1 +2) = r2\n"
                    "r2 >>= 8\n*(u8 *)(r1 +3) = r2\nr2 >>= 8\n*(u8 *)(r1 +4) = r2\nr0 = 0\nexit");
    EXPECT_EQ(count(plain.ir(), "store"), 1U) << plain.ir();
    plain.expect_same({0x1122'3344'5566'7788, 0x99aa'bbcc'ddee'ff00});
    Optimised copy("r2 = *(u8 *)(r1 +8)\nr3 = *(u8 *)(r1 +9)\n*(u8 *)(r1 +0) = r2\n"
                   "*(u8 *)(r1 +1) = r3\nr0 = 0\nexit");
    EXPECT_EQ(count(copy.ir(), "store.16"), 1U) << copy.ir();
    copy.expect_same({1, 0x99aa'bbcc'ddee'ff00});
    // The second byte is loaded from where the first was stored.
    Optimised overlap("r2 = *(u8 *)(r1 +8)\n*(u8 *)(r1 +9) = r2\nr3 = *(u8 *)(r1 +9)\n"
                      "*(u8 *)(r1 +10) = r3\nr0 = 0\nexit");
    overlap.expect_same({1, 0x99aa'bbcc'ddee'ff00});
}

TEST(Optimising, SpillsBecomeValues) {
    Optimised program("r6 = *(u64 *)(r1 +0)\n*(u64 *)(r10 -8) = r6\n*(u32 *)(r10 -16) = r6\n"
                      "if r6 > 5 goto big\n*(u64 *)(r10 -8) = 3\nbig: r0 = *(u64 *)(r10 -8)\n"
                      "r2 = *(u32 *)(r10 -16)\nr0 += r2\nexit");
    EXPECT_EQ(count(program.ir(), "store"), 0U) << program.ir();
    for (const std::uint64_t value : {std::uint64_t{2}, ~std::uint64_t{0}}) {
        program.expect_same({value});
    }
    // Slots that overlap stay where they are.
    Optimised overlap("r6 = *(u64 *)(r1 +0)\n*(u64 *)(r10 -8) = r6\n*(u8 *)(r10 -5) = 9\n"
                      "r0 = *(u64 *)(r10 -8)\nexit");
    EXPECT_EQ(count(overlap.ir(), "store"), 2U) << overlap.ir();
    overlap.expect_same({0x1122'3344'5566'7788});
    // So do those whose address is computed.
    Optimised computed("r6 = *(u64 *)(r1 +0)\nr6 &= 7\n*(u64 *)(r10 -8) = 1\nr2 = r10\nr2 += -8\n"
                       "r2 += r6\n*(u8 *)(r2 +0) = 200\nr0 = *(u64 *)(r10 -8)\nexit");
    for (std::uint64_t i = 0; i < 8; ++i) {
        computed.expect_same({i});
    }
}

TEST(Optimising, PiecesOnTheStackAreLoadedAsOneValue) {
    Optimised pieces("r2 = *(u32 *)(r1 +0)\n*(u32 *)(r10 -8) = r2\nr2 = *(u16 *)(r1 +8)\n"
                     "*(u16 *)(r10 -4) = r2\n*(u16 *)(r10 -2) = -3\nr0 = *(u64 *)(r10 -8)\n"
                     "r2 = *(s32 *)(r10 -4)\n*(u64 *)(r1 +16) = r2\nexit");
    EXPECT_EQ(count(pieces.ir(), "store"), 1U) << pieces.ir();
    pieces.expect_same({0x1122'3344'5566'7788, 0x99aa'bbcc'ddee'ff00});
    // A constant is cut where something else is stored into the middle of it: 2, 2, 1, 2 and 1
    // bytes.
    Optimised cut("r2 = *(u64 *)(r1 +0)\nr3 = 0x1122334455667788 ll\n*(u64 *)(r10 -8) = r3\n"
                  "if r2 > 5 goto over\n*(u8 *)(r10 -4) = r2\nover: *(u16 *)(r10 -8) = r2\n"
                  "r0 = *(u64 *)(r10 -8)\nr2 = *(u16 *)(r10 -6)\nr0 += r2\nexit");
    EXPECT_EQ(count(cut.ir(), "store"), 0U) << cut.ir();
    for (const std::uint64_t value : {std::uint64_t{2}, ~std::uint64_t{0}}) {
        cut.expect_same({value});
    }
}

// csum_diff(0, 0, r10 - 8, 8, 0): the sum is in r0.
const char* const kSum = "r1 = 0\nr2 = 0\nr3 = r10\nr3 += -8\nr4 = 8\nr5 = 0\ncall 28\n";

TEST(Optimising, WhatAHelperReadsIsStoredBeforeItsCall) {
    Optimised program(fmt::format("r6 = r1\nr2 = *(u32 *)(r1 +0)\n*(u32 *)(r10 -8) = r2\n"
                                  "r2 = *(u32 *)(r1 +8)\n*(u32 *)(r10 -4) = r2\n{}r7 = r0\n"
                                  "*(u32 *)(r10 -4) = 0x12345\n{}r7 += r0\n"
                                  "r0 = *(u64 *)(r10 -8)\nr0 += r7\nexit",
                                  kSum, kSum));
    program.expect_same({0x1122'3344'5566'7788, 0x99aa'bbcc'ddee'ff00});
    // A helper that changes it: memory.
    Optimised changes("*(u64 *)(r10 -8) = 5\nr1 = r10\nr1 += -8\nr2 = 8\ncall 1000\n"
                      "r0 = *(u64 *)(r10 -8)\nexit");
    EXPECT_EQ(count(changes.ir(), "load.64"), 1U) << changes.ir();
    changes.expect_same({});
    // On one way only, and again in a loop.
    Optimised loop(fmt::format("r6 = *(u64 *)(r1 +0)\nr7 = 0\n*(u64 *)(r10 -8) = r6\n"
                               "again: r2 = *(u64 *)(r10 -8)\nr2 += -1\n*(u64 *)(r10 -8) = r2\n"
                               "if r2 & 1 goto odd\n{}r7 += r0\nodd: r2 = *(u64 *)(r10 -8)\n"
                               "if r2 != 0 goto again\nr0 = r7\nexit",
                               kSum));
    loop.expect_same({9});
}

TEST(Optimising, WhatRarelyChangesInALoopStaysOnTheStackIfThereIsMuchOfIt) {
    for (const int slots : {3, 6}) {
        std::string text = "r0 = 0\nr2 = 0\n";
        for (int i = 1; i <= slots; ++i) {
            text += fmt::format("*(u64 *)(r10 -{}) = {}\n", 8 * i, i);
        }
        text += "again: r3 = r2\nr3 &= 63\nr4 = r1\nr4 += r3\nr5 = *(u8 *)(r4 +0)\nr5 &= 7\n";
        for (int i = 1; i <= slots; ++i) {
            text += fmt::format("if r5 != {} goto +3\nr6 = *(u64 *)(r10 -{})\nr6 += r5\n"
                                "*(u64 *)(r10 -{}) = r6\n",
                                i, 8 * i, 8 * i);
        }
        text += "r2 += 1\nif r2 != 101 goto again\n";
        for (int i = 1; i <= slots; ++i) {
            text += fmt::format("r6 = *(u64 *)(r10 -{})\nr0 *= 7\nr0 += r6\n", 8 * i);
        }
        Optimised program(text + "exit");
        EXPECT_EQ(program.ir().contains("store"), slots == 6) << program.ir();
        std::mt19937_64 rng(9);
        program.expect_same(random_buffer(rng));
    }
}

// Blocks that change slots of the stack, and jump to one another until r9 is 0.
std::string slots_in_a_maze(std::mt19937_64& rng) {
    constexpr int kBlocks = 12;
    constexpr int kSlots = 3;
    const auto slot = [&] { return 8 * (1 + int(rng() % kSlots)); };
    std::string text = "r9 = 40\nr0 = 0\nr2 = *(u64 *)(r1 +0)\n";
    for (int i = 1; i <= kSlots; ++i) {
        text += fmt::format("*(u64 *)(r10 -{}) = {}\n", 8 * i, i);
    }
    for (int block = 0; block < kBlocks; ++block) {
        text += fmt::format("block{}: r9 += -1\nif r9 == 0 goto out\n", block);
        if (rng() % 2 == 0) {
            text += fmt::format("r3 = *(u64 *)(r10 -{})\nr0 += r3\nr0 *= 3\n", slot());
        }
        if (rng() % 3 == 0) {
            text += fmt::format("r3 = r0\nr3 ^= {}\n*(u64 *)(r10 -{}) = r3\n", block, slot());
        }
        if (rng() % 4 == 0) {
            text += fmt::format("*(u64 *)(r10 -{}) = {}\n", slot(), block);
        }
        text += fmt::format("r2 *= 5\nr2 += {}\nr4 = r2\nr4 >>= 7\nif r4 & 1 goto block{}\n", block,
                            rng() % kBlocks);
    }
    return text + "out: r2 = *(u64 *)(r10 -8)\nr0 += r2\nexit";
}

TEST(Optimising, SlotsKeepTheirValuesOnAnyWay) {
    std::mt19937_64 rng(23);
    for (int i = 0; i < 300; ++i) {
        const std::string text = slots_in_a_maze(rng);
        Optimised program(text);
        EXPECT_EQ(count(program.ir(), "store"), 0U) << program.ir();
        for (int run = 0; run < 4; ++run) {
            const Buffer input = random_buffer(rng);
            ASSERT_EQ(program.optimised(input), program.interpreted(input)) << text;
        }
    }
}

TEST(Optimising, ConstantsOfAddressesArePartOfTheAccess) {
    Optimised program("r0 = 0\nr2 = 0\nr3 = r1\nr3 += 5\nagain: r4 = r3\nr4 += r2\n"
                      "r5 = *(u8 *)(r4 +0)\nr0 += r5\nr2 += 1\nif r2 < 9 goto again\nexit");
    const jit::OptOptions options{.disabled = 1U << unsigned(jit::Pass::Unroll)};
    EXPECT_TRUE(program.ir(options).contains(" * 1 +5]")) << program.ir(options);
    std::mt19937_64 rng(10);
    program.expect_same(random_buffer(rng));
    // The sum with the constant is needed itself.
    Optimised both("r0 = 0\nr2 = 0\nr3 = r1\nr3 += 5\nagain: r4 = r3\nr4 += r2\n"
                   "r5 = *(u8 *)(r4 +0)\nr0 += r5\nr2 += 1\nif r2 < 9 goto again\nr3 -= r1\n"
                   "r0 *= r3\nexit");
    both.expect_same(random_buffer(rng));
}

TEST(Optimising, SumsOfAFewWordsNeedNoCall) {
    std::mt19937_64 rng(3);
    constexpr std::array kSizes{0, 4, 8, 12, 20, 24, 36, 40, 41, 44};
    for (const int from : kSizes) {
        for (const int to : kSizes) {
            Optimised program(
                fmt::format("r6 = r1\nr5 = *(u64 *)(r6 +0)\nr1 = r6\nr1 += 8\nr2 = {}\n"
                            "r3 = r6\nr3 += 20\nr4 = {}\ncall 28\nexit",
                            from, to),
                exec::Builtins::all());
            const bool is_short = from % 4 == 0 && to % 4 == 0 && from + to <= 40;
            EXPECT_EQ(program.ir().contains("call"), !is_short) << program.ir();
            program.expect_same({});
            Buffer ones;
            ones.fill(~std::uint64_t{0});
            program.expect_same(ones);
            for (const std::uint64_t seed : {0, 1, 2}) { // with some the last carry makes another
                ones[0] = seed;
                program.expect_same(ones);
            }
            program.expect_same(random_buffer(rng));
        }
    }
}

TEST(Optimising, DivisionsByConstantsMultiply) {
    std::mt19937_64 rng(3);
    constexpr std::uint64_t kCorners[] = {0,
                                          1,
                                          2,
                                          3,
                                          6,
                                          7,
                                          9,
                                          10,
                                          641,
                                          0x7fff'ffff,
                                          0x8000'0001,
                                          0xffff'ffff,
                                          0x1'0000'0001,
                                          ~std::uint64_t{0}};
    for (int round = 0; round < 200; ++round) {
        const std::uint64_t divisor =
            round < int(std::size(kCorners)) ? kCorners[round] : rng() >> rng() % 64;
        Optimised program(
            fmt::format("r3 = {:#x} ll\nr4 = *(u64 *)(r1 +0)\nr0 = r4\nr0 /= r3\n"
                        "r5 = r4\nr5 %= r3\n*(u64 *)(r1 +8) = r5\nr5 = r4\nw5 /= w3\n"
                        "*(u64 *)(r1 +16) = r5\nw4 %= w3\n*(u64 *)(r1 +24) = r4\nexit",
                        divisor));
        EXPECT_EQ(count(program.ir(), "udiv") + count(program.ir(), "umod"), 0U) << program.ir();
        for (int i = 0; i < 20; ++i) {
            std::uint64_t value = rng() >> rng() % 64;
            if (i % 4 == 1 && divisor != 0) {
                value = value / divisor * divisor - (i % 8 == 1 ? 1 : 0);
            }
            ASSERT_EQ(program.optimised({value}), program.interpreted({value})) << program.ir();
        }
    }
}

TEST(Optimising, ShiftsThatMakeARotationAreOne) {
    std::mt19937_64 rng(4);
    for (const char reg : {'r', 'w'}) {
        const unsigned width = reg == 'r' ? 64 : 32;
        for (unsigned by = 1; by < width; by += 5) {
            Optimised program(fmt::format("r2 = *(u64 *)(r1 +0)\nr3 = r2\n{0}2 <<= {1}\n"
                                          "{0}3 >>= {2}\n{0}2 |= {0}3\nr0 = r2\nexit",
                                          reg, by, width - by));
            EXPECT_TRUE(program.ir().contains("rotl")) << program.ir();
            program.expect_same(random_buffer(rng));
        }
    }
}

// Is the value that the loop's phi has in the next turn made of the phi itself, by `op`?
bool takes_phi_last(const std::string& ir, std::string_view op) {
    const std::regex phi(R"((v\d+) = phi b\d+:0 b\d+:(v\d+))");
    for (std::sregex_iterator at(ir.begin(), ir.end(), phi); at != std::sregex_iterator(); ++at) {
        const std::string made = fmt::format("{} = {} ", (*at)[2].str(), op);
        const std::string args = ir.substr(ir.find(made) + made.size());
        const std::string line = args.substr(0, args.find('\n')) + ' ';
        if (ir.contains(made) && line.contains((*at)[1].str() + ' ') && !line.contains(" 1 ")) {
            return true;
        }
    }
    return false;
}

constexpr jit::OptOptions kAsItIs{.disabled = 1U << unsigned(jit::Pass::Unroll)};

TEST(Optimising, SumsTakeInLastWhatIsThereLast) {
    for (const char* op : {"+", "^", "|"}) {
        Optimised program(fmt::format("r0 = 0\nr3 = 0\nr4 = r1\nagain: r2 = *(u64 *)(r4 +0)\n"
                                      "r5 = *(u64 *)(r4 +8)\nr0 {0}= r2\nr0 {0}= r5\nr0 {0}= r3\n"
                                      "r4 += 8\nr3 += 1\nif r3 != 7 goto again\nexit",
                                      op));
        const std::string name = *op == '+' ? "add" : *op == '^' ? "xor" : "or";
        EXPECT_TRUE(takes_phi_last(program.ir(kAsItIs), name)) << program.ir(kAsItIs);
        program.expect_same({1, 5, 77, 0x8000'0000'0000'0000, ~std::uint64_t{0}, 3, 1, 9});
    }
    Optimised twice("r0 = 0\nr3 = 0\nagain: r2 = *(u64 *)(r1 +0)\nw0 ^= w2\nw0 ^= w3\nw0 ^= w2\n"
                    "r3 += 1\nif r3 != 7 goto again\nexit");
    EXPECT_EQ(count(twice.ir(kAsItIs), "xor"), 1U) << twice.ir(kAsItIs);
    twice.expect_same({0x1122'3344'5566'7788});
}

TEST(Optimising, WhatIsLateIsMultipliedOnce) {
    for (const char reg : {'r', 'w'}) {
        Optimised program(fmt::format("r0 = 7\nr2 = r1\nr3 = r1\nr3 += 16\nr4 = 0\n"
                                      "again: r5 = *(u32 *)(r2 +0)\n{0}0 *= 3\n{0}0 += {0}5\n"
                                      "r2 += 4\nr4 += 1\nif r4 != 8 goto again\nexit",
                                      reg));
        EXPECT_TRUE(program.ir().contains(" 6561\n") || program.ir().contains(" 81\n"))
            << program.ir();
        program.expect_same({0x1122'3344'5566'7788, ~std::uint64_t{0}, 3, 0x8000'0000'8000'0000});
    }
}

// A turn ends at two places, without a jump from one to the other.
TEST(Optimising, EachEndOfATurnHasItsBranch) {
    Optimised program("r0 = 0\nr2 = 0\nagain: r3 = r2\nr3 &= 31\nr4 = r1\nr4 += r3\n"
                      "r5 = *(u8 *)(r4 +0)\nr2 += 1\nif r5 > 77 goto big\nr0 += r5\n"
                      "next: if r2 != 35 goto again\nexit\nbig: r0 *= 3\ngoto next");
    EXPECT_EQ(count(program.machine_code(), ", 0x23"), 2U) << program.machine_code();
    std::mt19937_64 rng(8);
    program.expect_same(random_buffer(rng));
}

// How often a loop turns that begins with this counter; none if that is not soon over.
std::optional<unsigned> turns_of(std::uint64_t counter, int step, std::string_view stays,
                                 std::int64_t limit, bool is_32) {
    for (unsigned turns = 1; turns < 100; ++turns) {
        counter += std::uint64_t(std::int64_t(step));
        const auto value = is_32 ? std::int32_t(counter) : std::int64_t(counter);
        const std::uint64_t mask = is_32 ? 0xffff'ffff : ~std::uint64_t{0};
        const bool stays_now = stays == "!="   ? value != limit
                               : stays == "<"  ? (counter & mask) < (std::uint64_t(limit) & mask)
                               : stays == "s<" ? value < limit
                                               : value > limit;
        if (!stays_now) {
            return turns;
        }
    }
    return std::nullopt;
}

TEST(Optimising, LoopsThatDoSeveralTurnsInOneTurnAsOften) {
    std::mt19937_64 rng(7);
    unsigned unrolled = 0;
    for (int round = 0; round < 1500; ++round) {
        const bool is_32 = rng() % 2 == 0;
        constexpr const char* kStays[] = {"!=", "<", "s<", "s>"};
        const std::string stays = kStays[rng() % 4];
        constexpr std::uint64_t kNear[] = {
            0, 0, 0x7fff'fff0, 0xffff'fff0, 0x7fff'ffff'ffff'fff0, ~std::uint64_t{20}};
        const std::uint64_t begin = kNear[rng() % std::size(kNear)] + rng() % 30;
        const int step = int(rng() % 12) - 4;
        const int limit = int(rng() % 90) - 12;
        const auto turns = turns_of(begin, step, stays, limit, is_32);
        if (!turns) {
            continue;
        }
        const char reg = is_32 ? 'w' : 'r';
        Optimised program(fmt::format(
            "r6 = {:#x} ll\nr0 = 0\nr2 = *(u64 *)(r1 +0)\nr3 = 3\nagain: r0 *= 31\nr0 += r6\n"
            "r4 = r2\nr2 = r3\nr3 = r4\nr3 += r0\n{}{}6 += {}\nif {}6 {} {} goto again\n"
            "r0 ^= r3\nr0 -= r2\nr0 ^= r6\n*(u64 *)(r1 +8) = r4\nexit",
            begin, rng() % 2 == 0 ? "r5 = *(u64 *)(r1 +16)\nr0 ^= r5\n" : "", reg, step, reg, stays,
            limit));
        const Buffer input{1, 2, rng()};
        ASSERT_EQ(program.optimised(input), program.interpreted(input)) << *turns << " turns\n"
                                                                        << program.ir();
        const jit::OptOptions without{.disabled = 1U << unsigned(jit::Pass::Unroll)};
        unrolled += program.ir() != program.ir(without) ? 1 : 0;
    }
    EXPECT_GT(unrolled, 100U);
}

// Sums of any shape, of 32 and 64 bits, in loops.
TEST(Optimising, LoopsOfSums) {
    std::mt19937_64 rng(6);
    constexpr const char* kOps[] = {"+=", "^=", "|=", "&=", "*=", "-=", ">>="};
    for (int round = 0; round < 300; ++round) {
        std::string text = "r6 = 0\nr3 = r1\n";
        for (const int reg : {0, 4, 5, 7, 8}) {
            text += fmt::format("r{} = {}\n", reg, rng() % 1000);
        }
        text += "again:\n";
        const char* op = kOps[rng() % 3];
        for (unsigned i = 0; i < 4 + rng() % 24; ++i) {
            constexpr int kRegs[] = {0, 4, 5, 7, 8};
            const auto any = [&] { return kRegs[rng() % std::size(kRegs)]; };
            if (rng() % 3 == 0) {
                op = kOps[rng() % std::size(kOps)];
            }
            if (rng() % 6 == 0) {
                text += fmt::format("r{} = *(u32 *)(r3 +{})\n", any(), 4 * (rng() % 8));
            } else if (rng() % 9 == 0) {
                text += fmt::format("*(u32 *)(r1 +{}) = r{}\n", 4 * (rng() % 16), any());
            } else {
                const char width = rng() % 3 == 0 ? 'w' : 'r';
                const std::string right = rng() % 4 == 0   ? fmt::format("{}", rng() % 60)
                                          : rng() % 8 == 0 ? fmt::format("{}6", width)
                                                           : fmt::format("{}{}", width, any());
                text += fmt::format("{}{} {} {}\n", width, any(), op, right);
            }
        }
        const unsigned turns = 1 + unsigned(rng() % 8);
        text += fmt::format("r3 += {}\nr6 += 2\nif r6 {} {} goto again\n", rng() % 5,
                            rng() % 2 == 0 ? "!=" : "<", 2 * turns);
        text += "r0 ^= r4\nr0 += r5\nr0 ^= r7\nr0 *= 3\nr0 += r8\nr0 += r6\nexit";
        Optimised program(text);
        program.expect_same(random_buffer(rng));
    }
}

TEST(Optimising, ChoicesOfValuesNeedNoBranch) {
    for (const char* op : {"==", "!=", "<", "s>=", "&"}) {
        Optimised program(fmt::format("r2 = *(u64 *)(r1 +0)\nr3 = *(u64 *)(r1 +8)\nr0 = r2\n"
                                      "if r2 {} r3 goto done\nr0 = r3\ndone: exit",
                                      op));
        EXPECT_EQ(count(program.ir(), "branch"), 0U) << program.ir();
        program.expect_same({1, 2});
        program.expect_same({5, ~std::uint64_t{0}});
        program.expect_same({9, 9});
    }
}

TEST(Optimising, WhatWasTestedIsNotTestedAgain) {
    Optimised program("r2 = *(u64 *)(r1 +0)\nr0 = 0\nif r2 > 9 goto first\nr0 = 1\n"
                      "first: if r2 > 9 goto second\nr0 += 2\nr0 *= r2\nsecond: exit");
    EXPECT_EQ(count(program.ir(), "branch") + count(program.ir(), "select"), 1U) << program.ir();
    program.expect_same({3});
    program.expect_same({10});
}

TEST(Optimising, AnythingMayBeAddedToAnAddress) {
    Optimised program("r2 = 0x123456789abcdef ll\nr2 += r10\nr3 = r10\nr2 -= r3\nr0 = r2\nexit");
    program.expect_same({});
}

// Forward over insns that are larger than emit() guesses: sooner or later too far for one byte.
TEST(Optimising, JumpsReachAsFarAsTheyMust) {
    std::string body;
    for (int i = 0; i < 40; ++i) {
        body += "r0 = be16 r0\nr0 <<= r2\n";
        Optimised program("r2 = *(u64 *)(r1 +0)\nr0 = *(u64 *)(r1 +8)\nif r2 == 0 goto end\n" +
                          body + "end: r0 += r2\nexit");
        program.expect_same({0, 5});
        program.expect_same({1, 5});
    }
}

// Each end of a nested `if` is the end of the one around it, however many there are.
TEST(Optimising, JumpsToJumpsLeadToTheLast) {
    constexpr unsigned kJumps = 300;
    std::string text = "r0 = 0\nr2 = *(u64 *)(r1 +0)\n";
    for (unsigned i = 0; i < kJumps; ++i) {
        text += fmt::format("if r2 == {} goto end{}\n", i * i, i);
    }
    text += "r0 = 9\nexit\n";
    for (unsigned i = 0; i < kJumps; ++i) {
        text += fmt::format("end{}: goto end{}\n", i, i + 1);
    }
    Optimised program(text + fmt::format("end{}: r0 = 2\nexit", kJumps));
    for (const std::uint64_t i : {0U, 1U, 150U, kJumps - 1, kJumps}) {
        program.expect_same({i * i});
    }
}

// A quotient, made late, in the register that a value leaves before the call behind it.
TEST(Optimising, ValuesMoveOutOfTheWayInTime) {
    Optimised program(
        "*(u64 *)(r10 -72) = r1\nr7 = 0x6bf57fc8 ll\nr9 = 0xffffffff80000000 ll\nr0 = 0\n"
        "r3 = 0\nr4 = 0\nr6 = 0\n*(u64 *)(r10 -80) = 0\n*(u64 *)(r10 -16) = 0\n"
        "r8 = *(u64 *)(r10 -72)\nr5 = *(s16 *)(r8 +8)\nif r7 >= r5 goto +1\nw9 = (s8)w6\n"
        "r8 *= r5\nr3 = *(u64 *)(r10 -72)\nagain: w7 /= 65536\nr7 &= 32\nw4 /= w0\n"
        "call function\nr1 = *(u64 *)(r10 -80)\nr1 += -1\n*(u64 *)(r10 -80) = r1\n"
        "r2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\nif r1 s> 0 goto again\nif w6 >= w9 goto +1\n"
        "lock *(u32 *)(r10 -16) |= w8\nr4 = *(u64 *)(r10 -72)\n"
        "w7 = xchg((u32 *)(r4 +32), w7)\nexit\n"
        "function: r0 = 0x3f ll\nw2 ^= w4\nr3 &= 2\nexit");
    const Buffer input{0, 0x0101'0101'0101'0101, 2, 3, 0x0404'0404'0404'0404};
    const Result expected = program.interpreted(input);
    for (std::uint32_t disabled = 0; disabled < 1U << jit::kPassCount; ++disabled) {
        ASSERT_EQ(program.optimised(input, {disabled}), expected) << program.ir({disabled});
    }
}

// More values than registers, across loops: what allocate() does about it.
TEST(Optimising, ManyValuesAtOnce) {
    std::mt19937_64 rng(5);
    for (int round = 0; round < 30; ++round) {
        std::string text;
        for (int i = 0; i < 40; ++i) { // on the stack, which becomes values
            text += fmt::format("r2 = *(u64 *)(r1 +{})\nr2 *= {}\n*(u64 *)(r10 -{}) = r2\n",
                                8 * (i % 8), i + 3, 8 * i + 8);
        }
        text += "r3 = 0\nr0 = 0\nagain:\n";
        for (int i = 0; i < 60; ++i) {
            const unsigned to = unsigned(8 * (rng() % 40) + 8);
            const unsigned from = unsigned(8 * (rng() % 40) + 8);
            constexpr const char* kOps[] = {"+=", "^=", "*=", "-=", "/=", "<<=", "%="};
            text += fmt::format("r4 = *(u64 *)(r10 -{})\nr5 = *(u64 *)(r10 -{})\nr4 {} r5\n"
                                "*(u64 *)(r10 -{}) = r4\nr0 += r4\n",
                                to, from, kOps[rng() % std::size(kOps)], to);
            if (rng() % 6 == 0) {
                text += fmt::format("if r4 s> r5 goto +1\nr0 ^= {}\n", i);
            }
        }
        text += "r3 += 1\nif r3 < 5 goto again\nexit";
        Optimised program(text);
        program.expect_same(random_buffer(rng));
    }
}

} // namespace
} // namespace ebpfvm::test
