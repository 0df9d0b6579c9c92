// One input, run once or many times. Tested by run_once_test.cpp.
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/packet_batch.hpp"
#include "cli/run_job.hpp"
#include "cli/verdicts.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cstdio>

namespace ebpfvm::cli {
namespace {

struct Outcome {
    RunResult result; ///< of the last run, which is the first that faulted
    RunCost cost;
    std::vector<std::byte> data; ///< the input as the last run left it
};

// Every run gets its own copy of the input, because programs may change it.
Outcome run_repeatedly(const RunJob& job, std::span<const std::byte> input, RingbufLog& ringbufs) {
    const CapturedPacket packet{input, static_cast<std::uint32_t>(input.size()), 0};
    PacketBatch batch(job.input, job.command.cpus);
    Outcome outcome;
    std::uint64_t left = job.command.repeat;
    while (left > 0 && !outcome.result.fault) {
        batch.clear();
        for (; left > 0 && !batch.is_full(); --left) {
            batch.add(packet);
        }
        batch.run(job.program, outcome.cost);
        ringbufs.drain(job.module);
        std::size_t last = 0;
        while (last + 1 < batch.size() && !batch.result(last).fault) {
            ++last;
        }
        outcome.result = batch.result(last);
        const auto bytes = batch.packet(last).bytes;
        outcome.data.assign(bytes.begin(), bytes.end());
    }
    return outcome;
}

void print_json(const RunJob& job, const Outcome& outcome, const std::vector<MapContent>& maps) {
    const RunResult& result = outcome.result;
    const bool has_verdict = job.input != Input::Memory && !result.fault;
    Json line = describe_job(job);
    line.add("retval", result.fault ? Json() : Json(result.r0))
        .add("verdict",
             has_verdict ? Json(verdict_name(job.program.program().type, result.r0)) : Json())
        .add("runs", outcome.cost.runs)
        .add("ns_per_run", outcome.cost.ns_per_run())
        .add("insns_executed", result.insns_executed)
        .add("fault", result.fault ? to_json(*result.fault) : Json())
        .add("stats", stats_json(job, outcome.cost))
        .add("maps", to_json(maps));
    fmt::print("{}\n", to_json(line));
}

void print_text(const RunJob& job, const Outcome& outcome, const std::vector<MapContent>& maps) {
    const RunResult& result = outcome.result;
    const Program& program = job.program.program();
    const Style& style = job.style;
    fmt::print("{} ({})\n", style.heading(program.name), name_of(program.type));
    if (result.fault) {
        fmt::print("  {}  {}\n", style.bad("fault"), to_text(*result.fault));
    } else if (job.input == Input::Memory) {
        fmt::print("  r0     {} ({:#x})\n", result.r0, result.r0);
    } else {
        fmt::print("  r0     {} ({:#x}, {})\n", result.r0, result.r0,
                   verdict_name(program.type, result.r0));
    }
    fmt::print("  insns  {}\n", result.insns_executed);
    if (outcome.cost.runs > 1) {
        fmt::print("  time   {:.1f} ns per run, {} runs\n", outcome.cost.ns_per_run(),
                   outcome.cost.runs);
    }
    print_stats(job, outcome.cost);
    print_maps(maps, style);
}

} // namespace

Expected<int> run_once(const RunJob& job) {
    const RunCommand& command = job.command;
    TRY_ASSIGN(const auto input, read_data(command.data, command.hex));
    RingbufLog ringbufs(command.map_entries);
    const Outcome outcome = run_repeatedly(job, input, ringbufs);
    if (!command.data_out.empty()) {
        TRY(write_file(command.data_out, outcome.data));
    }
    const auto maps = read_maps(job.module, ringbufs, command.map_entries);
    if (command.json) {
        print_json(job, outcome, maps);
    } else {
        print_text(job, outcome, maps);
    }
    return outcome.result.fault ? kExitFault : kExitOk;
}

} // namespace ebpfvm::cli
