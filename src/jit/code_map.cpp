// Tested by jit/see_inside_test.cpp.
#include "jit/code_map.hpp"

#include <fmt/format.h>

namespace ebpfvm::jit {

std::string function_name(const Program& program, std::uint32_t slot) {
    if (slot == 0) {
        return program.name;
    }
    const Subprog* subprog = program.subprog_of(slot);
    return subprog != nullptr && subprog->insn == slot && !subprog->name.empty()
               ? subprog->name
               : fmt::format("{}_insn_{}", program.name, slot);
}

} // namespace ebpfvm::jit
