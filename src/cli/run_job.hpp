// `ebpfvm run` once the program is loaded: on one input, or on all packets of a capture.
#pragma once

#include "cli/cmd_run.hpp"
#include "cli/map_content.hpp"
#include "cli/packet_batch.hpp"

namespace ebpfvm::cli {

struct RunJob {
    const RunCommand& command;
    const Style& style;
    Module module;
    Executable program;
    Input input;
};

/// Both return the exit code of the command.
[[nodiscard]] Expected<int> run_once(const RunJob& job);
[[nodiscard]] Expected<int> run_pcap(const RunJob& job);

/// Name and type of the program, as all outputs begin.
[[nodiscard]] Json describe_job(const RunJob& job);
[[nodiscard]] Json to_json(const Fault& fault);
/// "out-of-bounds: insn 12: ... (at xdp_count.c:31)"
[[nodiscard]] std::string to_text(const Fault& fault);
/// What --stats adds, null or nothing without it.
[[nodiscard]] Json stats_json(const RunJob& job, const RunCost& cost);
void print_stats(const RunJob& job, const RunCost& cost);
void print_maps(const std::vector<MapContent>& contents, const Style& style);

} // namespace ebpfvm::cli
