// Types and operators come from insn.def's rows. Tested by asm_parser_test.cpp.
#include "isa/asm_kernel_memory.hpp"

#include "support/assert.hpp"

namespace ebpfvm::isa {
namespace {

// LLVM prints `w0 = *(u32 *)(r1 + 0)` for what the kernel calls r0: a narrow unsigned access is the
// same insn in both views of the register.
bool allows_w(const Token& type) {
    return type.text.starts_with('u') && type.text != "u64";
}

// The register that memory of this type is written from.
Expected<std::uint8_t> parse_value_reg(Cursor& in, const Token& type) {
    TRY_ASSIGN(const Reg reg, parse_any_reg(in));
    if (!allows_w(type)) {
        TRY(require_64(reg));
    }
    return reg.number;
}

// "(u32 *)"; the type is not looked up yet.
Expected<Token> parse_cast(Cursor& in) {
    TRY(in.expect("("));
    if (in.peek().kind != TokenKind::Word) {
        return in.expected("a type such as u32");
    }
    const Token type = in.take();
    TRY(in.expect("*"));
    TRY(in.expect(")"));
    return type;
}

// "(r1 +76)"
Expected<Address> parse_bracketed_address(Cursor& in) {
    TRY(in.expect("("));
    TRY_ASSIGN(const Address address, parse_address(in));
    TRY(in.expect(")"));
    return address;
}

// "(u32 *)(r1 +76)"
struct Memory {
    Token type;
    Address address;
};

Expected<Memory> parse_memory(Cursor& in) {
    Memory memory;
    TRY_ASSIGN(memory.type, parse_cast(in));
    TRY_ASSIGN(memory.address, parse_bracketed_address(in));
    return memory;
}

Statement write_to(const OpInfo& row, const Address& address) {
    return {.insn = {.op = row.op, .dst = address.base, .off = address.off}, .label = {}};
}

// A load into `dst` of memory at `from`.
Expected<Statement> read_from(Shape shape, const Reg& dst, const Memory& from) {
    TRY_ASSIGN(const OpInfo* row, row_for(shape, from.type));
    if (!allows_w(from.type)) {
        TRY(require_64(dst));
    }
    return Statement{.insn = {.op = row->op,
                              .dst = dst.number,
                              .src = from.address.base,
                              .off = from.address.off},
                     .label = {}};
}

// Atomics exist on two types only.
Expected<bool> is_64_bit(const Token& type) {
    if (type.text != "u32" && type.text != "u64") {
        return fail_at_token(type, "found {}, expected u32 or u64", quoted(type));
    }
    return type.text == "u64";
}

// Some results can go to r0 alone.
Expected<void> require_r0(const Reg& reg) {
    if (reg.number != 0) {
        return fail_at_token(reg.token, "found {}, expected {}", quoted(reg.token),
                             reg.is_64 ? "r0" : "w0");
    }
    return {};
}

// Behind "r0 = *(u8 *)skb": "[20]", "[r3]" or "[r3 +20]".
Expected<Statement> parse_packet_load(Cursor& in, const Reg& dst, const Token& type) {
    TRY(require_64(dst));
    TRY(require_r0(dst));
    TRY(in.expect("["));
    const bool indirect = is_register(in.peek());
    TRY_ASSIGN(const OpInfo* row, row_for(indirect ? Shape::LdInd : Shape::LdAbs, type));
    Statement out = statement(row->op);
    if (indirect) {
        TRY_ASSIGN(out.insn.src, parse_reg(in));
    }
    if (!indirect || in.peek().text != "]") {
        TRY_ASSIGN(out.insn.imm, parse_imm32(in));
    }
    TRY(in.expect("]"));
    return out;
}

// LLVM puts the width of an exchange into its name and leaves the cast out.
struct FetchName {
    std::string_view text;                    // as in the row
    std::optional<bool> is_64 = std::nullopt; // if the name tells
};

FetchName fetch_name(std::string_view name) {
    for (const Op op : {Op::Xchg32, Op::Xchg64, Op::Cmpxchg32, Op::Cmpxchg64}) {
        const OpInfo& row = info(op);
        if (name == fmt::format("{}{}", row.text, row.is_64 ? "_64" : "32_32")) {
            return {row.text, row.is_64};
        }
    }
    return {name};
}

} // namespace

Expected<void> expect_same(Cursor& in, const Reg& reg) {
    const Token token = in.peek();
    TRY_ASSIGN(const Reg found, parse_any_reg(in));
    if (found.number != reg.number || found.is_64 != reg.is_64) {
        return fail_at_token(token, "found {}, expected {}", quoted(token), quoted(reg.token));
    }
    return {};
}

Expected<void> require_64(const Reg& reg) {
    if (!reg.is_64) {
        return fail_at_token(reg.token, "found {}, expected a register r0 to r10",
                             quoted(reg.token));
    }
    return {};
}

Expected<Statement> kernel_store(Cursor& in) {
    TRY_ASSIGN(const Memory to, parse_memory(in));
    TRY(in.expect("="));
    const Shape shape = is_register(in.peek()) ? Shape::StoreReg : Shape::StoreImm;
    TRY_ASSIGN(const OpInfo* row, row_for(shape, to.type));
    Statement out = write_to(*row, to.address);
    if (shape == Shape::StoreReg) {
        TRY_ASSIGN(out.insn.src, parse_value_reg(in, to.type));
    } else {
        TRY_ASSIGN(out.insn.imm, parse_imm32(in, "a register or a number"));
    }
    return out;
}

Expected<Statement> kernel_atomic(Cursor& in) {
    TRY(in.expect("*"));
    TRY_ASSIGN(const Memory to, parse_memory(in));
    TRY_ASSIGN(const bool is_64, is_64_bit(to.type));
    TRY_ASSIGN(const OpInfo* row, row_for(Shape::Atomic, in.take(), is_64));
    Statement out = write_to(*row, to.address);
    TRY_ASSIGN(out.insn.src, parse_value_reg(in, to.type));
    return out;
}

Expected<Statement> kernel_store_release(Cursor& in) {
    TRY(in.expect("("));
    TRY_ASSIGN(const Memory to, parse_memory(in));
    TRY_ASSIGN(const OpInfo* row, row_for(Shape::StoreRelease, to.type));
    Statement out = write_to(*row, to.address);
    TRY(in.expect(","));
    TRY_ASSIGN(out.insn.src, parse_value_reg(in, to.type));
    TRY(in.expect(")"));
    return out;
}

Expected<Statement> kernel_load_acquire(Cursor& in, const Reg& dst) {
    TRY(in.expect("("));
    TRY_ASSIGN(const Memory from, parse_memory(in));
    TRY(in.expect(")"));
    return read_from(Shape::LoadAcquire, dst, from);
}

Expected<Statement> kernel_load(Cursor& in, const Reg& dst) {
    Memory from;
    TRY_ASSIGN(from.type, parse_cast(in));
    if (in.accept("skb")) {
        return parse_packet_load(in, dst, from.type);
    }
    TRY_ASSIGN(from.address, parse_bracketed_address(in));
    return read_from(Shape::Load, dst, from);
}

bool is_atomic_fetch(std::string_view name) {
    return find_op(Shape::AtomicFetch, fetch_name(name).text) != nullptr;
}

Expected<Statement> kernel_atomic_fetch(Cursor& in, const Reg& result) {
    const FetchName name = fetch_name(in.take().text);
    TRY(in.expect("("));
    Address to;
    bool is_64 = name.is_64.value_or(true);
    if (name.is_64) {
        TRY_ASSIGN(to, parse_address(in));
    } else {
        TRY_ASSIGN(const Memory memory, parse_memory(in));
        TRY_ASSIGN(is_64, is_64_bit(memory.type));
        to = memory.address;
    }
    if (is_64) {
        TRY(require_64(result));
    }
    TRY(in.expect(","));
    const OpInfo* row = find_op(Shape::AtomicFetch, name.text, is_64);
    EBPFVM_ASSERT(row != nullptr);
    Statement out = write_to(*row, to);
    if (is_cmpxchg(row->op)) {
        // The value compared with and the result are both in r0.
        TRY(require_r0(result));
        TRY(expect_same(in, result));
        TRY(in.expect(","));
        TRY_ASSIGN(out.insn.src, parse_reg(in, result.is_64));
    } else {
        TRY(expect_same(in, result));
        out.insn.src = result.number;
    }
    TRY(in.expect(")"));
    return out;
}

} // namespace ebpfvm::isa
