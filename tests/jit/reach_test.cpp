// Checked machine code remembers what its pointers reached: that must never let an access pass that
// the interpreter refuses. For longer: EBPFVM_ENGINES_PROGRAMS, from EBPFVM_ENGINES_SEED on.
#include "ebpfvm/ebpfvm.hpp"
#include "interp/interp.hpp"
#include "jit/jit.hpp"
#include "support/resolved.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <random>

namespace ebpfvm::test {
namespace {

Object object_of(const std::string& assembly, std::vector<MapSpec> maps = {},
                 ProgType type = ProgType::Unspec) {
    auto insns = assemble(assembly);
    EXPECT_TRUE(insns) << to_string(insns.error()) << '\n' << assembly;
    return Object::from_insns("test", type, *insns, std::move(maps));
}

MapSpec array(std::uint32_t value_size, std::uint32_t flags = 0) {
    return {.name = "array",
            .type = MapType::Array,
            .key_size = 4,
            .value_size = value_size,
            .max_entries = 3,
            .flags = flags};
}

MapSpec hash() {
    return {
        .name = "hash", .type = MapType::Hash, .key_size = 4, .value_size = 12, .max_entries = 8};
}

MapSpec prog_array() {
    return {.name = "jumps",
            .type = MapType::ProgArray,
            .key_size = 4,
            .value_size = 4,
            .max_entries = 1};
}

// What is the same in all runs, wherever memory lies.
std::string summary(const RunResult& result) {
    if (!result.fault) {
        return fmt::format("{} insns", result.insns_executed);
    }
    const Fault& fault = *result.fault;
    if (fault.kind == FaultKind::BudgetExhausted) {
        return "endless"; // machine code looks at the budget less often
    }
    return fmt::format("{} insns, {} of {} at {}", result.insns_executed, name_of(fault.kind),
                       name_of(fault.memory_class), fault.insn);
}

using Memory = std::array<std::uint64_t, 8>;

RunResult run(const Module& module, Memory& memory, std::size_t program = 0) {
    return module.programs()[program].run(std::as_writable_bytes(std::span(memory)),
                                          {.insn_budget = 5000});
}

struct Case {
    const char* name;
    std::string assembly;
    std::vector<MapSpec> maps;
    std::string expected;
};

void PrintTo(const Case& test, std::ostream* out) {
    *out << test.name;
}

// r6 = the value of key 0 in the first map.
constexpr const char* kLookup = "*(u32 *)(r10 -4) = 0\n"
                                "r2 = r10\nr2 += -4\nr1 = map(0) ll\ncall 1\nr6 = r0\n";

const std::string kUpdateThenLookup = std::string("*(u32 *)(r10 -4) = 0\n"
                                                  "*(u64 *)(r10 -16) = 5\n*(u32 *)(r10 -8) = 5\n"
                                                  "r2 = r10\nr2 += -4\nr3 = r10\nr3 += -16\n"
                                                  "r4 = 0\nr1 = map(0) ll\ncall 2\n") +
                                      kLookup;

class CheckedReach : public testing::TestWithParam<Case> {};

TEST_P(CheckedReach, EndsWhereTheGuardSays) {
    const Case& test = GetParam();
    std::string interpreted;
    for (const Engine engine : {Engine::Interp, Engine::Baseline}) {
        Vm vm({.cpus = 1});
        const auto module = vm.load(object_of(test.assembly, test.maps), {.engine = engine});
        ASSERT_TRUE(module) << to_string(module.error());
        Memory memory{};
        const std::string ended = summary(run(*module, memory));
        EXPECT_TRUE(ended.ends_with(" insns, " + test.expected)) << ended;
        EXPECT_TRUE(interpreted.empty() || ended == interpreted)
            << ended << ", interpreter: " << interpreted;
        interpreted = ended;
    }
}

INSTANTIATE_TEST_SUITE_P(
    All, CheckedReach,
    testing::Values(
        Case{"BehindAnElement",
             std::string(kLookup) + "again: r3 = *(u32 *)(r6 +0)\nr6 += 4\ngoto again\nexit",
             {array(12)},
             "out-of-bounds of map value at 7"},
        Case{"BeforeAnElement",
             std::string(kLookup) + "again: r3 = *(u32 *)(r6 +2)\nr6 += -1\ngoto again\nexit",
             {array(12)},
             "out-of-bounds of map value at 7"},
        Case{"AcrossTheEndOfAnElement",
             std::string(kLookup) + "r6 += 4\nagain: r3 = *(u64 *)(r6 +0)\nr6 += 1\ngoto again",
             {array(12)},
             "out-of-bounds of map value at 8"},
        Case{"StoresToReadOnlyMaps",
             std::string(kLookup) + "r3 = *(u32 *)(r6 +0)\n*(u32 *)(r6 +0) = 1\nexit",
             {array(12, map_flags::kRdonlyProg)},
             "read-only of map value at 8"},
        Case{"LoadsFromWriteOnlyMaps",
             std::string(kLookup) + "*(u32 *)(r6 +0) = 1\nr3 = *(u32 *)(r6 +0)\nexit",
             {array(12, map_flags::kWronlyProg)},
             "write-only of map value at 8"},
        Case{"AtomicsInReadOnlyMaps",
             std::string(kLookup) + "r3 = *(u32 *)(r6 +0)\nlock *(u32 *)(r6 +0) += r3\nexit",
             {array(12, map_flags::kRdonlyProg)},
             "read-only of map value at 8"},
        Case{"MisalignedAtomics",
             std::string(kLookup) + "r3 = *(u32 *)(r6 +0)\nlock *(u32 *)(r6 +1) += r3\nexit",
             {array(12)},
             "misaligned of no known region at 8"},
        Case{"DeletedElements",
             kUpdateThenLookup + "again: r3 = *(u64 *)(r6 +0)\nr2 = r10\nr2 += -4\n"
                                 "r1 = map(0) ll\ncall 3\ngoto again",
             {hash()},
             "stale-map-value of map value at 18"},
        // f(h's frame), called by h; then f(the same pointer) by the entry.
        Case{"FramesThatAreGone",
             "call g\nr1 = r0\ncall f\nexit\n"
             "g: call h\nexit\n"
             "h: *(u64 *)(r10 -8) = 5\nr6 = r10\nr6 += -8\nr1 = r6\ncall f\nr0 = r6\nexit\n"
             "f: r0 = *(u64 *)(r1 +0)\nexit",
             {},
             "out-of-bounds of stack at 13"},
        Case{"BelowTheFrame",
             "*(u8 *)(r10 -512) = 1\nr2 = *(u8 *)(r10 -513)\nexit",
             {},
             "out-of-bounds of stack at 1"},
        Case{"AboveTheFrame",
             "*(u8 *)(r10 -1) = 1\nr2 = *(u16 *)(r10 -1)\nexit",
             {},
             "out-of-bounds of stack at 1"},
        Case{"AroundTheTopOfMemory",
             "r2 = *(u64 *)(r1 +0)\nr2 = -1\nr1 = r2\nr2 = *(u8 *)(r1 +0)\nexit",
             {},
             "out-of-bounds of no known region at 3"},
        Case{"BehindTheContext",
             "again: r3 = *(u64 *)(r1 +0)\nr1 += 8\ngoto again\nexit",
             {},
             "out-of-bounds of ctx at 0"}),
    [](const auto& test) { return test.param.name; });

// Pointers pass from program to program in the memory that both get. All use the memory first, the
// pointer second.
const std::string kKeepsAPointer = std::string("r7 = r1\nr3 = *(u64 *)(r7 +0)\n") + kLookup +
                                   "call 8\nr3 = *(u64 *)(r6 +0)\n*(u64 *)(r7 +0) = r6\nr1 = r7\n";
constexpr const char* kUsesThePointer = "r6 = *(u64 *)(r1 +0)\nr3 = *(u64 *)(r6 +0)\nr0 = 0\nexit";

TEST(CheckedReach, DoesNotOutliveATailCall) {
    for (const Engine engine : {Engine::Interp, Engine::Baseline}) {
        Vm vm({.cpus = 1});
        const auto caller =
            vm.load(object_of(kKeepsAPointer + "r2 = map(1) ll\nr3 = 0\ncall 12\nexit",
                              {array(8), prog_array()}),
                    {.engine = engine});
        const auto callee = vm.load(object_of(kUsesThePointer), {.engine = engine});
        ASSERT_TRUE(caller && callee);
        ASSERT_TRUE(Module::set_tail_call(*caller->maps().back(), 0, callee->programs().front()));
        Memory memory{};
        EXPECT_EQ(summary(run(*caller, memory)), "16 insns, out-of-bounds of no known region at 1")
            << name_of(engine);
    }
}

TEST(CheckedReach, DoesNotComeBackFromATailCall) {
    for (const Engine engine : {Engine::Interp, Engine::Baseline}) {
        Vm vm({.cpus = 1});
        const auto caller =
            vm.load(object_of(std::string("r7 = r1\ncall f\nr1 = r7\n") + kUsesThePointer +
                                  "\nf: r2 = map(0) ll\nr3 = 0\ncall 12\nexit",
                              {prog_array()}),
                    {.engine = engine});
        const auto callee =
            vm.load(object_of(kKeepsAPointer + "r0 = 0\nexit", {array(8)}), {.engine = engine});
        ASSERT_TRUE(caller && callee);
        ASSERT_TRUE(Module::set_tail_call(*caller->maps().front(), 0, callee->programs().front()));
        Memory memory{};
        EXPECT_EQ(summary(run(*caller, memory)), "21 insns, out-of-bounds of no known region at 4")
            << name_of(engine);
    }
}

TEST(CheckedReach, MovesWithThePacket) {
    for (const Engine engine : {Engine::Interp, Engine::Baseline}) {
        Vm vm({.cpus = 1});
        const auto module =
            vm.load(object_of("r6 = r1\nr7 = *(u32 *)(r1 +0)\n"
                              "again: r3 = *(u8 *)(r7 +60)\nr1 = r6\nr2 = -10\ncall 65\ngoto again",
                              {}, ProgType::Xdp),
                    {.engine = engine});
        ASSERT_TRUE(module);
        std::array<std::byte, 64> packet{};
        XdpCtx ctx{.packet = Packet::in(packet, packet)};
        EXPECT_EQ(summary(module->programs().front().run(ctx)),
                  "7 insns, out-of-bounds of packet at 2")
            << name_of(engine);
    }
}

// The guard asks the first of two regions.
TEST(CheckedReach, LeavesOverlappingMemoryToTheGuard) {
    Memory variable{};
    const auto begin = std::uint64_t(reinterpret_cast<std::uintptr_t>(variable.data()));
    const HelperTable helpers;
    const Environment environment;
    const auto memory = jit::make_code_memory().value();
    const Object object = object_of(
        fmt::format("r1 = {:#x} ll\n*(u64 *)(r1 +0) = 1\n*(u64 *)(r1 +8) = 1\nexit", begin));
    const auto code = resolved(object.programs().front(), helpers);
    ASSERT_TRUE(code);
    (*code)->variables = {{begin + 8, 8, Access::Read}, {begin, 64, Access::ReadWrite}};
    ASSERT_TRUE(jit::compile_baseline(**code, memory));
    const exec::RunInput input{.insn_budget = 100, .environment = &environment};
    const std::string expected = "2 insns, read-only of helper memory at 3";
    EXPECT_EQ(summary(interp::run(**code, input)), expected);
    EXPECT_EQ(summary(jit::run(**code, input)), expected);
}

// Accesses through pointers to everything, mostly inside; each program goes round a few times.
class RandomAccesses {
  public:
    explicit RandomAccesses(std::uint64_t seed) : rng_(seed) {}

