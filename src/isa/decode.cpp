// One loop over the rows that share an opcode byte; the error says which field was wrong.
#include "isa/decode.hpp"

#include "support/assert.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <array>
#include <tuple>

namespace ebpfvm::isa {
namespace {

// Rows sharing an opcode byte, as indices into all_ops() chained in table order.
struct CodeIndex {
    static constexpr std::uint8_t kEnd = 0xff;
    std::array<std::uint8_t, 256> first;
    std::array<std::uint8_t, kOpCount> next;

    CodeIndex() {
        static_assert(kOpCount < kEnd);
        first.fill(kEnd);
        next.fill(kEnd);
        for (unsigned i = kOpCount; i-- > 0;) {
            const std::uint8_t code = all_ops()[i].code;
            next[i] = first[code];
            first[code] = std::uint8_t(i);
        }
    }
};

const CodeIndex& code_index() {
    static const CodeIndex index; // immutable after its construction
    return index;
}

bool fits(const OpInfo& row, const Insn& insn) {
    return (row.imm == Field::Operand || insn.imm == row.imm_value) &&
           (row.src == Field::Operand || insn.src == row.src_value) &&
           (row.off == Field::Operand || insn.off == row.off_value) &&
           (row.dst == Field::Operand || insn.dst == 0);
}

// How well an insn fits a row: the number of fields that agree, in the order the fields select.
struct Mismatch {
    unsigned agreed = 0;
    std::string_view field; // first field that does not agree; empty if all do
    std::int32_t found = 0;
    std::int32_t wanted = 0;
};

Mismatch compare(const OpInfo& row, const Insn& insn) {
    struct Check {
        std::string_view field;
        Field kind;
        std::int32_t found, wanted;
    };
    // src, off and imm tell operations of one opcode apart in this order of importance: the atomic
    // selector in imm, then the pseudo src, then the variant in off.
    const std::array checks{Check{"imm", row.imm, insn.imm, row.imm_value},
                            Check{"src", row.src, insn.src, row.src_value},
                            Check{"off", row.off, insn.off, row.off_value},
                            Check{"dst", row.dst, insn.dst, 0}};
    Mismatch result;
    for (const Check& check : checks) {
        if (check.kind == Field::Operand || check.found == check.wanted) {
            ++result.agreed;
        } else if (result.field.empty()) {
            result = {result.agreed, check.field, check.found, check.wanted};
        }
    }
    return result;
}

bool cast_spaces_are_valid(const OpInfo& row, const Insn& insn) {
    // addr_space_cast goes from the arena (1) to the kernel (0) or back, nothing else.
    return row.shape != Shape::AddrSpaceCast || insn.imm == 1 || insn.imm == 1 << 16;
}

std::string bytes_of(const Insn& insn) {
    return fmt::format("{:02x} {:02x} {:04x} {:08x}", insn.code,
                       unsigned(insn.dst) | unsigned(insn.src) << 4, std::uint16_t(insn.off),
                       std::uint32_t(insn.imm));
}

std::unexpected<Error> no_such_insn(const Insn& insn, std::size_t index) {
    const CodeIndex& rows = code_index();
    const OpInfo* closest = nullptr;
    Mismatch best;
    for (unsigned i = rows.first[insn.code]; i != CodeIndex::kEnd; i = rows.next[i]) {
        const Mismatch mismatch = compare(all_ops()[i], insn);
        if (closest == nullptr || mismatch.agreed > best.agreed) {
            closest = &all_ops()[i];
            best = mismatch;
        }
    }
    if (closest == nullptr) {
        return fail(Errc::InvalidInsn, "insn {}: unknown opcode {:#04x} ({})", index, insn.code,
                    bytes_of(insn));
    }
    if (best.field.empty()) { // only the address spaces of a cast can be left
        return fail(Errc::InvalidInsn,
                    "insn {}: opcode {:#04x} ({}): imm is {}, must be 1 or 65536", index, insn.code,
                    closest->name, insn.imm);
    }
    return fail(Errc::InvalidInsn, "insn {}: opcode {:#04x} ({}): {} is {}, must be {}", index,
                insn.code, closest->name, best.field, best.found, best.wanted);
}

Expected<void> check_registers(const OpInfo& row, const Insn& insn, std::size_t index) {
    if (std::max(insn.dst, insn.src) < kRegCount && row.shape != Shape::CallxImm) {
        return {};
    }
    for (const auto& [kind, reg, name] :
         {std::tuple{row.dst, unsigned(insn.dst), "dst"}, {row.src, unsigned(insn.src), "src"}}) {
        if (kind == Field::Operand && reg >= kRegCount) {
            return fail(Errc::InvalidInsn, "insn {}: {} is r{}, registers are r0 to r10", index,
                        name, reg);
        }
    }
    if (row.shape == Shape::CallxImm && std::uint32_t(insn.imm) >= kRegCount) {
        return fail(Errc::InvalidInsn, "insn {}: callx through r{}, registers are r0 to r10", index,
                    insn.imm);
    }
    return {};
}

Expected<void> decode_second_slot(std::span<const Insn> insns, std::size_t index, Decoded& insn) {
    if (index + 1 >= insns.size()) {
        return fail(Errc::InvalidInsn, "insn {}: lddw lacks its second slot", index);
    }
    const Insn& second = insns[index + 1];
    if (second.code != 0 || second.dst != 0 || second.src != 0 || second.off != 0) {
        return fail(Errc::InvalidInsn,
                    "insn {}: second slot of lddw is {}, all but its imm must be zero", index,
                    bytes_of(second));
    }
    if (!has_second_imm(insn.op) && second.imm != 0) {
        return fail(Errc::InvalidInsn, "insn {}: {}: second imm is {}, must be 0", index,
                    info(insn.op).name, second.imm);
    }
    insn.imm_hi = second.imm;
    insn.slots = 2;
    return {};
}

} // namespace

Expected<Decoded> decode(std::span<const Insn> insns, std::size_t index) {
    EBPFVM_ASSERT(index < insns.size());
    const Insn& insn = insns[index];
    const CodeIndex& rows = code_index();
    for (unsigned i = rows.first[insn.code]; i != CodeIndex::kEnd; i = rows.next[i]) {
        const OpInfo& row = all_ops()[i];
        if (!fits(row, insn) || !cast_spaces_are_valid(row, insn)) {
            continue;
        }
        TRY(check_registers(row, insn, index));
        Decoded decoded{.op = row.op,
                        .dst = row.dst == Field::Operand ? insn.dst : std::uint8_t{0},
                        .src = row.src == Field::Operand ? insn.src : std::uint8_t{0},
                        .off = row.off == Field::Operand ? insn.off : std::int16_t{0},
                        .imm = row.imm == Field::Operand ? insn.imm : 0};
        if (row.shape == Shape::Lddw) {
            TRY(decode_second_slot(insns, index, decoded));
        }
        return decoded;
    }
    return no_such_insn(insn, index);
}

void encode(const Decoded& insn, std::vector<Insn>& out) {
    const OpInfo& row = info(insn.op);
    out.push_back(
        {.code = row.code,
         .dst = std::uint8_t(insn.dst & 0xf),
         .src = std::uint8_t((row.src == Field::Operand ? insn.src : row.src_value) & 0xf),
         .off = row.off == Field::Operand ? insn.off : row.off_value,
         .imm = row.imm == Field::Operand ? insn.imm : row.imm_value});
    if (row.shape == Shape::Lddw) {
        out.push_back({.imm = insn.imm_hi});
    }
}

std::int64_t target_of(const Decoded& insn, std::size_t index) {
    const bool in_imm = has_target_in_imm(shape_of(insn.op));
    return std::int64_t(index) + 1 + (in_imm ? insn.imm : insn.off);
}

} // namespace ebpfvm::isa
