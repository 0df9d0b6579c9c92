// verify --facts and --observe, and that what the facts say holds in runs.
#include "cli/command.hpp"
#include "cli/facts_text.hpp"
#include "cli/observe.hpp"
#include "ebpfvm/object.hpp"
#include "ebpfvm/verifier.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace ebpfvm::cli {
namespace {

constexpr std::uint64_t kInsnsPerProgram = 60'000;

Object object_of(const std::string& text) {
    return Object::from_insns("main", ProgType::Xdp, assemble(text).value());
}

std::shared_ptr<const Facts> facts_of(const Object& object, const Program& program) {
    const VerifierOptions options{.facts = true};
    auto report = verify(object, program, options);
    return report && report->verdict == Verdict::Accept ? report->facts : nullptr;
}

std::string read_text(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

TEST(Facts, SayWhatIsKnownAtEachInsn) {
    const Object object = object_of("r2 = *(u32 *)(r1 +0)\n"
                                    "r3 = *(u32 *)(r1 +4)\n"
                                    "r4 = r2\n"
                                    "r4 += 4\n"
                                    "r0 = 2\n"
                                    "if r4 > r3 goto out\n"
                                    "r5 = *(u8 *)(r2 +3)\n"
                                    "r5 <<= 2\n"
                                    "*(u64 *)(r10 -8) = r5\n"
                                    "if r0 == 1 goto out\n"
                                    "r0 = *(u64 *)(r10 -8)\n"
                                    "r0 &= 1\n"
                                    "out: exit\n");
    const auto facts = facts_of(object, object.programs().front());
    ASSERT_NE(facts, nullptr);
    const ValueFact& packet = facts->insns[6].regs[2];
    EXPECT_EQ(packet.kind, ValueKind::Packet);
    EXPECT_EQ(packet.proved, 4U);
    const ValueFact& shifted = facts->insns[8].regs[5];
    EXPECT_EQ(shifted.umax, 255U * 4);
    EXPECT_EQ(shifted.unknown_mask & 3, 0U);
    EXPECT_FALSE(facts->insns[9].may_jump);
    EXPECT_TRUE(facts->insns[9].may_fall_through);
    ASSERT_EQ(facts->insns[10].slots.size(), 1U);
    EXPECT_EQ(facts->insns[10].slots[0].off, -8);
    EXPECT_EQ(facts->insns[12].regs[0].kind, ValueKind::Number);
    EXPECT_EQ(facts->stack_bytes, std::vector<std::uint32_t>{8});
    const std::string text =
        facts_text(object, object.programs().front(), *facts, Style(ColorMode::Never));
    EXPECT_NE(text.find("r2=packet[4 proved]"), std::string::npos) << text;
    EXPECT_NE(text.find("fp-8=0..1020 step 4"), std::string::npos) << text;
    EXPECT_NE(text.find("[never]"), std::string::npos) << text;
}

// 0 or 3 where the paths meet, which could be 2 for all that joins know.
TEST(Facts, SayWhichWayAJumpGoesOnAllPaths) {
    const Object object = object_of("r0 = *(u32 *)(r1 +12)\n"
                                    "r2 = 0\n"
                                    "if r0 == 0 goto +1\n"
                                    "r2 = 3\n"
                                    "r0 = 0\n"
                                    "if r2 == 2 goto dead\n"
                                    "if r2 != 2 goto out\n"
                                    "dead: r0 = 1\n"
                                    "out: exit\n");
    const auto facts = facts_of(object, object.programs().front());
    ASSERT_NE(facts, nullptr);
    EXPECT_FALSE(facts->insns[5].may_jump);
    EXPECT_TRUE(facts->insns[5].may_fall_through);
    EXPECT_TRUE(facts->insns[6].may_jump);
    EXPECT_FALSE(facts->insns[6].may_fall_through);
    EXPECT_FALSE(facts->insns[7].is_reachable);
}

TEST(Facts, HoldInRunsOfTheExamples) {
    std::uint64_t insns = 0;
    for (const auto& entry : std::filesystem::directory_iterator(EBPFVM_BPF_DIR)) {
        if (!entry.path().string().ends_with(".bpf.o")) {
            continue;
        }
        const auto object = load_object_file(entry.path());
        ASSERT_TRUE(object) << to_string(object.error());
        for (const Program& program : object->programs()) {
            const auto facts = facts_of(*object, program);
            ASSERT_NE(facts, nullptr) << program.name;
            const Observed seen = observe(*object, program, *facts, kInsnsPerProgram);
            EXPECT_EQ(seen.violations, std::vector<std::string>{}) << program.name;
            insns += seen.insns;
        }
    }
    EXPECT_GT(insns, 10 * kInsnsPerProgram);
}

TEST(Facts, HoldForOperationsOnRandomNumbers) {
    const Object object = object_of(read_text(EBPFVM_TEST_DATA "/observe/numbers.s"));
    const Program& program = object.programs().front();
    const auto facts = facts_of(object, program);
    ASSERT_NE(facts, nullptr);
    const Observed seen = observe(object, program, *facts, kInsnsPerProgram);
    EXPECT_EQ(seen.violations, std::vector<std::string>{});
    EXPECT_GE(seen.insns, kInsnsPerProgram);
}

TEST(Facts, ThatAreWrongAreNoticed) {
    const Object object = object_of("r0 = *(u32 *)(r1 +12)\nr0 &= 7\nexit\n");
    const Program& program = object.programs().front();
    auto facts = *facts_of(object, program);
    ASSERT_EQ(facts.insns[2].regs[0].umax, 7U);
    facts.insns[2].regs[0].umin = 8;
    const Observed seen = observe(object, program, facts, 1000);
    EXPECT_FALSE(seen.violations.empty());
}

TEST(Facts, ThatAreWrongAboutJumpsAreNoticed) {
    const Object object =
        object_of("r0 = *(u32 *)(r1 +12)\nr0 &= 1\nif r0 == 0 goto +1\nr0 = 2\nexit\n");
    const Program& program = object.programs().front();
    for (const bool is_jump : {false, true}) {
        auto facts = *facts_of(object, program);
        InsnFacts& jump = facts.insns[2];
        ASSERT_TRUE(jump.may_jump && jump.may_fall_through);
        (is_jump ? jump.may_jump : jump.may_fall_through) = false;
        const Observed seen = observe(object, program, facts, 1000);
        ASSERT_FALSE(seen.violations.empty());
        EXPECT_NE(seen.violations.front().find("follows insn 2, but that always"),
                  std::string::npos);
    }
}

} // namespace
} // namespace ebpfvm::cli
