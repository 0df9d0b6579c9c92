// Machine code as a guest in the host's process: its memory, its stack, its threads.
#include "ebpfvm/ebpfvm.hpp"
#include "jit/native_code.hpp"
#include "support/resolved.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

namespace ebpfvm::test {
namespace {

Object object_of(const std::string& assembly, std::vector<MapSpec> maps = {}) {
    return Object::from_insns("test", ProgType::Unspec, assemble(assembly).value(),
                              std::move(maps));
}

Module load(Vm& vm, const Object& object) {
    auto module = vm.load(object, {.engine = Engine::Baseline});
    EXPECT_TRUE(module) << to_string(module.error());
    return *std::move(module);
}

TEST(Baseline, NoMemoryIsWritableAndExecutable) {
    Vm vm;
    const Module module = load(vm, object_of("r0 = 1\nexit"));
    EXPECT_EQ(module.programs().front().run(std::span<std::byte>()).r0, 1U);
    std::ifstream maps("/proc/self/maps");
    unsigned executable = 0;
    for (std::string line; std::getline(maps, line);) {
        const std::string rights = line.substr(line.find(' ') + 1, 3);
        EXPECT_NE(rights, "rwx") << line;
        executable += rights[2] == 'x' ? 1 : 0;
    }
    EXPECT_GT(executable, 0U);
}

TEST(Baseline, KnowsTheCpu) {
    EXPECT_EQ(jit::Cpu::host().has_bmi2, asmjit::CpuInfo::host().features().x86().hasBMI2());
}

TEST(Baseline, MachineCodeGoesWithItsProgram) {
    const auto memory = jit::make_code_memory().value();
    const auto used = [&] { return memory->runtime().allocator()->statistics().usedSize(); };
    const std::size_t before = used();
    {
        const HelperTable helpers;
        const Object object = object_of("r0 = 1\nexit");
        const auto code = resolved(object.programs().front(), helpers);
        ASSERT_TRUE(code);
        ASSERT_TRUE(jit::compile_baseline(**code, memory));
        EXPECT_GT(used(), before);
    }
    EXPECT_EQ(used(), before);
}

TEST(Baseline, AbortLeavesAllFramesAtOnce) {
    Vm vm;
    ASSERT_TRUE(vm.helpers().add_function(0x10000, "stop",
                                          [](CallContext& call) { call.abort("enough"); }));
    const Object object = object_of("call pc+2\nr0 = 1\nexit\n"
                                    "call pc+1\nexit\n"
                                    "call 0x10000\nr0 = 2\nexit");
    const Executable program = load(vm, object).programs().front();
    for (int i = 0; i < 3; ++i) {
        const RunResult result = program.run(std::span<std::byte>());
        ASSERT_TRUE(result.fault);
        EXPECT_EQ(result.fault->kind, FaultKind::HelperAbort);
        EXPECT_EQ(result.fault->insn, 5U);
        EXPECT_EQ(result.insns_executed, 2U);
    }
}

// r6..r9 and all that the function is not told survive; so does a misaligned pointer's fault.
TEST(Baseline, CallsHostFunctionsThatNeedLessOfTheirCall) {
    Vm vm;
    int added = 30;
    auto& helpers = vm.helpers();
    ASSERT_TRUE(helpers.add_function(0x10000, "none", [](int a, int b) { return a - b; }));
    ASSERT_TRUE(helpers.add_function(0x10001, "data", [&added](int a) { return added += a; }));
    ASSERT_TRUE(helpers.add_function(0x10002, "any", [](const int* a) { return *a; }));
    const std::string none = "r6 = 1\nr7 = 2\nr8 = 3\nr9 = 4\nr1 = 9\nr2 = 7\ncall 0x10000\n";
    const std::string sum = "r0 += r6\nr0 += r7\nr0 += r8\nr0 += r9\nexit";
    const Object leaf = object_of(none + sum);
    const Object all = object_of(none +
                                 "r6 = r0\nr1 = 5\ncall 0x10001\nr6 += r0\n"
                                 "*(u32 *)(r10 -4) = 100\nr1 = r10\nr1 += -4\n"
                                 "call 0x10002\n" +
                                 sum);
    for (const Engine engine : {Engine::Interp, Engine::Baseline, Engine::Jit}) {
        const LoadOptions options{.mode = ExecMode::Verified, .engine = engine};
        const Module module = vm.load(leaf, options).value();
        EXPECT_EQ(module.programs().front().run(std::span<std::byte>()).r0, 12U);
        added = 30;
        EXPECT_EQ(vm.load(all, options).value().programs().front().run(std::span<std::byte>()).r0,
                  100U + 2 + 35 + 2 + 3 + 4);
    }
    const Object misaligned = object_of("r1 = r10\nr1 += -7\n*(u32 *)(r10 -8) = 0\n"
                                        "*(u32 *)(r10 -4) = 0\ncall 0x10002\nexit");
    for (const Engine engine : {Engine::Interp, Engine::Baseline, Engine::Jit}) {
        const Module module =
            vm.load(misaligned, {.mode = ExecMode::Verified, .engine = engine}).value();
        const RunResult result = module.programs().front().run(std::span<std::byte>());
        ASSERT_TRUE(result.fault);
        EXPECT_EQ(result.fault->kind, FaultKind::HelperAbort);
    }
}

TEST(Baseline, AnyBudgetHolds) {
    Vm vm;
    const Executable program =
        load(vm, object_of("r0 = 10\nloop: r0 += -1\nif r0 != 0 goto loop\nexit"))
            .programs()
            .front();
    for (const std::uint64_t budget :
         {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{22}}) {
        const RunResult result = program.run(std::span<std::byte>(), {.insn_budget = budget});
        EXPECT_FALSE(result.fault);
        EXPECT_EQ(result.insns_executed, 22U);
    }
    EXPECT_TRUE(program.run(std::span<std::byte>(), {.insn_budget = 10}).fault);
}

MapSpec prog_array() {
    return {.name = "jumps",
            .type = MapType::ProgArray,
            .key_size = 4,
            .value_size = 4,
            .max_entries = 1};
}

// Calls itself through the map in a function below, as often as allowed.
TEST(Baseline, TailCallsTakeTheCallersPlace) {
    Vm vm;
    const Object object = object_of("r6 = r1\ncall pc+2\nr0 += 1\nexit\n"
                                    "r2 = map(0) ll\nr3 = 0\nr1 = r1\ncall 12\nr0 = 100\nexit",
                                    {prog_array()});
    const Module module = load(vm, object);
    const Executable program = module.programs().front();
    ASSERT_TRUE(Module::set_tail_call(*module.maps().front(), 0, program));
    std::array<std::byte, 8> memory{};
    const RunResult native = program.run(memory);
    ASSERT_FALSE(native.fault) << native.fault->message;
    const auto interpreted = vm.load(object);
    ASSERT_TRUE(interpreted);
    const Executable other = interpreted->programs().front();
    ASSERT_TRUE(Module::set_tail_call(*interpreted->maps().front(), 0, other));
    EXPECT_EQ(native.r0, other.run(memory).r0);
    EXPECT_EQ(native.r0, 134U); // 33 tail calls and the first run
}

TEST(Baseline, DoesNotTailCallInterpretedPrograms) {
    Vm vm;
    const Module caller =
        load(vm, object_of("r2 = map(0) ll\nr3 = 0\ncall 12\nr0 = 7\nexit", {prog_array()}));
    const auto callee = vm.load(object_of("r0 = 9\nexit"));
    ASSERT_TRUE(callee);
    ASSERT_TRUE(Module::set_tail_call(*caller.maps().front(), 0, callee->programs().front()));
    EXPECT_EQ(caller.programs().front().run(std::span<std::byte>()).r0, 7U);
}

TEST(Baseline, CompilesAndRunsInManyThreads) {
    Vm vm;
    const Object object = object_of("r0 = 0\nr1 = 1000\nloop: r0 += r1\nr1 += -1\n"
                                    "if r1 != 0 goto loop\nexit");
    const Module shared = load(vm, object);
    const Executable program = shared.programs().front();
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&program, &object] {
            Vm own;
            for (int i = 0; i < 50; ++i) {
                const Module mine = load(own, object);
                EXPECT_EQ(mine.programs().front().run(std::span<std::byte>()).r0, 500'500U);
                EXPECT_EQ(program.run(std::span<std::byte>()).r0, 500'500U);
            }
        });
    }
}

TEST(Baseline, LargeProgramsHaveFarJumps) {
    std::string text = "r0 = 0\nif r1 == r0 goto end\n";
    for (int i = 0; i < 20'000; ++i) {
        text += "r0 += 3\n";
    }
    Vm vm;
    const Module module = load(vm, object_of(text + "end: exit"));
    std::array<std::byte, 8> memory{};
    EXPECT_EQ(module.programs().front().run(memory).r0, 60'000U);
    EXPECT_EQ(module.programs().front().run(std::span<std::byte>()).r0, 0U);
}

// Each of its stores has to know how much of the block is left.
TEST(Baseline, OneBlockMayBeLarge) {
    std::string text = "r0 = 5\n";
    for (int i = 0; i < 100'000; ++i) {
        text += "*(u64 *)(r10 -8) = r0\n";
    }
    Vm vm;
    const RunResult result =
        load(vm, object_of(text + "exit")).programs().front().run(std::span<std::byte>());
    EXPECT_EQ(result.r0, 5U);
    EXPECT_EQ(result.insns_executed, 100'002U);
}

} // namespace
} // namespace ebpfvm::test
