// One function per operand shape, the inverse of disasm.cpp; operators come from insn.def's rows.
#include "isa/asm_kernel.hpp"

#include "isa/asm_kernel_memory.hpp"

namespace ebpfvm::isa {
namespace {

// `s> 7` or `+= r2`: what follows dst. The shapes are the two forms of the operation.
Expected<Statement> parse_operation(Cursor& in, const Reg& dst, Shape imm_shape, Shape reg_shape) {
    const Token op = in.take();
    TRY_ASSIGN(const OpInfo* with_imm, row_for(imm_shape, op, dst.is_64));
    TRY_ASSIGN(const OpInfo* with_reg, row_for(reg_shape, op, dst.is_64));
    const bool has_reg = is_register(in.peek());
    Statement out = statement(has_reg ? with_reg->op : with_imm->op);
    out.insn.dst = dst.number;
    if (has_reg) {
        TRY_ASSIGN(out.insn.src, parse_reg(in, dst.is_64));
    } else {
        TRY_ASSIGN(out.insn.imm, parse_imm32(in, "a register or a number"));
    }
    return out;
}

// Behind "if": "w1 s> -7 goto +3".
Expected<Statement> parse_cond_jump(Cursor& in) {
    TRY_ASSIGN(const Reg dst, parse_any_reg(in));
    TRY_ASSIGN(Statement out, parse_operation(in, dst, Shape::JmpImm, Shape::JmpReg));
    TRY(in.expect(info(Op::Ja).text));
    TRY(parse_target(in, out));
    return out;
}

// "(s8)r2", whose row has the brackets in its text.
Expected<Statement> parse_movsx(Cursor& in, const Reg& dst) {
    TRY(in.expect("("));
    Token type = in.take();
    const std::string text = fmt::format("({})", type.text);
    type.text = text;
    TRY_ASSIGN(const OpInfo* row, row_for(Shape::Movsx, type, dst.is_64));
    TRY(in.expect(")"));
    Statement out = statement(row->op);
    out.insn.dst = dst.number;
    TRY_ASSIGN(out.insn.src, parse_reg(in, dst.is_64));
    return out;
}

// "-r1", "-5", "5" or "5 ll"
Expected<Statement> parse_constant(Cursor& in, const Reg& dst) {
    Cursor ahead = in;
    const OpInfo* neg = find_op(Shape::Neg, ahead.take().text, dst.is_64);
    if (neg != nullptr && is_register(ahead.peek())) {
        in = ahead;
        Statement out = statement(neg->op);
        out.insn.dst = dst.number;
        TRY(expect_same(in, dst));
        return out;
    }
    TRY_ASSIGN(const Number number, parse_number(in));
    if (in.accept("ll")) {
        TRY(require_64(dst));
        Statement out = statement(Op::LddwImm64);
        out.insn.dst = dst.number;
        TRY_ASSIGN(const std::uint64_t imm, to_imm64(number));
        out.insn.set_imm64(imm);
        return out;
    }
    Statement out = statement(dst.is_64 ? Op::Mov64Imm : Op::Mov32Imm);
    out.insn.dst = dst.number;
    TRY_ASSIGN(out.insn.imm, to_imm32(number));
    return out;
}

// Behind the name of a special lddw: "(3) ll", "(3, 4) ll"; of func: "(+3) ll" or "(label) ll".
Expected<Statement> parse_lddw(Cursor& in, const Reg& dst, Op op) {
    TRY(require_64(dst));
    Statement out = statement(op);
    out.insn.dst = dst.number;
    TRY(in.expect("("));
    if (op == Op::LddwFunc) {
        TRY(parse_target(in, out));
    } else {
        TRY_ASSIGN(out.insn.imm, parse_imm32(in));
    }
    if (has_second_imm(op)) {
        TRY(in.expect(","));
        TRY_ASSIGN(out.insn.imm_hi, parse_imm32(in));
    }
    TRY(in.expect(")"));
    TRY(in.expect("ll"));
    return out;
}

// Behind "addr_space_cast": "(r2, 1, 0)", the space of the result first.
Expected<Statement> parse_addr_space_cast(Cursor& in, const Reg& dst) {
    TRY(require_64(dst));
    Statement out = statement(Op::AddrSpaceCast);
    out.insn.dst = dst.number;
    TRY(in.expect("("));
    TRY_ASSIGN(out.insn.src, parse_reg(in));
    for (int i = 0; i < 2; ++i) {
        TRY(in.expect(","));
        const Token token = in.peek();
        TRY_ASSIGN(const std::int32_t space, parse_imm32(in));
        if (space != 0 && space != 1) {
            return fail_at_token(token, "found {}, expected address space 0 or 1", quoted(token));
        }
        out.insn.imm = out.insn.imm << 16 | space;
    }
    TRY(in.expect(")"));
    return out;
}

// Behind "r1 =", a word that is no register: "be16 r1" or a function of some kind.
Expected<Statement> parse_function(Cursor& in, const Reg& dst) {
    const std::string_view name = in.peek().text;
    if (const OpInfo* swap = find_op(Shape::Swap, name)) {
        in.take();
        TRY(require_64(dst));
        TRY(expect_same(in, dst));
        Statement out = statement(swap->op);
        out.insn.dst = dst.number;
        return out;
    }
    if (const OpInfo* lddw = find_op(Shape::Lddw, name)) {
        in.take();
        return parse_lddw(in, dst, lddw->op);
    }
    if (in.accept(info(Op::AddrSpaceCast).text)) {
        return parse_addr_space_cast(in, dst);
    }
    if (in.accept("load_acquire")) {
        return kernel_load_acquire(in, dst);
    }
    if (is_atomic_fetch(name)) {
        return kernel_atomic_fetch(in, dst);
    }
    return in.expected("a register, a number or a function such as be16");
}

// A line that begins with a register.
Expected<Statement> parse_assignment(Cursor& in) {
    TRY_ASSIGN(const Reg dst, parse_any_reg(in));
    Cursor ahead = in;
    if (!ahead.accept("=") || is_register(ahead.peek())) {
        return parse_operation(in, dst, Shape::AluImm, Shape::AluReg);
    }
    in = ahead;
    if (in.accept("*")) {
        return kernel_load(in, dst);
    }
    if (in.peek().text == "(") {
        return parse_movsx(in, dst);
    }
    if (in.peek().kind == TokenKind::Word) {
        return parse_function(in, dst);
    }
    if (!starts_number(in.peek())) {
        return in.expected("a register, a number, a function, *( or (s8)");
    }
    return parse_constant(in, dst);
}

// Behind "kfunc(": "3)" or, in the BTF numbered 1, "3, 1)".
Expected<Statement> parse_kfunc(Cursor& in) {
    Statement out = statement(Op::CallKfunc);
    TRY_ASSIGN(out.insn.imm, parse_imm32(in));
    if (in.accept(",")) {
        TRY_ASSIGN(out.insn.off, parse_off16(in));
    }
    TRY(in.expect(")"));
    return out;
}

// Behind "call": "5" is a helper, "pc+3", "label" and "local label" a subprogram, "kfunc(3)" and
// "kfunc(3, 1)" a kfunc, "%r2" what the other dialect calls callx.
Expected<Statement> parse_call(Cursor& in) {
    if (starts_number(in.peek())) {
        Statement out = statement(Op::CallHelper);
        TRY_ASSIGN(out.insn.imm, parse_imm32(in));
        return out;
    }
    if (is_register(in.peek())) {
        Statement out = statement(Op::Callx);
        TRY_ASSIGN(out.insn.dst, parse_reg(in));
        return out;
    }
    Cursor ahead = in;
    if (ahead.accept("kfunc") && ahead.accept("(")) {
        in = ahead;
        return parse_kfunc(in);
    }
    ahead = in;
    if (ahead.accept("local") && !ahead.at_end()) { // `call local` alone: a label of that name
        in = ahead;
    } else if (in.peek().kind != TokenKind::Word) {
        return in.expected("a helper number, a label or pc+N");
    }
    Statement out = statement(Op::CallLocal);
    TRY(parse_target(in, out));
    return out;
}

// Jumps that always go, indirect calls and exit.
Expected<Statement> parse_control(Cursor& in) {
    for (const Op op : {Op::Ja, Op::Jal, Op::MayGoto}) {
        if (in.accept(info(op).text)) {
            Statement out = statement(op);
            TRY(parse_target(in, out));
            return out;
        }
    }
    Statement out = statement(Op::Exit);
    if (in.accept(info(Op::Callx).text)) {
        out = statement(Op::Callx);
        TRY_ASSIGN(out.insn.dst, parse_reg(in));
    } else if (in.accept(info(Op::CallxImm).text)) {
        out = statement(Op::CallxImm);
        TRY_ASSIGN(out.insn.imm, parse_reg(in));
    } else if (!in.accept(info(Op::Exit).text)) {
        return in.expected("an instruction");
    }
    return out;
}

} // namespace

Expected<Statement> kernel_statement(Cursor& in) {
    if (is_register(in.peek())) {
        return parse_assignment(in);
    }
    if (in.accept("*")) {
        return kernel_store(in);
    }
    if (in.accept("lock")) {
        return kernel_atomic(in);
    }
    if (in.accept("store_release")) {
        return kernel_store_release(in);
    }
    if (in.accept("if")) {
        return parse_cond_jump(in);
    }
    if (in.accept(info(Op::CallHelper).text)) {
        return parse_call(in);
    }
    return parse_control(in);
}

} // namespace ebpfvm::isa
