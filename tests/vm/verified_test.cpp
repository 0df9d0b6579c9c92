// Programs that the verifier has passed, run without checks: the same results as with them.
#include "support/engines.hpp"
#include "support/host_functions.hpp"

#include <fmt/format.h>

#include <cstring>

namespace ebpfvm::test {
namespace {

template <class T>
T must(Expected<T> value) {
    EXPECT_TRUE(value) << (value ? "" : to_string(value.error()));
    return std::move(value).value();
}

Object object_of(const std::string& assembly, ProgType type, std::vector<MapSpec> maps = {}) {
    return Object::from_insns("test", type, must(assemble(assembly)), std::move(maps));
}

struct PacketBuffer {
    std::vector<std::byte> bytes = std::vector<std::byte>(640);
    Packet packet{};

    explicit PacketBuffer(std::size_t size = 64) {
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            bytes[i] = std::byte(i * 7);
        }
        packet = Packet::in(bytes, std::span(bytes).subspan(256, size));
    }
};

// Every byte of every field is another one.
SkbCtx skb_of(const PacketBuffer& buffer) {
    SkbCtx ctx;
    std::array<std::byte, sizeof ctx> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = std::byte(0x81 + i);
    }
    std::memcpy(&ctx, bytes.data(), sizeof ctx);
    ctx.packet = buffer.packet;
    return ctx;
}

XdpCtx xdp_of(const PacketBuffer& buffer) {
    return {.packet = buffer.packet,
            .ingress_ifindex = 0x8182'8384,
            .rx_queue_index = 0x9192'9394,
            .egress_ifindex = 0xa1a2'a3a4};
}

RunResult run_on_packet(const Executable& program, const RunOptions& options = {},
                        std::byte first = {}) {
    PacketBuffer buffer;
    buffer.packet.data[0] = first;
    XdpCtx ctx = xdp_of(buffer);
    return program.run(ctx, options);
}

Executable load(Vm& vm, const Object& object, ExecMode mode, const EngineChoice& choice) {
    return must(vm.load(object, choice.options(mode))).programs().front();
}

class Verified : public testing::TestWithParam<EngineChoice> {
  protected:
    [[nodiscard]] static const EngineChoice& choice() { return GetParam(); }
    [[nodiscard]] static LoadOptions verified() { return choice().options(ExecMode::Verified); }
};

// Every access to the context of `type` that the verifier accepts does the same in both modes.
template <class Ctx>
void compare_accesses(const EngineChoice& choice, ProgType type, const Ctx& original,
                      const std::string& access, unsigned at_least) {
    Vm vm({.cpus = 1});
    unsigned accepted = 0;
    for (unsigned off = 0; off < 240; ++off) {
        for (const char* width : {"u8", "u16", "u32", "u64"}) {
            const Object object = object_of(fmt::format(fmt::runtime(access), width, off), type);
            if (must(verify(object, object.programs().front())).verdict != Verdict::Accept) {
                continue;
            }
            const auto module = vm.load(object, choice.options(ExecMode::Verified));
            if (!module) { // a pointer to a socket, say
                EXPECT_EQ(module.error().code, Errc::Unsupported) << to_string(module.error());
                Ctx ctx = original;
                EXPECT_TRUE(load(vm, object, ExecMode::Checked, choice).run(ctx).fault);
                continue;
            }
            ++accepted;
            Ctx unchecked_ctx = original;
            Ctx checked_ctx = original;
            const RunResult unchecked = module->programs().front().run(unchecked_ctx);
            const RunResult checked = load(vm, object, ExecMode::Checked, choice).run(checked_ctx);
            ASSERT_FALSE(checked.fault) << checked.fault->message;
            EXPECT_EQ(unchecked.r0, checked.r0) << width << " at " << off;
            EXPECT_EQ(std::memcmp(&unchecked_ctx, &checked_ctx, sizeof checked_ctx), 0)
                << width << " at " << off;
        }
    }
    EXPECT_GE(accepted, at_least);
}

TEST_P(Verified, ReadsEveryFieldOfAnSkbAsCheckedModeDoes) {
    const PacketBuffer buffer;
    compare_accesses(choice(), ProgType::SchedCls, skb_of(buffer),
                     "r2 = *({} *)(r1 +{})\nr0 = 0\nif r2 == r1 goto +0\nr0 = r2\nexit", 100);
}

TEST_P(Verified, WritesEveryFieldOfAnSkbAsCheckedModeDoes) {
    const PacketBuffer buffer;
    compare_accesses(choice(), ProgType::SchedCls, skb_of(buffer),
                     "r2 = 0x8182838485868788 ll\n*({} *)(r1 +{}) = r2\nr0 = 0\nexit", 10);
    compare_accesses(choice(), ProgType::SchedCls, skb_of(buffer),
                     "*({} *)(r1 +{}) = -3\nr0 = 0\nexit", 10);
}

TEST_P(Verified, ReadsEveryFieldOfXdpAsCheckedModeDoes) {
    const PacketBuffer buffer;
    compare_accesses(choice(), ProgType::Xdp, xdp_of(buffer), "r0 = *({} *)(r1 +{})\nexit", 5);
}

// The packet's first byte, if there is one.
constexpr const char* kFirstByte = R"(
    r2 = *(u32 *)(r1 +0)
    r3 = *(u32 *)(r1 +4)
    r4 = r2
    r4 += 1
    r0 = 0
    if r4 > r3 goto out
    r0 = *(u8 *)(r2 +0)
    out: exit)";

