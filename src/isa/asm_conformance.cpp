// The mnemonics are the lower-case names of insn.def's rows; a row's macro says how to read them.
#include "isa/asm_conformance.hpp"

#include <algorithm>
#include <map>

namespace ebpfvm::isa {
namespace {

struct Mnemonic;
using Parser = Expected<Statement> (*)(Cursor& in, const Mnemonic& mnemonic);

struct Mnemonic {
    Parser parse;
    Op op;
    Op reg_op; // the form whose last operand is a register, if it shares the mnemonic
};

// The last operand of an operation that exists in both forms: src and its op, or imm.
Expected<void> parse_value(Cursor& in, const Mnemonic& mnemonic, Decoded& insn) {
    if (is_register(in.peek())) {
        insn.op = mnemonic.reg_op;
        TRY_ASSIGN(insn.src, parse_reg(in));
    } else {
        TRY_ASSIGN(insn.imm, parse_imm32(in, "a register or a number"));
    }
    return {};
}

// "[%r10-8]"
Expected<Address> parse_memory(Cursor& in) {
    TRY(in.expect("["));
    TRY_ASSIGN(const Address address, parse_address(in));
    TRY(in.expect("]"));
    return address;
}

Expected<Statement> parse_alu(Cursor& in, const Mnemonic& mnemonic) {
    Statement out = statement(mnemonic.op);
    TRY_ASSIGN(out.insn.dst, parse_reg(in));
    TRY(in.expect(","));
    TRY(parse_value(in, mnemonic, out.insn));
    return out;
}

Expected<Statement> parse_unary(Cursor& in, const Mnemonic& mnemonic) {
    Statement out = statement(mnemonic.op);
    TRY_ASSIGN(out.insn.dst, parse_reg(in));
    return out;
}

Expected<Statement> parse_movsx(Cursor& in, const Mnemonic& mnemonic) {
    Statement out = statement(mnemonic.op);
    TRY_ASSIGN(out.insn.dst, parse_reg(in));
    TRY(in.expect(","));
    TRY_ASSIGN(out.insn.src, parse_reg(in));
    return out;
}

Expected<Statement> parse_cond_jump(Cursor& in, const Mnemonic& mnemonic) {
    TRY_ASSIGN(Statement out, parse_alu(in, mnemonic)); // "%r1, 5", as an arithmetic operation has
    TRY(in.expect(","));
    TRY(parse_target(in, out));
    return out;
}

Expected<Statement> parse_jump(Cursor& in, const Mnemonic& mnemonic) {
    Statement out = statement(mnemonic.op);
    TRY(parse_target(in, out));
    return out;
}

Expected<Statement> parse_load(Cursor& in, const Mnemonic& mnemonic) {
    Statement out = statement(mnemonic.op);
    TRY_ASSIGN(out.insn.dst, parse_reg(in));
    TRY(in.expect(","));
    TRY_ASSIGN(const Address from, parse_memory(in));
    out.insn.src = from.base;
    out.insn.off = from.off;
    return out;
}

// Stores and atomics: memory, then what goes there.
Expected<Statement> parse_memory_first(Cursor& in, const Mnemonic& mnemonic) {
    Statement out = statement(mnemonic.op);
    TRY_ASSIGN(const Address to, parse_memory(in));
    out.insn.dst = to.base;
    out.insn.off = to.off;
    TRY(in.expect(","));
    if (info(mnemonic.op).imm == Field::Operand) {
        TRY_ASSIGN(out.insn.imm, parse_imm32(in));
    } else {
        TRY_ASSIGN(out.insn.src, parse_reg(in));
    }
    return out;
}

Expected<Statement> parse_lddw(Cursor& in, const Mnemonic& mnemonic) {
    Statement out = statement(mnemonic.op);
    TRY_ASSIGN(out.insn.dst, parse_reg(in));
    TRY(in.expect(","));
    TRY_ASSIGN(const Number number, parse_number(in));
    TRY_ASSIGN(const std::uint64_t imm, to_imm64(number));
    out.insn.set_imm64(imm);
    return out;
}

std::string lower_case(std::string_view name) {
    std::string text(name);
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    return text;
}

// `name` with its first `prefix` replaced, e.g. "Stb" -> "stxb", "AtomicAdd" -> "lock add".
std::string renamed(std::string_view name, std::string_view prefix, std::string_view replacement) {
    std::string text = lower_case(name);
    if (const auto at = text.find(prefix); at != std::string::npos) {
        text.replace(at, prefix.size(), replacement);
    }
    return text;
}

using Mnemonics = std::map<std::string, Mnemonic, std::less<>>;

// The mnemonic without a width is the 64-bit form.
Mnemonics make_mnemonics() {
    Mnemonics table;
    const auto add = [&](const std::string& text, Parser parse, Op op, Op reg_op) {
        table.insert({text, Mnemonic{parse, op, reg_op}});
    };
#define EBPFVM_ALU(name, ...)                                                                      \
    add(lower_case(#name), parse_alu, Op::name##64Imm, Op::name##64Reg);                           \
    add(lower_case(#name "32"), parse_alu, Op::name##32Imm, Op::name##32Reg);
#define EBPFVM_NEG(name, ...)                                                                      \
    add(lower_case(#name), parse_unary, Op::name##64, Op::name##64);                               \
    add(lower_case(#name "32"), parse_unary, Op::name##32, Op::name##32);
#define EBPFVM_MOVSX(name, ...) add(renamed(#name, "to", ""), parse_movsx, Op::name, Op::name);
#define EBPFVM_SWAP(name, ...)                                                                     \
    add(lower_case(#name), parse_unary, Op::name, Op::name);                                       \
    add(renamed(#name, "bswap", "swap"), parse_unary, Op::name, Op::name);
#define EBPFVM_JMP(name, ...)                                                                      \
    add(lower_case(#name), parse_cond_jump, Op::name##64Imm, Op::name##64Reg);                     \
    add(lower_case(#name "32"), parse_cond_jump, Op::name##32Imm, Op::name##32Reg);
#define EBPFVM_LOAD(name, ...) add(lower_case(#name), parse_load, Op::name, Op::name);
#define EBPFVM_STORE(name, ...)                                                                    \
    add(lower_case(#name), parse_memory_first, Op::name##Imm, Op::name##Imm);                      \
    add(renamed(#name, "st", "stx"), parse_memory_first, Op::name##Reg, Op::name##Reg);
#define EBPFVM_ATOMIC(name, ...)                                                                   \
    add(renamed(#name, "atomic", "lock "), parse_memory_first, Op::name##64, Op::name##64);        \
    add(renamed(#name "32", "atomic", "lock "), parse_memory_first, Op::name##32, Op::name##32);
#define EBPFVM_ATOMIC_FETCH(name, ...)                                                             \
    add("lock " + renamed(#name, "fetch", "fetch "), parse_memory_first, Op::name##64,             \
        Op::name##64);                                                                             \
    add("lock " + renamed(#name "32", "fetch", "fetch "), parse_memory_first, Op::name##32,        \
        Op::name##32);
#include "ebpfvm/tables/insn.def"
    add("lddw", parse_lddw, Op::LddwImm64, Op::LddwImm64);
    add("ja", parse_jump, Op::Ja, Op::Ja);
    add("ja32", parse_jump, Op::Jal, Op::Jal);
    return table;
}

const Mnemonics& mnemonics() {
    static const Mnemonics table = make_mnemonics(); // immutable after its construction
    return table;
}

// "add32", or of a lock line "lock fetch add32"; the cursor is left behind it.
std::string take_mnemonic(Cursor& in) {
    std::string text(in.take().text);
    if (text == "lock") {
        if (in.accept("fetch")) {
            text += " fetch";
        }
        text += fmt::format(" {}", in.take().text);
    }
    return text;
}

} // namespace

bool is_conformance_statement(const Cursor& in) {
    Cursor ahead = in;
    return ahead.accept("lock") ? ahead.peek().text != "*" : mnemonics().contains(in.peek().text);
}

Expected<Statement> conformance_statement(Cursor& in) {
    const Cursor start = in;
    const auto found = mnemonics().find(take_mnemonic(in));
    if (found == mnemonics().end()) { // only a lock line can come here
        Cursor at = start;
        (void)at.accept("lock");
        (void)at.accept("fetch");
        return at.expected("an atomic operation such as add, fetch add32 or cmpxchg");
    }
    return found->second.parse(in, found->second);
}

} // namespace ebpfvm::isa
