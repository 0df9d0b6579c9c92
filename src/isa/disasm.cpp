// Text of each operand shape; the operator comes from the row. asm_parser.cpp reads it back.
#include "isa/disasm.hpp"

#include "support/assert.hpp"
#include "support/try.hpp"

#include <cstring>

namespace ebpfvm::isa {
namespace {

std::string reg(unsigned number, bool is_64) {
    return fmt::format("{}{}", is_64 ? 'r' : 'w', number);
}

// "*(u32 *)(r1 +76)"
std::string memory(std::string_view type, unsigned base, int off) {
    return fmt::format("*({} *)(r{} {:+})", type, base, off);
}

// "(u32 *)(r1 +76)", the operand of the atomic functions
std::string pointer(std::string_view type, unsigned base, int off) {
    return fmt::format("({} *)(r{} {:+})", type, base, off);
}

std::string_view atomic_type(const OpInfo& row) {
    return row.is_64 ? "u64" : "u32";
}

std::string atomic_fetch_text(const Decoded& insn, const OpInfo& row) {
    const std::string src = reg(insn.src, row.is_64);
    const std::string ptr = pointer(atomic_type(row), insn.dst, insn.off);
    if (row.text == "cmpxchg") {
        const std::string r0 = reg(0, row.is_64);
        return fmt::format("{} = cmpxchg({}, {}, {})", r0, ptr, r0, src);
    }
    return fmt::format("{} = {}({}, {})", src, row.text, ptr, src);
}

std::string lddw_text(const Decoded& insn, const OpInfo& row) {
    if (insn.op == Op::LddwImm64) {
        return fmt::format("r{} = {:#x} ll", insn.dst, insn.imm64());
    }
    if (insn.op == Op::LddwFunc) {
        return fmt::format("r{} = {}({:+}) ll", insn.dst, row.text, insn.imm);
    }
    if (has_second_imm(insn.op)) {
        return fmt::format("r{} = {}({}, {}) ll", insn.dst, row.text, insn.imm, insn.imm_hi);
    }
    return fmt::format("r{} = {}({}) ll", insn.dst, row.text, insn.imm);
}

std::string call_kfunc_text(const Decoded& insn) {
    return insn.off == 0 ? fmt::format("call kfunc({})", insn.imm)
                         : fmt::format("call kfunc({}, {})", insn.imm, insn.off);
}

} // namespace

std::string to_text(const Decoded& insn) {
    const OpInfo& row = info(insn.op);
    const std::string dst = reg(insn.dst, row.is_64);
    const std::string src = reg(insn.src, row.is_64);
    switch (row.shape) {
    case Shape::AluImm:
        return fmt::format("{} {} {}", dst, row.text, insn.imm);
    case Shape::AluReg:
        return fmt::format("{} {} {}", dst, row.text, src);
    case Shape::Neg:
        return fmt::format("{} = -{}", dst, dst);
    case Shape::Movsx:
        return fmt::format("{} = {}{}", dst, row.text, src);
    case Shape::Swap:
        return fmt::format("{} = {} {}", dst, row.text, dst);
    case Shape::JmpImm:
        return fmt::format("if {} {} {} goto {:+}", dst, row.text, insn.imm, insn.off);
    case Shape::JmpReg:
        return fmt::format("if {} {} {} goto {:+}", dst, row.text, src, insn.off);
    case Shape::Load:
        return fmt::format("{} = {}", dst, memory(row.text, insn.src, insn.off));
    case Shape::StoreImm:
        return fmt::format("{} = {}", memory(row.text, insn.dst, insn.off), insn.imm);
    case Shape::StoreReg:
        return fmt::format("{} = {}", memory(row.text, insn.dst, insn.off), src);
    case Shape::Atomic:
        return fmt::format("lock {} {} {}", memory(atomic_type(row), insn.dst, insn.off), row.text,
                           src);
    case Shape::AtomicFetch:
        return atomic_fetch_text(insn, row);
    case Shape::LoadAcquire:
        return fmt::format("{} = load_acquire({})", dst, pointer(row.text, insn.src, insn.off));
    case Shape::StoreRelease:
        return fmt::format("store_release({}, {})", pointer(row.text, insn.dst, insn.off), src);
    case Shape::Lddw:
        return lddw_text(insn, row);
    case Shape::LdAbs:
        return fmt::format("r0 = *({} *)skb[{}]", row.text, insn.imm);
    case Shape::LdInd:
        return fmt::format("r0 = *({} *)skb[r{} {:+}]", row.text, insn.src, insn.imm);
    case Shape::Ja:
    case Shape::MayGoto:
        return fmt::format("{} {:+}", row.text, insn.off);
    case Shape::Jal:
        return fmt::format("{} {:+}", row.text, insn.imm);
    case Shape::CallHelper:
        return fmt::format("{} {}", row.text, insn.imm);
    case Shape::CallLocal:
        return fmt::format("{} pc{:+}", row.text, insn.imm);
    case Shape::CallKfunc:
        return call_kfunc_text(insn);
    case Shape::Callx:
        return fmt::format("{} r{}", row.text, insn.dst);
    case Shape::CallxImm:
        return fmt::format("{} r{}", row.text, insn.imm);
    case Shape::Exit:
        return std::string(row.text);
    case Shape::AddrSpaceCast:
        return fmt::format("r{} = {}(r{}, {}, {})", insn.dst, row.text, insn.src,
                           std::uint32_t(insn.imm) >> 16, insn.imm & 0xffff);
    }
    std::unreachable();
}

} // namespace ebpfvm::isa

namespace ebpfvm {

Expected<std::string> disassemble(std::span<const Insn> insns) {
    std::string text;
    for (std::size_t i = 0; i < insns.size();) {
        TRY_ASSIGN(const isa::Decoded insn, isa::decode(insns, i));
        text += isa::to_text(insn);
        text += '\n';
        i += insn.slots;
    }
    return text;
}

std::string disassemble_at(std::span<const Insn> insns, std::size_t index) {
    EBPFVM_ASSERT(index < insns.size());
    const auto insn = isa::decode(insns, index);
    return insn ? isa::to_text(*insn) : fmt::format("<invalid {:#04x}>", insns[index].code);
}

Expected<std::vector<Insn>> insns_from_bytes(std::span<const std::byte> bytes) {
    if (bytes.empty() || bytes.size() % kInsnSize != 0) {
        return fail(Errc::InvalidInsn, "program size {} is not a positive multiple of {}",
                    bytes.size(), kInsnSize);
    }
    std::vector<Insn> insns(bytes.size() / kInsnSize);
    std::memcpy(insns.data(), bytes.data(), bytes.size());
    return insns;
}

} // namespace ebpfvm