TEST_P(Verified, ReadsPacketsAfterACheck) {
    Vm vm({.cpus = 1});
    const Executable program =
        load(vm, object_of(kFirstByte, ProgType::Xdp), ExecMode::Verified, choice());
    EXPECT_EQ(program.mode(), ExecMode::Verified);
    const PacketBuffer buffer;
    XdpCtx ctx = xdp_of(buffer);
    EXPECT_EQ(program.run(ctx).r0, std::uint64_t(buffer.packet.data[0]));
    const PacketBuffer empty(0);
    XdpCtx nothing = xdp_of(empty);
    EXPECT_EQ(program.run(nothing).r0, 0U);
}

TEST_P(Verified, RefusesWhatTheVerifierRefuses) {
    Vm vm({.cpus = 1});
    const auto module = vm.load(
        object_of("r2 = *(u32 *)(r1 +0)\nr0 = *(u8 *)(r2 +0)\nexit", ProgType::Xdp), verified());
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code, Errc::Rejected);
    EXPECT_TRUE(module.error().message.contains("insn 1: r0 = *(u8 *)(r2 +0)"))
        << module.error().message;
    EXPECT_TRUE(module.error().message.contains("[packet-oob]")) << module.error().message;
}

TEST_P(Verified, SeesZeroesInStackThatNobodyWrote) {
    Vm vm({.cpus = 1});
    const std::string dirty = "r2 = -1\n*(u64 *)(r10 -8) = r2\n*(u64 *)(r10 -16) = r2\n"
                              "call pc+2\nr0 = 0\nexit\n"
                              "*(u64 *)(r10 -16) = -1\nr0 = 0\nexit";
    const std::string reader = "r0 = *(u64 *)(r10 -16)\nr1 = *(u64 *)(r10 -8)\nr0 |= r1\nexit";
    const auto run = [&](const std::string& assembly) {
        return run_on_packet(
            load(vm, object_of(assembly, ProgType::Xdp), ExecMode::Verified, choice()));
    };
    EXPECT_FALSE(run(dirty).fault);
    EXPECT_EQ(run(reader).r0, 0U);
}

