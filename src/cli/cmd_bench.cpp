// Tested by bench_test.cpp.
#include "cli/cmd_bench.hpp"

#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/json.hpp"
#include "cli/load.hpp"
#include "cli/packet_batch.hpp"
#include "cli/run_job.hpp"
#include "support/try.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

namespace ebpfvm::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Measured {
    RunResult result; ///< of the last run
    RunCost cost;
    double load_us = 0; ///< from the file to the first run
};

double us_since(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

// Each run gets a fresh copy of the input; copying is not measured.
void measure(const BenchCommand& command, const Executable& program, Input input,
             std::span<const std::byte> bytes, Measured& measured) {
    constexpr std::uint64_t kEnough = 200'000'000; // ns
    const CapturedPacket packet{bytes, std::uint32_t(bytes.size()), 0};
    PacketBatch batch(input, 1);
    const auto is_done = [&] {
        return command.repeat != 0 ? measured.cost.runs >= command.repeat
                                   : measured.cost.ns >= kEnough;
    };
    while (!is_done() && !measured.result.fault) {
        batch.clear();
        while (!batch.is_full() &&
               (command.repeat == 0 || measured.cost.runs + batch.size() < command.repeat)) {
            batch.add(packet);
        }
        batch.run(program, measured.cost);
        measured.result = batch.result(batch.size() - 1);
    }
}

void print_json(const BenchCommand& command, const Executable& program, const Measured& measured) {
    const LoadCost& cost = program.load_cost();
    Json line = Json::object();
    line.add("object", command.object)
        .add("prog", program.program().name)
        .add("type", name_of(program.program().type))
        .add("engine", name_of(program.engine()))
        .add("mode", name_of(program.mode()))
        .add("retval", measured.result.r0)
        .add("runs", measured.cost.runs)
        .add("ns_per_run", measured.cost.ns_per_run())
        .add("load_us", measured.load_us)
        .add("verify_us", double(cost.verify_ns) / 1000)
        .add("compile_us", double(cost.compile_ns) / 1000)
        .add("insns", program.program().insns.size())
        .add("code_bytes", cost.code_bytes);
    fmt::print("{}\n", to_json(line));
}

void print_text(const BenchCommand& command, const Style& style, const Executable& program,
                const Measured& measured) {
    const LoadCost& cost = program.load_cost();
    fmt::print("{} ({}), {}, {}\n", style.heading(program.program().name),
               name_of(program.program().type), name_of(program.engine()),
               command.is_checked ? "with checks" : "verified");
    fmt::print("  r0       {} ({:#x})\n", measured.result.r0, measured.result.r0);
    fmt::print("  run      {:.1f} ns, {} runs\n", measured.cost.ns_per_run(), measured.cost.runs);
    fmt::print("  load     {:.1f} us, of which\n", measured.load_us);
    fmt::print("  verify   {:.1f} us\n", double(cost.verify_ns) / 1000);
    fmt::print("  compile  {:.1f} us, {} insns, {} bytes of machine code\n",
               double(cost.compile_ns) / 1000, program.program().insns.size(), cost.code_bytes);
}

} // namespace

Expected<int> bench_command(const BenchCommand& command, const Style& style) {
    TRY(check_jit_debug(command.jit_debug, command.engine));
    TRY_ASSIGN(const auto bytes, read_data(command.data, command.hex));
    Vm vm({.cpus = 1, .jit_debug = command.jit_debug});
    Measured measured;
    const auto start = Clock::now();
    TRY_ASSIGN(const Object object, load_input(command.object, command.type, vm.prog_types()));
    TRY_ASSIGN(const Program* program, choose_program(object, command.prog));
    TRY_ASSIGN(const Input input, input_of(vm.prog_types(), program->type));
    TRY_ASSIGN(const Module module,
               vm.load(object, {.mode = command.is_checked ? ExecMode::Checked : ExecMode::Verified,
                                .engine = command.engine,
                                .blind_constants = command.blind_constants,
                                .programs = {program->name},
                                .without_passes = command.without_passes}));
    TRY_ASSIGN(const Executable executable, module.program(program->name));
    measured.load_us = us_since(start);
    measure(command, executable, input, bytes, measured);
    if (measured.result.fault) {
        print_error(to_text(*measured.result.fault));
        return kExitFault;
    }
    if (command.json) {
        print_json(command, executable, measured);
    } else {
        print_text(command, style, executable, measured);
    }
    return kExitOk;
}

} // namespace ebpfvm::cli
