// The public API as a host uses it.
#include "support/data_file.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

namespace ebpfvm::test {
namespace {

std::string bpf_object(const std::string& name) {
    return std::string(EBPFVM_BPF_DIR) + "/" + name + ".bpf.o";
}

template <class T>
T must(Expected<T> value) {
    EXPECT_TRUE(value) << (value ? "" : to_string(value.error()));
    return std::move(value).value();
}

Object object_of(const std::string& assembly, std::vector<MapSpec> maps = {},
                 ProgType type = ProgType::Unspec) {
    return Object::from_insns("test", type, must(assemble(assembly)), std::move(maps));
}

MapSpec array_spec(std::string name, std::uint32_t max_entries = 1, MapType type = MapType::Array) {
    return {.name = std::move(name),
            .type = type,
            .key_size = 4,
            .value_size = 8,
            .max_entries = max_entries};
}

std::uint64_t read_u64(Map& map, std::uint32_t key, std::uint32_t cpu = 0) {
    std::uint64_t value = 0;
    const auto bytes = must(map.read(std::as_bytes(std::span(&key, 1)), cpu));
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

// Adds 1 to element 0 of map 0, without an atomic.
constexpr const char* kCountInMap0 = R"(
    *(u32 *)(r10 -4) = 0
    r2 = r10
    r2 += -4
    r1 = map(0) ll
    call 1
    if r0 == 0 goto out
    r1 = *(u64 *)(r0 +0)
    r1 += 1
    *(u64 *)(r0 +0) = r1
    out: r0 = 0
    exit)";

TEST(Vm, RunsAnObjectFromItsFile) {
    Vm vm;
    const Module module = must(vm.load(must(load_object_file(bpf_object("xdp_count")))));
    std::vector<std::byte> buffer(512);
    XdpCtx ctx{.packet = Packet::in(buffer, std::span(buffer).subspan(256, 60))};
    const RunResult result = must(module.program("xdp_count")).run(ctx);
    EXPECT_FALSE(result.fault);
    EXPECT_GT(result.insns_executed, 10U);
}

TEST(Vm, TwoVmsKnowNothingOfEachOther) {
    Vm first;
    Vm second;
    ASSERT_TRUE(first.helpers().add_function("mine", [] { return 1; }));
    EXPECT_NE(first.helpers().find("mine"), nullptr);
    EXPECT_EQ(second.helpers().find("mine"), nullptr);
}

TEST(Vm, HostFunctionsMayKeepState) {
    Vm vm;
    std::vector<int> seen;
    ASSERT_TRUE(vm.helpers().add_function(0x10000, "note", [&seen](int x) { seen.push_back(x); }));
    const Module module =
        must(vm.load(object_of("r1 = 5\ncall 0x10000\nr1 = -6\ncall 0x10000\nr0 = 0\nexit")));
    EXPECT_FALSE(module.programs().front().run(std::span<std::byte>()).fault);
    EXPECT_EQ(seen, (std::vector<int>{5, -6}));
}

TEST(Vm, SharedMapIsSeenByBothModules) {
    Vm vm;
    const Object object = object_of(kCountInMap0, {array_spec("hits")});
    const Module first = must(vm.load(object));
    const Module second = must(vm.load(object, {.maps = {{"hits", must(first.map("hits"))}}}));
    (void)first.programs().front().run(std::span<std::byte>());
    (void)second.programs().front().run(std::span<std::byte>());
    EXPECT_EQ(read_u64(*must(first.map("hits")), 0), 2U);
}

TEST(Vm, ReplacementMapOfAnotherShapeIsRefused) {
    Vm vm;
    const auto other = must(create_map(array_spec("hits", 2)));
    const auto module =
        vm.load(object_of(kCountInMap0, {array_spec("hits")}), {.maps = {{"hits", other}}});
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code, Errc::InvalidArgument);
    const auto unknown =
        vm.load(object_of(kCountInMap0, {array_spec("hits")}), {.maps = {{"hist", other}}});
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, Errc::NotFound);
}