TEST_P(Verified, PassesTheHostsContextToHelpers) {
    Vm vm({.cpus = 1});
    const Object object = object_of("r6 = r1\nr2 = -4\ncall 44\nif r0 != 0 goto out\n"
                                    "r2 = *(u32 *)(r6 +0)\nr0 = *(u32 *)(r6 +4)\nr0 -= r2\n"
                                    "out: exit",
                                    ProgType::Xdp);
    PacketBuffer buffer;
    XdpCtx ctx = xdp_of(buffer);
    EXPECT_EQ(load(vm, object, ExecMode::Verified, choice()).run(ctx).r0, 68U);
    EXPECT_EQ(ctx.packet.data, buffer.packet.data - 4);
}

TEST_P(Verified, GivesHostFunctionsTheHostsContext) {
    Vm vm({.cpus = 1});
    HelperProto proto{.name = "is_ctx"};
    proto.args = {ArgType::PtrToCtx};
    const HelperFn is_ctx = [](CallContext& call, std::uint64_t r1, std::uint64_t, std::uint64_t,
                               std::uint64_t, std::uint64_t) {
        return std::uint64_t(reinterpret_cast<const void*>(r1) == call.ctx());
    };
    ASSERT_TRUE(vm.helpers().add(0x10000, {.proto = proto, .fn = is_ctx}));
    PacketBuffer buffer;
    XdpCtx ctx = xdp_of(buffer);
    const Object object = object_of("call 0x10000\nexit", ProgType::Xdp);
    EXPECT_EQ(load(vm, object, ExecMode::Verified, choice()).run(ctx).r0, 1U);
    EXPECT_EQ(load(vm, object, ExecMode::Checked, choice()).run(ctx).r0, 1U);
}

MapSpec prog_array() {
    return {.name = "jumps",
            .type = MapType::ProgArray,
            .key_size = 4,
            .value_size = 4,
            .max_entries = 1};
}

TEST_P(Verified, TailCallsProgramsOfItsModeAlone) {
    Vm vm({.cpus = 1});
    const Object caller =
        object_of("r2 = map(0) ll\nr3 = 0\ncall 12\nr0 = 7\nexit", ProgType::Xdp, {prog_array()});
    const Object callee = object_of("r0 = *(u64 *)(r10 -8)\nr0 += 9\nexit", ProgType::Xdp);
    for (const ExecMode caller_mode : {ExecMode::Checked, ExecMode::Verified}) {
        for (const ExecMode callee_mode : {ExecMode::Checked, ExecMode::Verified}) {
            const Module module = must(vm.load(caller, choice().options(caller_mode)));
            const Module target = must(vm.load(callee, choice().options(callee_mode)));
            ASSERT_TRUE(
                Module::set_tail_call(*module.maps().front(), 0, target.programs().front()));
            EXPECT_EQ(run_on_packet(module.programs().front()).r0,
                      caller_mode == callee_mode ? 9U : 7U);
        }
    }
}

TEST_P(Verified, EndsWhenItsBudgetIsUsedUp) {
    Vm vm({.cpus = 1});
    const Object object =
        object_of("r1 = 0\nloop: r1 += 1\nif r1 < 1000000 goto loop\nr0 = r1\nexit", ProgType::Xdp);
    const Executable program = load(vm, object, ExecMode::Verified, choice());
    EXPECT_EQ(run_on_packet(program).r0, 1'000'000U);
    if (choice().engine != Engine::Interp) {
        return; // it does not count
    }
    const RunResult stopped = run_on_packet(program, {.insn_budget = 1000});
    ASSERT_TRUE(stopped.fault);
    EXPECT_EQ(stopped.fault->kind, FaultKind::BudgetExhausted);
}

// r0 = element (first byte of the packet) of an array of three, or 7.
constexpr const char* kLookup = R"(
    r2 = *(u32 *)(r1 +0)
    r3 = *(u32 *)(r1 +4)
    r0 = 0
    r4 = r2
    r4 += 1
    if r4 > r3 goto out
    r4 = *(u8 *)(r2 +0)
    *(u32 *)(r10 -4) = r4
    r2 = r10
    r2 += -4
    r1 = map(0) ll
    call 1
    if r0 == 0 goto none
    r0 = *(u64 *)(r0 +0)
    exit
    none: r0 = 7
    out: exit)";

