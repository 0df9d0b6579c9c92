// From 8-byte slots to operations, refusing whatever RFC 9669 reserves.
#pragma once

#include "isa/opcode.hpp"

#include <span>
#include <vector>

namespace ebpfvm::isa {

/// One decoded instruction. Fields that the operation does not have are zero.
struct Decoded {
    Op op;
    std::uint8_t dst = 0;
    std::uint8_t src = 0;
    std::int16_t off = 0;
    std::int32_t imm = 0;
    std::int32_t imm_hi = 0; ///< second immediate of a two-slot insn, else 0
    std::uint8_t slots = 1;  ///< 2 for lddw

    [[nodiscard]] std::uint64_t imm64() const {
        return std::uint64_t(std::uint32_t(imm)) | std::uint64_t(std::uint32_t(imm_hi)) << 32;
    }
    void set_imm64(std::uint64_t value) {
        imm = std::int32_t(std::uint32_t(value));
        imm_hi = std::int32_t(std::uint32_t(value >> 32));
    }
    bool operator==(const Decoded&) const = default;
};

/// Decodes the insn that starts at slot `index`. Errors (Errc::InvalidInsn) name the insn and the
/// offending field: unknown opcode, non-zero reserved field, register above r10, a truncated lddw.
[[nodiscard]] Expected<Decoded> decode(std::span<const Insn> insns, std::size_t index);

/// The inverse of decode(): appends one or two slots.
void encode(const Decoded& insn, std::vector<Insn>& out);

/// Slot index a jump or local call goes to, relative to the insn at `index`; may be out of range.
[[nodiscard]] std::int64_t target_of(const Decoded& insn, std::size_t index);

/// A whole program whose structure is sound: every insn decodes; jumps and local calls land on the
/// first slot of an insn of the program; a subprogram's last insn is an exit or an unconditional
/// jump, or is never reached; jumps stay inside their subprogram.
struct DecodedProgram {
    /// By slot; the second slot of an lddw repeats its first.
    std::vector<Decoded> insns;
    /// First slots of subprograms, ascending, starting with 0.
    std::vector<std::uint32_t> subprogs;
    /// Insns that write r10, ascending: no engine may execute them.
    std::vector<std::uint32_t> frame_pointer_writes{};
};

/// Checks and decodes `insns` (1 .. 1,000,000 slots). `extra_entries` are slots that are entered
/// otherwise (addresses taken by lddw func). Errors: Errc::InvalidInsn naming the insn.
[[nodiscard]] Expected<DecodedProgram>
decode_program(std::span<const Insn> insns, std::span<const std::uint32_t> extra_entries = {});

/// BPF_COMPLEXITY_LIMIT_INSNS: longest program, in slots.
inline constexpr std::size_t kMaxInsns = 1'000'000;

} // namespace ebpfvm::isa
