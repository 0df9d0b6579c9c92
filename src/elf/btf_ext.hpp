// .BTF.ext: which functions, source lines and CO-RE relocations belong to which insns of a section.
#pragma once

#include "ebpfvm/btf.hpp"
#include "ebpfvm/error.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

namespace ebpfvm::elf {

struct FuncRecord {
    std::uint32_t insn = 0;    ///< slot in the section
    std::uint32_t type_id = 0; ///< a Func
};

struct LineRecord {
    std::uint32_t insn = 0;
    std::string_view file;
    std::string_view text;
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    std::uint32_t indent = 0; ///< bytes that were cut off before `text`
};

struct CoreRecord {
    std::uint32_t insn = 0;
    std::uint32_t type_id = 0;
    std::string_view access;
    std::uint32_t kind = 0;
};

/// What is known about the insns of one section; each list ascends by insn without repetition.
struct SectionInfo {
    std::vector<FuncRecord> funcs;
    std::vector<LineRecord> lines;
    std::vector<CoreRecord> core;

    /// The Func that begins at a slot; 0 if unknown.
    [[nodiscard]] std::uint32_t func_at(std::uint32_t insn) const;
};

/// By section name.
using BtfExt = std::map<std::string_view, SectionInfo>;

/// Reads a .BTF.ext section; names in the result live as long as `btf`. Errors: Errc::MalformedBtf.
[[nodiscard]] Expected<BtfExt> parse_btf_ext(std::span<const std::byte> bytes, const Btf& btf);

} // namespace ebpfvm::elf