MapSpec array_of_three() {
    return {
        .name = "three", .type = MapType::Array, .key_size = 4, .value_size = 12, .max_entries = 3};
}

TEST_P(Verified, FindsElementsOfArrays) {
    Vm vm({.cpus = 1});
    const Module module =
        must(vm.load(object_of(kLookup, ProgType::Xdp, {array_of_three()}), verified()));
    for (std::uint32_t key = 0; key < 3; ++key) {
        const std::array<std::uint32_t, 3> value{key + 100, 0, 0};
        ASSERT_TRUE(
            must(module.map("three"))
                ->write(std::as_bytes(std::span(&key, 1)), std::as_bytes(std::span(value))));
    }
    for (unsigned key = 0; key < 256; ++key) {
        EXPECT_EQ(run_on_packet(module.programs().front(), {}, std::byte(key)).r0,
                  key < 3 ? 100 + key : 7)
            << key;
    }
}

MapSpec array_per_cpu() {
    MapSpec spec = array_of_three();
    spec.type = MapType::PercpuArray;
    return spec;
}

TEST_P(Verified, FindsTheCopiesOfItsCpuInPerCpuArrays) {
    constexpr std::uint32_t kCpus = 4;
    Vm vm({.cpus = kCpus});
    const Module module =
        must(vm.load(object_of(kLookup, ProgType::Xdp, {array_per_cpu()}), verified()));
    for (std::uint32_t i = 0; i < 3 * kCpus; ++i) {
        const std::uint32_t key = i % 3;
        const std::array<std::uint32_t, 3> value{i + 100, 0, 0};
        ASSERT_TRUE(must(module.map("three"))
                        ->write(std::as_bytes(std::span(&key, 1)), std::as_bytes(std::span(value)),
                                0, i / 3));
    }
    for (std::uint32_t i = 0; i < 3 * kCpus; ++i) {
        const RunResult result = run_on_packet(module.programs().front(),
                                               {.cpu = std::int32_t(i / 3)}, std::byte(i % 3));
        EXPECT_EQ(result.r0, 100 + i) << "cpu " << i / 3;
    }
}

// Of a Vm with fewer CPUs than this one.
TEST_P(Verified, FindsNothingInAPerCpuArrayWithoutACopyForItsCpu) {
    const auto small = must(create_map(array_per_cpu(), {.cpus = 1}));
    Vm vm({.cpus = 2});
    LoadOptions options = verified();
    options.maps = {{"three", small}};
    const Module module =
        must(vm.load(object_of(kLookup, ProgType::Xdp, {array_per_cpu()}), options));
    EXPECT_EQ(run_on_packet(module.programs().front(), {.cpu = 0}).r0, 0U);
    EXPECT_EQ(run_on_packet(module.programs().front(), {.cpu = 1}).r0, 7U);
}

TEST_P(Verified, CallsTheLookupThatTheHostHasPutInPlace) {
    Vm vm({.cpus = 1});
    Helper mine = *vm.helpers().find(1);
    static unsigned calls;
    calls = 0;
    mine.fn = [](CallContext&, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
                 std::uint64_t) { return std::uint64_t{0 * ++calls}; };
    ASSERT_TRUE(vm.helpers().add(1, mine));
    const Executable program = load(vm, object_of(kLookup, ProgType::Xdp, {array_of_three()}),
                                    ExecMode::Verified, choice());
    EXPECT_EQ(run_on_packet(program).r0, 7U);
    EXPECT_EQ(calls, 1U);
}

