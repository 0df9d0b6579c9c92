// The 8-byte instruction of RFC 9669 and its text form.
#pragma once

#include "ebpfvm/error.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ebpfvm {

/// One 8-byte slot as it lies in memory (RFC 9669 §3, little endian). `lddw` takes two slots.
struct Insn {
    std::uint8_t code = 0;
    std::uint8_t dst : 4 = 0;
    std::uint8_t src : 4 = 0;
    std::int16_t off = 0;
    std::int32_t imm = 0;

    bool operator==(const Insn&) const = default;
};
static_assert(sizeof(Insn) == 8);

inline constexpr unsigned kInsnSize = 8;
inline constexpr unsigned kRegCount = 11; ///< r0..r10; r10 is the read-only frame pointer
inline constexpr unsigned kFramePointer = 10;

/// Values of the src field that give `lddw` (code 0x18) a meaning of its own. The kernel's numbers.
/// Programs inside ebpfvm use only the index forms: `imm` is the index of a map in Object::maps().
enum class LddwSrc : std::uint8_t {
    Imm64 = 0,
    MapFd = 1,
    MapValueFd = 2,
    BtfId = 3, ///< imm is an index into Object::externs()
    Func = 4,
    MapIdx = 5,
    MapValueIdx = 6,
};

/// Values of the src field of `call` (code 0x85). The kernel's numbers.
enum class CallSrc : std::uint8_t {
    Helper = 0,
    Local = 1,
    Kfunc = 2, ///< imm is an index into Object::externs()
};

/// Translates text to instructions: the kernel/LLVM dialect (`r0 += r1`) or bpf_conformance's
/// (`add %r0, %r1`), recognised line by line. `;` and `#` and `//` start comments, `name:` a label.
/// Errors: Errc::MalformedText with the line in `where`.
[[nodiscard]] Expected<std::vector<Insn>> assemble(std::string_view text);

/// Text in the kernel/LLVM dialect, one line per instruction; assemble() of it gives the same
/// bytes back. Errors: Errc::InvalidInsn for bytes that are no instruction, naming the insn.
[[nodiscard]] Expected<std::string> disassemble(std::span<const Insn> insns);

/// The text of the instruction at `index` alone, e.g. "r3 = *(u32 *)(r1 +76)"; "<invalid 8f ...>"
/// if it is none. `index` must be inside `insns`.
[[nodiscard]] std::string disassemble_at(std::span<const Insn> insns, std::size_t index);

/// Reinterprets raw bytes as instructions. Errors: Errc::InvalidInsn if empty or not a multiple
/// of 8.
[[nodiscard]] Expected<std::vector<Insn>> insns_from_bytes(std::span<const std::byte> bytes);

} // namespace ebpfvm
