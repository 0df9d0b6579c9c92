// Makes programs of functions: each entry, and behind it whatever it reaches.
#pragma once

#include "ebpfvm/object.hpp"
#include "elf/budget.hpp"
#include "elf/code.hpp"
#include "elf/input.hpp"

#include <vector>

namespace ebpfvm::elf {

struct LinkedPrograms {
    std::vector<Program> programs;
    std::vector<CoreReloc> core;
};

/// Links all entries of relocated code. Errors: Errc::LimitExceeded.
[[nodiscard]] Expected<LinkedPrograms> link_programs(const Input& input, const Code& code,
                                                     Budget& budget);

} // namespace ebpfvm::elf