TEST_P(Verified, KnowsItsCpu) {
    Vm vm({.cpus = 3});
    const Executable program =
        load(vm, object_of("call 8\nr0 += 10\nexit", ProgType::Xdp), ExecMode::Verified, choice());
    for (std::int32_t cpu = 0; cpu < 3; ++cpu) {
        EXPECT_EQ(run_on_packet(program, {.cpu = cpu}).r0, std::uint64_t(10 + cpu));
    }
}

TEST_P(Verified, CanBeWatched) {
    Vm vm({.cpus = 1});
    const Executable program =
        load(vm, object_of(kFirstByte, ProgType::Xdp), ExecMode::Verified, choice());
    std::vector<std::size_t> seen;
    const std::function<void(const InsnView&)> watch = [&seen](const InsnView& view) {
        seen.push_back(view.insn);
    };
    (void)run_on_packet(program, {.watch = &watch});
    EXPECT_EQ(seen, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7}));
}

TEST_P(Verified, IgnoresDeadCodeThatWouldHarm) {
    Vm vm({.cpus = 1});
    const Object object =
        object_of("r0 = 3\nif r0 == 3 goto out\nr10 = 0\nout: exit", ProgType::Xdp);
    EXPECT_EQ(run_on_packet(load(vm, object, ExecMode::Verified, choice())).r0, 3U);
}

TEST_P(Verified, NeedsNothingThatOnlyDeadCodeCalls) {
    Vm vm({.cpus = 1});
    const Object object = object_of("r0 = *(u32 *)(r1 +12)\nr0 &= 7\nif r0 <= 7 goto out\ncall 1\n"
                                    "call 165\nout: if r0 > 9 goto dead\nr0 = 4\nexit\n"
                                    "dead: r2 = 1 ll\nexit",
                                    ProgType::Xdp);
    EXPECT_EQ(vm.load(object, choice().options(ExecMode::Checked)).error().code, Errc::Unresolved);
    EXPECT_EQ(run_on_packet(load(vm, object, ExecMode::Verified, choice())).r0, 4U);
}

// Each calls the next one twice; the last one multiplies by 3.
TEST_P(Verified, LoopsInLoopsInEightFrames) {
    std::string text =
        "r6 = *(u32 *)(r1 +12)\nr6 *= r6\nr2 = r10\nr2 += -8\n*(u64 *)(r2 +0) = r6\n";
    for (unsigned i = 0; i < 7; ++i) {
        text += fmt::format("{}r1 = 2\nr3 = r2\nr2 = func(f{}) ll\nr4 = 0\ncall 181\n",
                            i == 0 ? "" : fmt::format("f{}: ", i), i + 1);
        text += i == 0 ? "r0 = *(u64 *)(r10 -8)\nexit\n" : "r0 = 0\nexit\n";
    }
    text += "f7: r1 = *(u64 *)(r2 +0)\nr1 *= 3\n*(u64 *)(r2 +0) = r1\nr0 = 0\nexit\n";
    Vm vm({.cpus = 1});
    PacketBuffer buffer;
    XdpCtx ctx = xdp_of(buffer);
    std::uint64_t expected = std::uint64_t{ctx.ingress_ifindex} * ctx.ingress_ifindex;
    for (unsigned turn = 0; turn < 128; ++turn) {
        expected *= 3;
    }
    const Executable program =
        load(vm, object_of(text, ProgType::Xdp), ExecMode::Verified, choice());
    EXPECT_EQ(program.run(ctx).r0, expected);
    unsigned depth = 0;
    bool is_in_program = true;
    const std::function<void(const InsnView&)> watch = [&](const InsnView& view) {
        depth = std::max(depth, view.depth);
        is_in_program &= view.insn < view.program.insns.size();
    };
    EXPECT_EQ(program.run(ctx, {.watch = &watch}).r0, expected);
    EXPECT_EQ(depth, 7U);
    EXPECT_TRUE(is_in_program);
}

// A host whose struct has other sizes than what programs see.
struct HostCtx {
    std::uint8_t small = 0xf1;
    std::uint64_t large = 0x1122'3344'5566'7788;
    std::array<std::uint8_t, 8> bytes{1, 2, 3, 4, 5, 6, 7, 8};
};

