// Tested by tools_test.cpp.
#include "cli/cmd_asm.hpp"

#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/load.hpp"
#include "cli/style.hpp"
#include "ebpfvm/insn.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <utility>

namespace ebpfvm::cli {
namespace {

// One slot per line, as bpf_conformance writes them under "-- raw".
std::string hex_lines(std::span<const std::byte> bytes) {
    std::string text;
    for (std::size_t at = 0; at < bytes.size(); at += kInsnSize) {
        text += to_hex(bytes.subspan(at, kInsnSize), " ") + "\n";
    }
    return text;
}

// One program named "main"; docs/bpft.md describes the format.
std::string bpft_text(std::span<const Insn> insns, ProgType type) {
    std::string text = fmt::format("prog main\nprog_type {} ({})\ninsns {}\n",
                                   std::to_underlying(type), name_of(type), insns.size());
    for (const Insn& insn : insns) {
        text += fmt::format("{:016x}\n", load_unaligned<std::uint64_t>(&insn));
    }
    return text + "end\n";
}

// What goes to the file.
Expected<std::string> encode(const AsmCommand& command, std::span<const Insn> insns) {
    const std::span<const std::byte> code = std::as_bytes(insns);
    switch (command.form) {
    case AsmForm::Raw:
        return std::string(as_text(code));
    case AsmForm::Hex:
        return hex_lines(code);
    case AsmForm::Bpft: {
        TRY_ASSIGN(const ProgType type, type_named(command.type, ProgTypeTable()));
        return bpft_text(insns, type);
    }
    }
    std::unreachable();
}

} // namespace

Expected<int> asm_command(const AsmCommand& command) {
    TRY_ASSIGN(const auto text, read_file(command.file));
    auto insns = assemble(as_text(text));
    if (!insns) {
        return std::unexpected(with_path(std::move(insns).error(), command.file));
    }
    if (insns->empty()) {
        return fail(Errc::MalformedText, "{}: contains no instruction", command.file);
    }
    TRY_ASSIGN(const std::string encoded, encode(command, *insns));
    const std::string out = command.out.empty() ? "-" : command.out;
    if (command.form == AsmForm::Raw && out == "-" && is_terminal(stdout)) {
        return fail(Errc::InvalidArgument,
                    "bytecode is not for terminals: use -o FILE, --hex or a pipe");
    }
    TRY(write_file(out, std::as_bytes(std::span(encoded))));
    return kExitOk;
}

} // namespace ebpfvm::cli
