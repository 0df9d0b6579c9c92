// Tested by conformance_test.cpp.
#include "cli/conformance_vm.hpp"

#include "support/assert.hpp"
#include "support/try.hpp"

#include <cmath>

namespace ebpfvm::cli {
namespace {

constexpr std::uint64_t kInsnBudget = 100'000'000;

std::uint64_t gather_bytes(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d,
                           std::uint8_t e) {
    return std::uint64_t{a} << 32 | std::uint64_t{b} << 24 | std::uint64_t{c} << 16 |
           std::uint64_t{d} << 8 | e;
}

std::uint64_t memfrob(std::span<std::byte> memory) {
    for (std::byte& byte : memory) {
        byte ^= std::byte{42};
    }
    return 0;
}

std::uint64_t sqrti(std::uint64_t value) {
    return static_cast<std::uint64_t>(std::sqrt(static_cast<double>(value)));
}

// uBPF ends the program if this returns 0; the tests only call it with -1.
std::uint64_t unwind(std::uint64_t value) {
    return value;
}

HelperTable conformance_helpers() {
    HelperTable table;
    const bool is_ok = table.add_function(0, "gather_bytes", &gather_bytes) &&
                       table.add_function(1, "memfrob", &memfrob) &&
                       table.add_function(2, "no_op", [](std::uint64_t) {}) &&
                       table.add_function(3, "sqrti", &sqrti) &&
                       table.add_function(5, "unwind", &unwind);
    EBPFVM_ASSERT(is_ok);
    return table;
}

} // namespace

Vm make_conformance_vm() {
    VmOptions options;
    options.insn_budget = kInsnBudget;
    Vm vm(std::move(options));
    vm.helpers() = conformance_helpers();
    return vm;
}

Expected<RunResult> run_conformance(Vm& vm, const Object& object, const Program& program,
                                    std::span<std::byte> memory, Engine engine) {
    const LoadOptions options{.engine = engine, .programs = {program.name}};
    TRY_ASSIGN(const Module module, vm.load(object, options));
    TRY_ASSIGN(const Executable executable, module.program(program.name));
    return executable.run(memory);
}

} // namespace ebpfvm::cli