ProgTypeInfo host_type() {
    CtxLayout layout{.name = "host_ctx", .size = 16, .host_size = sizeof(HostCtx)};
    layout.fields = {{.name = "small",
                      .off = 0,
                      .size = 4,
                      .access = Access::ReadWrite,
                      .host_off = offsetof(HostCtx, small),
                      .host_size = 1},
                     {.name = "large",
                      .off = 4,
                      .size = 4,
                      .access = Access::ReadWrite,
                      .host_off = offsetof(HostCtx, large),
                      .host_size = 8},
                     {.name = "bytes",
                      .off = 8,
                      .size = 8,
                      .kind = CtxFieldKind::Bytes,
                      .access = Access::ReadWrite,
                      .host_off = offsetof(HostCtx, bytes),
                      .host_size = 8}};
    return {.type = ProgType(kFirstHostProgType),
            .name = "host",
            .sections = {"host"},
            .ctx = std::make_shared<const CtxLayout>(layout)};
}

TEST_P(Verified, WidensAndNarrowsFieldsOfHostTypes) {
    unsigned accepted = 0;
    for (unsigned off = 0; off < 16; ++off) {
        for (const char* width : {"u8", "u16", "u32", "u64"}) {
            for (const char* access :
                 {"r0 = *({0} *)(r1 +{1})\nexit", "*({0} *)(r1 +{1}) = -2\nr0 = 0\nexit",
                  "r2 = 0x8182838485868788 ll\n*({0} *)(r1 +{1}) = r2\nr0 = 0\nexit"}) {
                Vm vm({.cpus = 1});
                ASSERT_TRUE(vm.prog_types().add(host_type()));
                const Object object = object_of(fmt::format(fmt::runtime(access), width, off),
                                                ProgType(kFirstHostProgType));
                const auto module = vm.load(object, verified());
                if (!module) {
                    EXPECT_EQ(module.error().code, Errc::Rejected) << to_string(module.error());
                    continue;
                }
                ++accepted;
                HostCtx a;
                HostCtx b;
                const RunResult unchecked = module->programs().front().run(a);
                const RunResult checked = load(vm, object, ExecMode::Checked, choice()).run(b);
                ASSERT_FALSE(checked.fault) << checked.fault->message;
                EXPECT_EQ(unchecked.r0, checked.r0) << object.name() << width << off << access;
                EXPECT_EQ(a.small, b.small) << width << off << access;
                EXPECT_EQ(a.large, b.large) << width << off << access;
                EXPECT_EQ(a.bytes, b.bytes) << width << off << access;
            }
        }
    }
    EXPECT_GE(accepted, 40U);
}

MapSpec frozen_map(std::byte content) {
    return {.name = "consts",
            .type = MapType::Array,
            .key_size = 4,
            .value_size = 4,
            .max_entries = 1,
            .flags = map_flags::kRdonlyProg,
            .data = std::vector<std::byte>(4, content),
            .frozen = true};
}

// Sound only because the constant is 1.
constexpr const char* kFrozenBranch = R"(
    r2 = map_value(0, 0) ll
    r3 = *(u32 *)(r2 +0)
    r0 = 0
    if r3 == 0x01010101 goto out
    r0 = *(u8 *)(r0 +0)
    out: exit)";

TEST_P(Verified, TakesReplacementMapsOnlyIfTheVerdictHoldsForThem) {
    Vm vm({.cpus = 1});
    const Object object = object_of(kFrozenBranch, ProgType::Xdp, {frozen_map(std::byte{1})});
    const auto load_with = [&](const MapSpec& spec) {
        return vm.load(object,
                       {.mode = ExecMode::Verified, .maps = {{"consts", must(create_map(spec))}}});
    };
    EXPECT_TRUE(load_with(frozen_map(std::byte{1})));
    MapSpec writable = frozen_map(std::byte{1});
    writable.flags = 0;
    MapSpec thawed = frozen_map(std::byte{1});
    thawed.frozen = false;
    for (const MapSpec& other : {frozen_map(std::byte{2}), writable, thawed}) {
        const auto module = load_with(other);
        ASSERT_FALSE(module);
        EXPECT_EQ(module.error().code, Errc::InvalidArgument);
    }
}