TEST(Vm, GlobalsSetBeforeLoadReachTheProgram) {
    Object object = must(load_object_file(bpf_object("xdp_count")));
    ASSERT_TRUE(object.set_global("drop_port", std::uint32_t{443}));
    EXPECT_FALSE(object.set_global("drop_port", std::uint64_t{443})) << "8 bytes into a u32";
    EXPECT_FALSE(object.set_global("no_such_thing", std::uint32_t{1}));
    Vm vm;
    const Module module = must(vm.load(object));
    const auto rodata = must(module.map(".rodata"));
    EXPECT_EQ(must(rodata->read(std::vector<std::byte>(4)))[0], std::byte(443 & 0xff));
}

TEST(Vm, PerCpuCountsAreExactWithMoreThreadsThanCpus) {
    Vm vm({.cpus = 2});
    const Module module =
        must(vm.load(object_of(kCountInMap0, {array_spec("hits", 1, MapType::PercpuArray)})));
    const Executable program = module.programs().front();
    constexpr unsigned kThreads = 4;
    constexpr unsigned kRuns = 20000;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) {
        threads.emplace_back([program] {
            for (unsigned run = 0; run < kRuns; ++run) {
                (void)program.run(std::span<std::byte>());
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    Map& map = *must(module.map("hits"));
    EXPECT_EQ(read_u64(map, 0, 0) + read_u64(map, 0, 1), kThreads * kRuns);
}

TEST(Vm, AtomicsCountExactlyFromManyThreads) {
    Vm vm;
    const Module module = must(vm.load(object_of(R"(
        r1 = map_value(0, 0) ll
        r2 = 1
        lock *(u64 *)(r1 +0) += r2
        r0 = 0
        exit)",
                                                 {array_spec("hits")})));
    const Executable program = module.programs().front();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([program] {
            for (int run = 0; run < 20000; ++run) {
                (void)program.run(std::span<std::byte>());
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(read_u64(*must(module.map("hits")), 0), 80000U);
}

TEST(Vm, RunOnACpuOfTheCallersUsesItsCopy) {
    Vm vm({.cpus = 4});
    const Module module =
        must(vm.load(object_of(kCountInMap0, {array_spec("hits", 1, MapType::PercpuArray)})));
    const Executable program = module.programs().front();
    EXPECT_FALSE(program.run(std::span<std::byte>(), {.cpu = 3}).fault);
    EXPECT_EQ(read_u64(*must(module.map("hits")), 0, 3), 1U);
    EXPECT_TRUE(program.run(std::span<std::byte>(), {.cpu = 4}).fault) << "there are only 4";
}

TEST(Vm, ExecutableOutlivesVmAndModule) {
    std::vector<Executable> programs;
    {
        Vm vm;
        programs = must(vm.load(object_of(kCountInMap0, {array_spec("hits")}))).programs();
    }
    EXPECT_FALSE(programs.front().run(std::span<std::byte>()).fault);
}

TEST(Vm, TailCallGoesToTheProgramInTheSlot) {
    Vm vm;
    const MapSpec jumps{.name = "jumps",
                        .type = MapType::ProgArray,
                        .key_size = 4,
                        .value_size = 4,
                        .max_entries = 2};
    const Module caller =
        must(vm.load(object_of("r2 = map(0) ll\nr3 = 1\ncall 12\nr0 = 1\nexit", {jumps})));
    const Module target = must(vm.load(object_of("r0 = 2\nexit")));
    const Executable program = caller.programs().front();
    EXPECT_EQ(program.run(std::span<std::byte>()).r0, 1U) << "the slot is empty";
    ASSERT_TRUE(Module::set_tail_call(*must(caller.map("jumps")), 1, target.programs().front()));
    EXPECT_EQ(program.run(std::span<std::byte>()).r0, 2U);
    EXPECT_FALSE(Module::set_tail_call(*must(caller.map("jumps")), 2, target.programs().front()));
}

TEST(Vm, BudgetThatEndsAtATailCallIsBlamedOnTheCaller) {
    Vm vm;
    const MapSpec jumps{.name = "jumps",
                        .type = MapType::ProgArray,
                        .key_size = 4,
                        .value_size = 4,
                        .max_entries = 1};
    std::string long_way;
    for (int i = 0; i < 4000; ++i) {
        long_way += "r9 = 1\n";
    }
    const Module caller = must(
        vm.load(object_of(long_way + "r2 = map(0) ll\nr3 = 0\ncall 12\nr0 = 1\nexit", {jumps})));
    const Module target = must(vm.load(object_of("r0 = 2\nexit")));
    ASSERT_TRUE(Module::set_tail_call(*must(caller.map("jumps")), 0, target.programs().front()));
    const RunResult result =
        caller.programs().front().run(std::span<std::byte>(), {.insn_budget = 1000});
    ASSERT_TRUE(result.fault);
    EXPECT_EQ(result.fault->kind, FaultKind::BudgetExhausted);
    EXPECT_EQ(result.fault->insn, 4003U);
    EXPECT_EQ(result.insns_executed, 4003U);
}

TEST(Vm, InnerMapIsReachableOnlyAfterALookupInItsOuterMap) {
    Vm vm;
    MapSpec outer{.name = "outer",
                  .type = MapType::ArrayOfMaps,
                  .key_size = 4,
                  .value_size = 4,
                  .max_entries = 1};
    outer.inner = std::make_shared<const MapSpec>(array_spec("inner"));
    outer.slots = {{.index = 0, .name = "inner"}};
    // Stores the inner map's address, or (size 1) uses the one stored before.
    const Module module =
        must(vm.load(object_of(R"(
        r6 = r2
        *(u32 *)(r10 -4) = 0
        r7 = map_value(2, 0) ll
        if r6 == 1 goto forged
        r2 = r10
        r2 += -4
        r1 = map(0) ll
        call 1
        *(u64 *)(r7 +0) = r0
        r0 = 0
        exit
        forged: r2 = r10
        r2 += -4
        r1 = *(u64 *)(r7 +0)
        call 1
        r0 = 0
        exit)",
                               {outer, array_spec("inner"), array_spec("kept")})));
    const Executable program = module.programs().front();
    EXPECT_FALSE(program.run(std::span<std::byte>()).fault);
    std::byte one{};
    const RunResult result = program.run(std::span(&one, 1));
    ASSERT_TRUE(result.fault);
    EXPECT_EQ(result.fault->kind, FaultKind::BadHelperArg);
}

TEST(Vm, MisalignedPointerToAHostFunctionEndsTheRun) {
    Vm vm;
    ASSERT_TRUE(
        vm.helpers().add_function(0x10000, "read", [](const std::uint64_t* at) { return *at; }));
    const Module module = must(vm.load(object_of("r1 = r10\nr1 += -15\ncall 0x10000\nexit")));
    const RunResult result = module.programs().front().run(std::span<std::byte>());
    ASSERT_TRUE(result.fault);
    EXPECT_EQ(result.fault->kind, FaultKind::HelperAbort);
}

TEST(Vm, SlotsOfAMapWithoutSlotsAreRefused) {
    Vm vm;
    for (const MapType type : {MapType::Array, MapType::HashOfMaps}) {
        MapSpec odd = array_spec("odd", 1, type);
        odd.value_size = type == MapType::Array ? 8 : 4;
        odd.key_size = type == MapType::Array ? 4 : 256;
        odd.inner = std::make_shared<const MapSpec>(array_spec("inner"));
        odd.slots = {{.index = 0, .name = "inner"}};
        EXPECT_FALSE(vm.load(object_of("r0 = 0\nexit", {odd, array_spec("inner")})));
    }
}

TEST(Vm, TailCallsEndAfter33) {
    Vm vm;
    const MapSpec jumps{.name = "jumps",
                        .type = MapType::ProgArray,
                        .key_size = 4,
                        .value_size = 4,
                        .max_entries = 1};
    const Module module = must(vm.load(object_of(R"(
        r6 = r1
        r1 = map_value(1, 0) ll
        r2 = *(u64 *)(r1 +0)
        r2 += 1
        *(u64 *)(r1 +0) = r2
        r1 = r6
        r2 = map(0) ll
        r3 = 0
        call 12
        r1 = map_value(1, 0) ll
        r0 = *(u64 *)(r1 +0)
        exit)",
                                                 {jumps, array_spec("count")})));
    const Executable program = module.programs().front();
    ASSERT_TRUE(Module::set_tail_call(*must(module.map("jumps")), 0, program));
    EXPECT_EQ(program.run(std::span<std::byte>()).r0, 34U) << "the first run and 33 tail calls";
}

TEST(Vm, ContextOfTheWrongKindIsRefusedWithoutRunning) {
    Vm vm;
    const Module module = must(vm.load(object_of("r0 = 1\nexit", {}, ProgType::Xdp)));
    std::vector<std::byte> buffer(64);
    SkbCtx skb{.packet = Packet::in(buffer, buffer)};
    const RunResult result = module.programs().front().run(skb);
    ASSERT_TRUE(result.fault);
    EXPECT_EQ(result.fault->kind, FaultKind::BadCtxAccess);
    EXPECT_TRUE(module.programs().front().run(std::span(buffer)).fault);
}

struct Event {
    std::uint64_t when = 0;
    std::uint16_t kind = 0;
    std::uint32_t answer = 0;
};

ProgTypeInfo event_type() {
    CtxLayout layout{
        .name = "event_md",
        .size = 12,
        .host_size = sizeof(Event),
        .fields = {
            {"kind", 0, 4, CtxFieldKind::Scalar, Access::Read, offsetof(Event, kind), 2},
            {"answer", 8, 4, CtxFieldKind::Scalar, Access::ReadWrite, offsetof(Event, answer), 4}}};
    return {.type = ProgType{kFirstHostProgType},
            .name = "event",
            .sections = {"event"},
            .ctx = std::make_shared<const CtxLayout>(std::move(layout))};
}

TEST(HostProgType, FieldsMapToTheHostsStruct) {
    Vm vm;
    ASSERT_TRUE(vm.prog_types().add(event_type()));
    const Module module = must(vm.load(object_of("r0 = *(u32 *)(r1 +0)\n*(u32 *)(r1 +8) = 77\nexit",
                                                 {}, ProgType{kFirstHostProgType})));
    Event event{.when = 1, .kind = 513, .answer = 0};
    const RunResult result = module.programs().front().run(event);
    ASSERT_FALSE(result.fault) << result.fault->message;
    EXPECT_EQ(result.r0, 513U);
    EXPECT_EQ(event.answer, 77U);
    EXPECT_EQ(event.when, 1U);
}

TEST(HostProgType, HolesAndReadOnlyFieldsFault) {
    Vm vm;
    ASSERT_TRUE(vm.prog_types().add(event_type()));
    for (const char* text : {"r0 = *(u32 *)(r1 +4)\nexit", "*(u32 *)(r1 +0) = 1\nr0 = 0\nexit",
                             "r0 = *(u32 *)(r1 +12)\nexit", "r0 = *(u8 *)(r1 -1)\nexit"}) {
        const Module module = must(vm.load(object_of(text, {}, ProgType{kFirstHostProgType})));
        Event event;
        EXPECT_TRUE(module.programs().front().run(event).fault) << text;
    }
}

TEST(HostProgType, PlainMemoryEndsWhereTheLayoutSays) {
    Vm vm;
    CtxLayout layout{
        .name = "half", .size = 8, .host_size = sizeof(Event), .plain = Access::ReadWrite};
    ASSERT_TRUE(vm.prog_types().add({.type = ProgType{kFirstHostProgType},
                                     .name = "half",
                                     .ctx = std::make_shared<const CtxLayout>(std::move(layout))}));
    const Module module =
        must(vm.load(object_of("r0 = *(u8 *)(r1 +8)\nexit", {}, ProgType{kFirstHostProgType})));
    Event event;
    EXPECT_TRUE(module.programs().front().run(event).fault);
}

TEST(HostProgType, ContradictingLayoutIsRefused) {
    ProgTypeTable types;
    ProgTypeInfo taken = event_type();
    taken.sections = {"xdp"};
    EXPECT_FALSE(types.add(taken));
    ProgTypeInfo low = event_type();
    low.type = ProgType{100};
    EXPECT_FALSE(types.add(low));
    ProgTypeInfo outside = event_type();
    CtxLayout layout = *outside.ctx;
    layout.host_size = 8;
    outside.ctx = std::make_shared<const CtxLayout>(layout);
    EXPECT_FALSE(types.add(outside));
}

TEST(Externs, VariableOfTheHostIsReadAndGuarded) {
    Vm vm;
    Object object = must(load_bpft("prog p\nprog_type 0\nlicense GPL\nksym 0 host_limit\ninsns 4\n"
                                   "0000000000003118\n0000000000000000\n"
                                   "0000000000001061\n0000000000000095\nend\n"));
    EXPECT_FALSE(vm.load(object)) << "the host offers no such variable";
    std::uint32_t limit = 1234;
    const Module module = must(vm.load(
        object, {.variables = {{"host_limit",
                                {std::as_writable_bytes(std::span(&limit, 1)), Access::Read}}}}));
    const RunResult result = module.programs().front().run(std::span<std::byte>());
    ASSERT_FALSE(result.fault) << result.fault->message;
    EXPECT_EQ(result.r0, 1234U);
}

TEST(RunResultOf, CountsExecutedInsnsWithLddwAsOne) {
    Vm vm;
    const Module module =
        must(vm.load(object_of("r0 = 1 ll\nr1 = 2 ll\nif r0 == 1 goto +1\nr0 = 0\nexit")));
    EXPECT_EQ(module.programs().front().run(std::span<std::byte>()).insns_executed, 4U);
}

TEST(Environment, SeededRandomIsTheSameInEachRun) {
    Vm vm({.environment = {.random_seed = 42}});
    const Module module =
        must(vm.load(object_of("call 7\nr6 = r0\ncall 7\nr0 <<= 32\nr0 |= r6\nexit")));
    const Executable program = module.programs().front();
    const std::uint64_t first = program.run(std::span<std::byte>()).r0;
    EXPECT_EQ(program.run(std::span<std::byte>()).r0, first);
    EXPECT_NE(first >> 32, first & 0xffffffff);
}

TEST(Environment, ClockIsTheHosts) {
    Vm vm({.environment = {.clock = [] { return std::uint64_t{123}; }}});
    const Module module = must(vm.load(object_of("call 5\nexit")));
    EXPECT_EQ(module.programs().front().run(std::span<std::byte>()).r0, 123U);
}

TEST(HelperTable, InconsistentPrototypesAreRefused) {
    HelperTable table;
    const HelperFn fn = [](CallContext&, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                           std::uint64_t) { return std::uint64_t{0}; };
    EXPECT_FALSE(
        table.add({.proto = {.name = "size_first", .args = {ArgType::ConstSize}}, .fn = fn}));
    EXPECT_FALSE(table.add(
        {.proto = {.name = "gap", .args = {ArgType::None, ArgType::Anything}}, .fn = fn}));
    EXPECT_FALSE(table.add({.proto = {.name = "", .args = {}}, .fn = fn}));
    EXPECT_TRUE(table.add(
        {.proto = {.name = "fine", .args = {ArgType::PtrToMem, ArgType::ConstSize}}, .fn = fn}));
}

} // namespace
} // namespace ebpfvm::test
