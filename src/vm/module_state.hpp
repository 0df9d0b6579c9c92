// What a Module and its Executables share.
#pragma once

#include "ebpfvm/vm.hpp"
#include "exec/code.hpp"
#include "vm/cpu_slots.hpp"

#include <memory>
#include <vector>

namespace ebpfvm::vm {

struct LoadedProgram {
    std::shared_ptr<const exec::Code> code;
    LoadCost cost{};
    Engine engine = Engine::Interp; ///< that it got
    std::uint32_t without_passes = 0; ///< jit::OptOptions::disabled
};

struct ModuleState {
    Object object;
    /// The user references, in the order of object.maps(): while one lives, prog arrays keep their
    /// programs.
    std::vector<std::shared_ptr<Map>> maps;
    std::vector<LoadedProgram> programs;
    std::uint64_t insn_budget = 0;
    std::shared_ptr<const Environment> environment;
    std::shared_ptr<CpuSlots> cpu_slots;
};

} // namespace ebpfvm::vm
