// Tested by asm_test.cpp.
#include "cli/cmd_asm.hpp"

#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/load.hpp"
#include "cli/style.hpp"
#include "ebpfvm/insn.hpp"
#include "support/try.hpp"

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
    const std::span<const std::byte> code = std::as_bytes(std::span(*insns));
    const std::string out = command.out.empty() ? "-" : command.out;
    if (command.form == AsmForm::Hex) {
        const std::string lines = hex_lines(code);
        TRY(write_file(out, std::as_bytes(std::span(lines))));
        return kExitOk;
    }
    if (out == "-" && is_terminal(stdout)) {
        return fail(Errc::InvalidArgument,
                    "bytecode is not for terminals: use -o FILE, --hex or a pipe");
    }
    TRY(write_file(out, code));
    return kExitOk;
}

} // namespace ebpfvm::cli
