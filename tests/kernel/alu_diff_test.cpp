// Random programs over all operations, here and in the running kernel: r0, every register, and the
// memory they worked on must be the same.
#include "ebpfvm/vm.hpp"
#include "kernel/kernel_object.hpp"
#include "kernel/random_program.hpp"
#include "kernel/test_packet.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

constexpr std::uint64_t kSeed = 20240601;
constexpr std::size_t kPrograms = 3000;
constexpr std::size_t kOpsPerProgram = 60;
constexpr std::size_t kInputsPerProgram = 4;

const std::vector<std::byte> kFrame(64);

MapSpec state_spec() {
    return single_value_map("state", sizeof(RandomState));
}

struct Outcome {
    std::uint32_t r0 = 0;
    RandomState state;
};

// A program and its map, loaded here.
class Ours {
  public:
    explicit Ours(std::vector<Insn> insns)
        : module_(load(Object::from_insns("random", ProgType::SocketFilter, std::move(insns),
                                          {state_spec()}))) {}

    Expected<Outcome> run(const RandomState& state) {
        if (!module_) {
            return std::unexpected(module_.error());
        }
        Map& map = *module_->maps().front();
        TRY(map.write(std::as_bytes(std::span(&kKey, 1)), std::as_bytes(std::span(&state, 1))));
        SkbCtx skb;
        skb.packet = packet_.fill(kFrame);
        const RunResult result = module_->programs().front().run(skb);
        if (result.fault) {
            return fail(Errc::InvalidInsn, "fault: {}", result.fault->message);
        }
        TRY_ASSIGN(const auto value, map.read(std::as_bytes(std::span(&kKey, 1))));
        return Outcome{std::uint32_t(result.r0), load_unaligned<RandomState>(value.data())};
    }

  private:
    static constexpr std::uint32_t kKey = 0;
    static Expected<Module> load(const Object& object) { return Vm().load(object); }

    Expected<Module> module_;
    PacketBuffer packet_;
};

// The kernel's side. The map is shared by all programs.
class Kernel {
  public:
    Kernel() {
        auto map = KernelMap::create(state_spec());
        EXPECT_TRUE(map) << to_string(map.error());
        maps_.push_back(*std::move(map));
    }

    Expected<KernelProg> load(const std::vector<Insn>& insns) const {
        return KernelProg::load({.name = "random",
                                 .type = ProgType::SocketFilter,
                                 .insns = with_map_fds(insns, maps_)});
    }

    Expected<Outcome> run(const KernelProg& program, const RandomState& state) {
        const std::uint32_t key = 0;
        Outcome outcome;
        run_.data_in = kFrame;
        int error = maps_.front().update(&key, &state);
        error = error != 0 ? error : program.test_run(run_);
        error = error != 0 ? error : maps_.front().lookup(&key, &outcome.state);
        if (error != 0) {
            return fail(Errc::Io, "kernel: {}", text_of_errno(error));
        }
        outcome.r0 = run_.retval;
        return outcome;
    }

  private:
    std::vector<KernelMap> maps_;
    TestRun run_;
};

std::string difference(const Outcome& kernel, const Outcome& ours) {
    std::string text;
    const auto compare = [&text](std::string_view what, auto theirs, auto mine) {
        if (theirs != mine) {
            text += fmt::format("  {}: kernel {:#x}, ebpfvm {:#x}\n", what, theirs, mine);
        }
    };
    const auto compare_all = [&](std::string_view what, const auto& theirs, const auto& mine) {
        for (std::size_t i = 0; i < theirs.size(); ++i) {
            compare(fmt::format("{}[{}]", what, i), theirs[i], mine[i]);
        }
    };
    compare("return value", kernel.r0, ours.r0);
    compare_all("register", kernel.state.out, ours.state.out);
    compare_all("map u64", kernel.state.scratch, ours.state.scratch);
    compare_all("stack u64", kernel.state.stack, ours.state.stack);
    return text;
}

