// The text of every operand shape, and the two public ways to get at it.
#include "isa/disasm.hpp"
#include "op_samples.hpp"

#include <cstring>
#include <map>

namespace ebpfvm::isa {
namespace {

class DisasmEveryOp : public EveryOp {};

INSTANTIATE_TEST_SUITE_P(Table, DisasmEveryOp, testing::ValuesIn(all_ops()), name_of_op);

TEST_P(DisasmEveryOp, TextAssemblesToTheSameBytes) {
    for (const Decoded& insn : samples(GetParam())) {
        const std::string text = to_text(insn);
        const auto insns = assemble(text);
        ASSERT_TRUE(insns) << text << ": " << to_string(insns.error());
        EXPECT_EQ(*insns, encoded(insn)) << text;
    }
}

TEST(Disasm, GivesDifferentInsnsDifferentTexts) {
    std::map<std::string, std::string_view> seen;
    for (const OpInfo& row : all_ops()) {
        for (const Decoded& insn : samples(row)) {
            const auto [at, is_new] = seen.insert({to_text(insn), row.name});
            EXPECT_TRUE(is_new) << at->first << " is " << at->second << " and " << row.name;
        }
    }
}

TEST(Disasm, WritesEachShapeLikeTheKernel) {
    const std::pair<Decoded, std::string_view> cases[] = {
        {{.op = Op::Add64Imm, .dst = 1, .imm = -5}, "r1 += -5"},
        {{.op = Op::Sdiv32Reg, .dst = 1, .src = 2}, "w1 s/= w2"},
        {{.op = Op::Mov64Reg, .dst = 1, .src = 10}, "r1 = r10"},
        {{.op = Op::Neg32, .dst = 3}, "w3 = -w3"},
        {{.op = Op::Movsx8to32, .dst = 1, .src = 2}, "w1 = (s8)w2"},
        {{.op = Op::Movsx32to64, .dst = 1, .src = 2}, "r1 = (s32)r2"},
        {{.op = Op::Be16, .dst = 4}, "r4 = be16 r4"},
        {{.op = Op::Jsgt32Imm, .dst = 1, .off = 3, .imm = 7}, "if w1 s> 7 goto +3"},
        {{.op = Op::Jset64Reg, .dst = 1, .src = 2, .off = -3}, "if r1 & r2 goto -3"},
        {{.op = Op::Ldxw, .dst = 3, .src = 1, .off = 76}, "r3 = *(u32 *)(r1 +76)"},
        {{.op = Op::Ldxsb, .dst = 3, .src = 1, .off = -1}, "r3 = *(s8 *)(r1 -1)"},
        {{.op = Op::SthImm, .dst = 10, .off = -2, .imm = 7}, "*(u16 *)(r10 -2) = 7"},
        {{.op = Op::StdwReg, .dst = 10, .src = 1, .off = -8}, "*(u64 *)(r10 -8) = r1"},
        {{.op = Op::AtomicAdd32, .dst = 1, .src = 2, .off = 4}, "lock *(u32 *)(r1 +4) += w2"},
        {{.op = Op::FetchXor64, .dst = 1, .src = 2}, "r2 = atomic_fetch_xor((u64 *)(r1 +0), r2)"},
        {{.op = Op::Cmpxchg32, .dst = 1, .src = 2}, "w0 = cmpxchg((u32 *)(r1 +0), w0, w2)"},
        {{.op = Op::LoadAcquireb, .dst = 1, .src = 2}, "r1 = load_acquire((u8 *)(r2 +0))"},
        {{.op = Op::StoreReleasew, .dst = 1, .src = 2}, "store_release((u32 *)(r1 +0), r2)"},
        {{.op = Op::LddwImm64, .dst = 1, .imm = -1, .imm_hi = 1}, "r1 = 0x1ffffffff ll"},
        {{.op = Op::LddwMapIdx, .dst = 1, .imm = 2}, "r1 = map(2) ll"},
        {{.op = Op::LddwMapValueFd, .dst = 1, .imm = 2, .imm_hi = 8}, "r1 = map_value_fd(2, 8) ll"},
        {{.op = Op::LddwFunc, .dst = 1, .imm = 2}, "r1 = func(+2) ll"},
        {{.op = Op::LdAbsh, .imm = 12}, "r0 = *(u16 *)skb[12]"},
        {{.op = Op::LdIndw, .src = 7, .imm = -4}, "r0 = *(u32 *)skb[r7 -4]"},
        {{.op = Op::Ja, .off = -1}, "goto -1"},
        {{.op = Op::Jal, .imm = 70000}, "gotol +70000"},
        {{.op = Op::MayGoto, .off = 2}, "may_goto +2"},
        {{.op = Op::CallHelper, .imm = 5}, "call 5"},
        {{.op = Op::CallLocal, .imm = 5}, "call pc+5"},
        {{.op = Op::CallKfunc, .imm = 5}, "call kfunc(5)"},
        {{.op = Op::CallKfunc, .off = 1, .imm = 5}, "call kfunc(5, 1)"},
        {{.op = Op::Callx, .dst = 3}, "callx r3"},
        {{.op = Op::CallxImm, .imm = 3}, "callx_imm r3"},
        {{.op = Op::Exit}, "exit"},
        {{.op = Op::AddrSpaceCast, .dst = 1, .src = 2, .imm = 1}, "r1 = addr_space_cast(r2, 0, 1)"},
    };
    for (const auto& [insn, text] : cases) {
        EXPECT_EQ(to_text(insn), text);
    }
}

TEST(Disassemble, WritesOneLinePerInstructionAndOneForALddw) {
    const auto insns = assemble("r1 = 1 ll\nexit");
    ASSERT_TRUE(insns);
    EXPECT_EQ(disassemble(*insns).value(), "r1 = 0x1 ll\nexit\n");
    EXPECT_EQ(disassemble({}).value(), "");
}

TEST(Disassemble, NamesTheInsnThatIsNone) {
    const auto text = disassemble(std::vector{Insn{.code = 0x95}, Insn{.code = 0xff}});
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, Errc::InvalidInsn);
    EXPECT_NE(text.error().message.find("insn 1"), std::string::npos);
}

TEST(Disassemble, WritesASingleInsnEvenIfItIsInvalid) {
    const std::vector insns{Insn{.code = 0x95}, Insn{.code = 0x8f}, Insn{.code = 0x18}};
    EXPECT_EQ(disassemble_at(insns, 0), "exit");
    EXPECT_EQ(disassemble_at(insns, 1), "<invalid 0x8f>");
    EXPECT_EQ(disassemble_at(insns, 2), "<invalid 0x18>");
}

TEST(InsnsFromBytes, TakesWholeSlotsOnly) {
    const std::vector<std::byte> bytes(24);
    EXPECT_EQ(insns_from_bytes(bytes).value().size(), 3u);
    EXPECT_FALSE(insns_from_bytes({}));
    EXPECT_FALSE(insns_from_bytes(std::span(bytes).first(23)));
}

TEST(InsnsFromBytes, ReadsTheLayoutOfTheStandard) {
    const unsigned char raw[] = {0x61, 0x21, 0xfe, 0xff, 0x04, 0x03, 0x02, 0x81};
    const auto insns = insns_from_bytes(std::as_bytes(std::span(raw)));
    ASSERT_TRUE(insns);
    EXPECT_EQ(insns->front(),
              (Insn{.code = 0x61, .dst = 1, .src = 2, .off = -2, .imm = -0x7efdfcfc}));
}

} // namespace
} // namespace ebpfvm::isa
