// Test files of the bpf_conformance project: a program, its memory and what must come out of it.
#pragma once

#include "ebpfvm/insn.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ebpfvm::cli {

/// One `.data` file. A file with both `-- asm` and `-- raw` says the same twice.
struct ConformanceCase {
    /// Begins with as many blank lines as precede it in the file, so that assemble() reports the
    /// file's line numbers. Empty if the file has no `-- asm`.
    std::string asm_text;
    std::vector<Insn> raw; ///< the slots as they are, perhaps no valid program
    bool has_raw = false;
    std::vector<std::byte> mem;          ///< what r1 points to; r2 is its size
    std::optional<std::uint64_t> result; ///< r0 at exit
    bool expects_error = false;          ///< loading or running must fail
    std::string error_text;              ///< upstream's message for it, may be empty
};

/// Reads the text of a `.data` file. Errors: Errc::MalformedText with the line in `where`.
[[nodiscard]] Expected<ConformanceCase> parse_conformance(std::string_view text);

} // namespace ebpfvm::cli