// The operations that this kernel's verifier knows, found by trying each alone.
std::vector<isa::Op> known_ops(const Kernel& kernel) {
    std::vector<isa::Op> known;
    std::vector<std::string_view> refused;
    for (const isa::OpInfo& row : isa::all_ops()) {
        if (!RandomProgram::is_candidate(row.op)) {
            continue;
        }
        const std::vector<Insn> insns = RandomProgram(kSeed).make(std::span(&row.op, 1), 1);
        if (kernel.load(insns)) {
            known.push_back(row.op);
        } else {
            refused.push_back(row.name);
        }
    }
    fmt::print("{} operations; this kernel refuses {}: {}\n", known.size(), refused.size(),
               fmt::join(refused, " "));
    return known;
}

RandomState random_state(RandomProgram& random) {
    RandomState state{};
    std::ranges::generate(state.in, [&] { return random.value(); });
    std::ranges::generate(state.scratch, [&] { return random.value(); });
    return state;
}

TEST(KernelIsa, RandomProgramsComputeWhatTheKernelComputes) {
    EBPFVM_SKIP_WITHOUT_BPF();
    Kernel kernel;
    const std::vector<isa::Op> ops = known_ops(kernel);
    ASSERT_GT(ops.size(), 100U); // RFC 9669 without the operations of Linux 6.6 and later

    std::size_t differences = 0;
    for (std::size_t i = 0; i < kPrograms && differences < 5; ++i) {
        RandomProgram random(kSeed + i);
        const std::vector<Insn> insns = random.make(ops, kOpsPerProgram);
        const std::string where = fmt::format("seed {}", kSeed + i);
        const auto text = [&] { return disassemble(insns).value_or("no text"); };

        const auto theirs = kernel.load(insns);
        ASSERT_TRUE(theirs) << where << ": " << to_string(theirs.error()) << "\n" << text();
        Ours ours(insns);
        for (std::size_t input = 0; input < kInputsPerProgram; ++input) {
            const RandomState state = random_state(random);
            const auto expected = kernel.run(*theirs, state);
            ASSERT_TRUE(expected) << where << ": " << to_string(expected.error());
            const auto found = ours.run(state);
            ASSERT_TRUE(found) << where << ": " << to_string(found.error()) << "\n" << text();
            if (const std::string what = difference(*expected, *found); !what.empty()) {
                ++differences;
                ADD_FAILURE() << where << " input " << input << ":\n"
                              << what << fmt::format("  in: {:#x}\n", fmt::join(state.in, " "))
                              << text();
            }
        }
    }
    fmt::print("{} programs of {} operations, {} inputs each: {} differences\n", kPrograms,
               kOpsPerProgram, kInputsPerProgram, differences);
}

TEST(KernelIsa, Cmpxchg32ClearsTheHighHalf) {
    EBPFVM_SKIP_WITHOUT_BPF();
    constexpr auto kScratch = std::int16_t(offsetof(RandomState, scratch));
    constexpr auto kOut = std::int16_t(offsetof(RandomState, out));
    const std::vector<Insn> program{
        {.code = 0x18, .dst = 9, .src = std::uint8_t(LddwSrc::MapValueIdx)},
        {},
        {.code = 0x79, .dst = 0, .src = 9},                               // r0 = in[0]
        {.code = 0xc3, .dst = 9, .src = 0, .off = kScratch, .imm = 0xf1}, // cmpxchg
        {.code = 0x7b, .dst = 9, .src = 0, .off = kOut},                  // out[0] = r0
        {.code = 0x95}};
    Kernel kernel;
    const auto theirs = kernel.load(program);
    ASSERT_TRUE(theirs) << to_string(theirs.error());
    for (const std::uint64_t memory : {0xffff'ffffULL, 0x7ULL}) { // equal, and not
        RandomState state{};
        state.in[0] = 0x1f'ffff'ffff;
        state.scratch[0] = memory;
        const auto expected = kernel.run(*theirs, state);
        const auto found = Ours(program).run(state);
        ASSERT_TRUE(expected && found);
        EXPECT_EQ(difference(*expected, *found), "");
        EXPECT_EQ(found->state.out[0], memory);
    }
}

} // namespace
} // namespace ebpfvm::test
