// Constants of a program that blinds them are nowhere in its machine code.
#include "ebpfvm/ebpfvm.hpp"
#include "isa/decode.hpp"
#include "jit/jit.hpp"
#include "jit/native_code.hpp"
#include "support/resolved.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

namespace ebpfvm::test {
namespace {

using isa::Decoded;
using isa::Op;
using isa::Shape;

// Recognisable in any part of 4 bytes, and odd: no divisor is a power of two.
constexpr std::int32_t kConstant = std::int32_t(0xdead'beef);

// One program for each insn that has an immediate; r0 is the result.
std::vector<std::vector<Insn>> programs() {
    std::vector<std::vector<Insn>> all;
    for (unsigned number = 0; number < isa::kOpCount; ++number) {
        const Op op = Op(number);
        Decoded insn{.op = op, .dst = 0, .imm = kConstant};
        std::vector<Insn> program;
        isa::encode({.op = Op::LddwImm64, .dst = 0, .imm = 0x1234'5678, .imm_hi = 0x1bcd}, program);
        switch (isa::shape_of(op)) {
        case Shape::AluImm:
            isa::encode(insn, program);
            break;
        case Shape::JmpImm:
            insn.off = 1;
            isa::encode(insn, program);
            isa::encode({.op = Op::Mov64Imm, .dst = 0, .imm = 1}, program);
            break;
        case Shape::StoreImm:
            insn.dst = 10;
            insn.off = -8;
            isa::encode({.op = Op::StdwReg, .dst = 10, .src = 0, .off = -8}, program);
            isa::encode(insn, program);
            isa::encode({.op = Op::Ldxdw, .dst = 0, .src = 10, .off = -8}, program);
            break;
        case Shape::Lddw:
            if (op != Op::LddwImm64) {
                continue;
            }
            insn.imm_hi = kConstant;
            isa::encode(insn, program);
            break;
        default: // no immediate, or an address
            continue;
        }
        isa::encode({.op = Op::Exit}, program);
        all.push_back(std::move(program));
    }
    return all;
}

class Compiled {
  public:
    Compiled(const std::vector<Insn>& insns, bool checks, bool blinds, const jit::Cpu& cpu) {
        const Object object = Object::from_insns("test", ProgType::Unspec, insns);
        code_ = resolved(object.programs().front(), helpers_).value();
        code_->is_verified = !checks;
        code_->blinds_constants = blinds;
        EXPECT_TRUE(jit::compile_baseline(*code_, memory_, cpu));
    }

    [[nodiscard]] std::uint64_t run() const {
        const Environment environment;
        return jit::run(*code_, {.insn_budget = 100, .environment = &environment}).r0;
    }

    [[nodiscard]] bool shows(const void* constant, std::size_t bytes) const {
        const auto& native = jit::native_of(*code_);
        const auto* begin = static_cast<const char*>(native.subprogs.front());
        const auto* wanted = static_cast<const char*>(constant);
        const char* end = begin + native.code.size();
        return std::search(begin, end, wanted, wanted + bytes) != end;
    }

  private:
    HelperTable helpers_;
    std::shared_ptr<jit::CodeMemory> memory_ = jit::make_code_memory().value();
    std::shared_ptr<exec::Code> code_;
};

TEST(Blinding, HidesEveryConstantAndChangesNoResult) {
    unsigned shown = 0;
    unsigned compiled = 0;
    for (const auto& insns : programs()) {
        for (const bool checks : {false, true}) {
            for (const bool has_bmi2 : {false, true}) {
                if (has_bmi2 && !jit::Cpu::host().has_bmi2) {
                    continue;
                }
                const jit::Cpu cpu{.has_bmi2 = has_bmi2};
                const Compiled plain(insns, checks, false, cpu);
                const Compiled blind(insns, checks, true, cpu);
                const std::string text = disassemble(insns).value_or("");
                EXPECT_EQ(blind.run(), plain.run()) << text;
                EXPECT_FALSE(blind.shows(&kConstant, 4)) << text;
                shown += plain.shows(&kConstant, 4) ? 1 : 0;
                ++compiled;
            }
        }
    }
    EXPECT_GT(compiled, 200U);
    EXPECT_GT(shown, compiled / 2); // not in shifts, and stores of less than 4 bytes
}

TEST(Blinding, TakesOtherNumbersEachTime) {
    std::vector<Insn> insns;
    isa::encode({.op = Op::Mov64Imm, .dst = 0, .imm = kConstant}, insns);
    isa::encode({.op = Op::Exit}, insns);
    const auto bytes = [&insns] {
        const Object object = Object::from_insns("test", ProgType::Unspec, insns);
        Vm vm;
        const auto module =
            vm.load(object, {.engine = Engine::Baseline, .blind_constants = true}).value();
        const auto listing = module.programs().front().jited().value();
        std::string text;
        for (const ListedInsn& insn : listing) {
            for (const std::string& line : insn.lines) {
                text += insn.insn == 0 ? line : "";
            }
        }
        return text;
    };
    EXPECT_NE(bytes(), bytes());
}

} // namespace
} // namespace ebpfvm::test