    std::string make() {
        text_ = "r6 = r1\nr7 = r10\nr7 += -40\nr8 = r6\nr9 = r6\n*(u32 *)(r10 -4) = 0\n"
                "*(u64 *)(r10 -16) = 7\n*(u64 *)(r10 -24) = 7\n"
                "*(u64 *)(r10 -504) = 6\nagain:\n";
        for (unsigned i = 0, count = 4 + below(14); i < count; ++i) {
            step(i);
        }
        text_ += "r3 = *(u64 *)(r10 -504)\nr3 += -1\n*(u64 *)(r10 -504) = r3\n"
                 "if r3 != 0 goto again\nr0 = 0\nexit\n"
                 "inner: r3 = r10\nr3 += -8\n*(u64 *)(r3 +0) = 1\nr4 = *(u64 *)(r1 +0)\n"
                 "r0 = r3\nexit\n";
        return std::move(text_);
    }

  private:
    unsigned below(unsigned limit) { return unsigned(rng_() % limit); }
    unsigned pointer() { return 6 + below(4); }
    void add(const std::string& line) { text_ += line + '\n'; }

    void step(unsigned number) {
        const unsigned r = pointer();
        const char* size = std::array{"u8", "u16", "u32", "u64"}[below(4)];
        const int off = int(below(20)) == 0 ? int(below(600)) - 300 : int(below(3));
        switch (below(16)) {
        case 0:
            return add(fmt::format("r{} += {}", r, int(below(9)) - 4));
        case 1:
            return add(fmt::format("r{} = r{}", r, pointer()));
        case 2:
            return add(fmt::format("r{} = r10\nr{} += {}", r, r, -64 + int(below(48))));
        case 3:
        case 4: // a value of one of the maps
            return add(fmt::format("*(u32 *)(r10 -4) = {}\nr2 = r10\nr2 += -4\n"
                                   "r1 = map({}) ll\ncall 1\nif r0 == 0 goto none{}\nr{} = r0\n"
                                   "none{}:",
                                   below(3), below(3), number, r, number));
        case 5:
            return add(fmt::format("*(u32 *)(r10 -4) = {}\nr2 = r10\nr2 += -4\nr3 = r10\n"
                                   "r3 += -24\nr4 = 0\nr1 = map(2) ll\ncall 2",
                                   below(3)));
        case 6:
            return add(fmt::format("*(u32 *)(r10 -4) = {}\nr2 = r10\nr2 += -4\n"
                                   "r1 = map(2) ll\ncall 3",
                                   below(3)));
        case 7: // a frame that is there, for a while
            return add(fmt::format("r1 = r{}\ncall inner{}", r,
                                   below(3) == 0 ? fmt::format("\nr{} = r0", pointer()) : ""));
        case 8:
        case 9:
            return add(fmt::format("*({} *)(r{} {:+}) = 3", size, r, off));
        case 10:
            return add(fmt::format("r3 = 1\nlock *(u64 *)(r{} {:+}) += r3", r, off & ~7));
        default:
            return add(fmt::format("r3 = *({} *)(r{} {:+})", size, r, off));
        }
    }

