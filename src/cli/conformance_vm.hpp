// A VM as the tests of bpf_conformance expect it.
#pragma once

#include "ebpfvm/vm.hpp"

#include <cstddef>
#include <span>

namespace ebpfvm::cli {

/// No helpers but uBPF's test functions: 0 gather_bytes, 1 memfrob, 2 no_op, 3 sqrti, 5 unwind.
/// (Its 4, strcmp, reads strings of unknown length and is not offered to programs that nobody
/// verified.)
[[nodiscard]] Vm make_conformance_vm();

/// Loads `program` of `object` and runs it with r1 = memory, r2 = its size.
[[nodiscard]] Expected<RunResult> run_conformance(Vm& vm, const Object& object,
                                                  const Program& program,
                                                  std::span<std::byte> memory, Engine engine);

} // namespace ebpfvm::cli
