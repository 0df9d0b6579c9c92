// LD_ABS and LD_IND: every width, at and beyond both ends of a packet and with the kernel's
// negative bases, here and in the running kernel.
#include "ebpfvm/vm.hpp"
#include "isa/opcode.hpp"
#include "kernel/kernel_object.hpp"
#include "kernel/test_packet.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

namespace ebpfvm::test {
namespace {

constexpr std::int32_t kPacketSize = 64;
constexpr std::uint64_t kUntouched = 0x1122'3344'5566'7788;
constexpr std::uint32_t kKey = 0;

// A load of skb[imm], or of skb[src + imm] with `base` in src.
struct PacketLoad {
    const isa::OpInfo& row;
    std::uint8_t src;
    std::int32_t base;
    std::int32_t imm;
};

// Stores what the load gave; a load outside the packet leaves before.
std::vector<Insn> program_of(const PacketLoad& load) {
    std::vector<Insn> insns{{.code = 0xbf, .dst = 6, .src = 1}}; // r6 = r1
    if (load.row.shape == isa::Shape::LdInd) {
        insns.push_back({.code = 0xb7, .dst = std::uint8_t(load.src & 0xf), .imm = load.base});
    }
    insns.insert(insns.end(),
                 {{.code = load.row.code, .src = std::uint8_t(load.src & 0xf), .imm = load.imm},
                  {.code = 0x18, .dst = 2, .src = std::uint8_t(LddwSrc::MapValueIdx)},
                  {},
                  {.code = 0x7b, .dst = 2}, // *(u64 *)(r2 +0) = r0
                  {.code = 0x95}});
    return insns;
}

struct Outcome {
    std::uint32_t retval = 0;
    std::uint64_t value = kUntouched;
    std::string error;

    bool operator==(const Outcome&) const = default;
};

Outcome run_kernel(const PacketLoad& load, std::span<const std::byte> frame) {
    Outcome outcome;
    std::vector<KernelMap> maps;
    maps.push_back(KernelMap::create(single_value_map("value", 8)).value());
    EXPECT_EQ(maps.front().update(&kKey, &outcome.value), 0);
    const auto insns = with_map_fds(program_of(load), maps);
    const auto program =
        KernelProg::load({.name = "load", .type = ProgType::SchedCls, .insns = insns});
    if (!program) {
        return {.error = program.error().message};
    }
    TestRun run;
    run.data_in = frame;
    EXPECT_EQ(program->test_run(run), 0);
    outcome.retval = run.retval;
    EXPECT_EQ(maps.front().lookup(&kKey, &outcome.value), 0);
    return outcome;
}

Outcome run_ours(const PacketLoad& load, std::span<const std::byte> frame) {
    MapSpec spec = single_value_map("value", 8);
    const auto untouched = std::as_bytes(std::span(&kUntouched, 1));
    spec.data.assign(untouched.begin(), untouched.end());
    const auto module =
        Vm().load(Object::from_insns("load", ProgType::SchedCls, program_of(load), {spec}));
    if (!module) {
        return {.error = to_string(module.error())};
    }
    PacketBuffer buffer;
    SkbCtx ctx = skb_of_test_run(frame);
    ctx.packet = buffer.fill(frame);
    const RunResult result = module->programs().front().run(ctx);
    const auto value = module->maps().front()->read(std::as_bytes(std::span(&kKey, 1)));
    return {.retval = std::uint32_t(result.r0),
            .value = load_unaligned<std::uint64_t>(value->data()),
            .error = result.fault ? result.fault->message : ""};
}

// Offsets around the ends of the packet, of its network header, and of the ranges of numbers.
std::vector<std::int32_t> offsets() {
    constexpr std::int32_t kNet = -0x100000;  // SKF_NET_OFF
    constexpr std::int32_t kLink = -0x200000; // SKF_LL_OFF
    constexpr auto kMax = std::numeric_limits<std::int32_t>::max();
    constexpr auto kMin = std::numeric_limits<std::int32_t>::min();
    std::vector<std::int32_t> result{-4096, -1, kMax - 1, kMax, kMin, kMin + 1};
    for (const std::int32_t base : {0, kNet, kLink}) {
        const std::int32_t header = base == kNet ? std::int32_t(kEthernetHeader) : 0;
        for (const std::int32_t at : {-15, -14, -4, -1, 0, 1, 13, 14, 40}) {
            result.push_back(base + at);
        }
        for (std::int32_t left = -1; left <= 4; ++left) {
            result.push_back(base + kPacketSize - header - left);
        }
    }
    return result;
}

TEST(KernelPacketLoad, AgreesAtAllEnds) {
    EBPFVM_SKIP_WITHOUT_BPF();
    std::vector<std::byte> frame(kPacketSize);
    std::ranges::generate(frame, [n = 0x71]() mutable { return std::byte(n += 0x2b); });
    std::size_t loads = 0;
    for (const isa::OpInfo& row : isa::all_ops()) {
        const bool is_ind = row.shape == isa::Shape::LdInd;
        if (row.shape != isa::Shape::LdAbs && !is_ind) {
            continue;
        }
        for (const std::int32_t off : offsets()) {
            for (const std::uint8_t src :
                 is_ind ? std::vector<std::uint8_t>{0, 1, 5, 7} : std::vector<std::uint8_t>{0}) {
                const std::int32_t base = is_ind ? off / 2 : 0;
                const PacketLoad load{row, src, base, off - base};
                const Outcome kernel = run_kernel(load, frame);
                const Outcome ours = run_ours(load, frame);
                ++loads;
                EXPECT_TRUE(kernel == ours)
                    << fmt::format("{} r{} at {}: kernel returns {:#x}, stores {:#x} {}; "
                                   "ebpfvm {:#x}, {:#x} {}",
                                   row.name, src, off, kernel.retval, kernel.value, kernel.error,
                                   ours.retval, ours.value, ours.error);
            }
        }
    }
    fmt::print("{} packet loads\n", loads);
}

} // namespace
} // namespace ebpfvm::test