// All sizes, with and without sign, and at the end.
TEST_P(Verified, LoadsFromFrozenMapsWhatIsThere) {
    MapSpec spec = frozen_map(std::byte{0});
    spec.value_size = 12;
    spec.data.resize(12);
    for (std::size_t i = 0; i < spec.data.size(); ++i) {
        spec.data[i] = std::byte(0xf1 - 5 * i);
    }
    const std::string text = "r2 = map_value(0, 0) ll\nr0 = *(u8 *)(r2 +0)\nr0 *= 7\n"
                             "r3 = *(s8 *)(r2 +11)\nr0 += r3\nr0 *= 7\nr3 = *(u16 *)(r2 +2)\n"
                             "r0 += r3\nr0 *= 7\nr3 = *(s16 *)(r2 +10)\nr0 += r3\nr0 *= 7\n"
                             "r3 = *(u32 *)(r2 +8)\nr0 += r3\nr0 *= 7\nr3 = *(s32 *)(r2 +4)\n"
                             "r0 += r3\nr0 *= 7\nr3 = *(u64 *)(r2 +0)\nr0 += r3\nexit";
    const auto run = [&](const MapSpec& map, ExecMode mode) {
        Vm vm({.cpus = 1});
        const Executable program =
            load(vm, object_of(text, ProgType::SocketFilter, {map}), mode, choice());
        PacketBuffer buffer;
        SkbCtx ctx = skb_of(buffer);
        return program.run(ctx).r0;
    };
    const std::uint64_t expected = run(spec, ExecMode::Checked);
    EXPECT_EQ(run(spec, ExecMode::Verified), expected);
    spec.frozen = false;
    EXPECT_EQ(run(spec, ExecMode::Verified), expected);
}

// What is frozen for programs alone, the host may change.
TEST_P(Verified, LoadsWhatTheHostHasWritten) {
    MapSpec spec = frozen_map(std::byte{1});
    spec.frozen = false;
    Vm vm({.cpus = 1});
    const Module module =
        must(vm.load(object_of("r2 = map_value(0, 0) ll\nr0 = *(u32 *)(r2 +0)\nexit",
                               ProgType::SocketFilter, {spec}),
                     verified()));
    PacketBuffer buffer;
    SkbCtx ctx = skb_of(buffer);
    EXPECT_EQ(module.programs().front().run(ctx).r0, 0x0101'0101U);
    const std::uint32_t key = 0;
    const std::uint32_t value = 5;
    ASSERT_TRUE(
        must(module.map("consts"))
            ->write(std::as_bytes(std::span(&key, 1)), std::as_bytes(std::span(&value, 1))));
    EXPECT_EQ(module.programs().front().run(ctx).r0, 5U);
}

TEST_P(Verified, RefusesHostFunctionsWithAnotherPrototypeThanTheKernels) {
    Vm vm({.cpus = 1});
    ASSERT_TRUE(vm.helpers().add_function(7, "get_prandom_u32",
                                          [](std::span<std::byte> all) { return all.size(); }));
    const auto module = vm.load(object_of("call 7\nexit", ProgType::Xdp), verified());
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code, Errc::InvalidArgument);
    EXPECT_TRUE(module.error().message.starts_with("program \"test\": insn 0: call 7"))
        << module.error().message;
}

INSTANTIATE_TEST_SUITE_P(On, Verified, testing::ValuesIn(all_choices()),
                         [](const auto& test) { return text_of(test.param); });

} // namespace
} // namespace ebpfvm::test
