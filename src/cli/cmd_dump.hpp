// `ebpfvm dump`: what engines make of a program.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/vm.hpp"

#include <string>
#include <vector>

namespace ebpfvm::cli {

enum class DumpForm : std::uint8_t {
    Xlated, ///< insns, resolved and rewritten
    Ir,     ///< the optimising compiler's intermediate form
    Jited,  ///< machine code
};

struct DumpCommand {
    DumpForm form = DumpForm::Jited;
    std::string object;
    std::string prog;            ///< empty: the first
    std::string type;            ///< of programs whose section says nothing
    Engine engine = Engine::Jit; ///< of machine code
    std::vector<std::string> without_passes{};
    bool is_checked = false; ///< as for programs that no verifier has passed
    bool blind_constants = false;
    bool with_source = false;
    bool with_facts = false;
};

/// Returns the exit code.
[[nodiscard]] Expected<int> dump_command(const DumpCommand& command, const Style& style);

} // namespace ebpfvm::cli