    std::mt19937_64 rng_;
    std::string text_{};
};

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(CheckedReach, AgreesWithTheInterpreterOnRandomAccesses) {
    const std::uint64_t first = setting("EBPFVM_ENGINES_SEED", 1);
    const std::uint64_t count = setting("EBPFVM_ENGINES_PROGRAMS", 20'000) / 4;
    Vm vm({.cpus = 1});
    unsigned long_runs = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const std::string text = RandomAccesses(seed).make();
        const Object object =
            object_of(text, {array(12), array(16, map_flags::kRdonlyProg), hash()});
        const auto interp = vm.load(object);
        const auto baseline = vm.load(object, {.engine = Engine::Baseline});
        ASSERT_TRUE(interp && baseline);
        Memory expected_memory{};
        Memory memory{};
        const RunResult expected = run(*interp, expected_memory);
        ASSERT_EQ(summary(run(*baseline, memory)), summary(expected)) << "seed " << seed << '\n'
                                                                      << text;
        const bool is_endless =
            expected.fault && expected.fault->kind == FaultKind::BudgetExhausted;
        ASSERT_TRUE(is_endless || memory == expected_memory) << "seed " << seed << '\n' << text;
        long_runs += expected.insns_executed > 100 ? 1 : 0;
    }
    EXPECT_GE(long_runs, count / 10);
}

} // namespace
} // namespace ebpfvm::test
