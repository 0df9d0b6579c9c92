// All packets of a capture file. Tested by run_pcap_test.cpp.
#include "cli/exit_code.hpp"
#include "cli/packet_batch.hpp"
#include "cli/progress.hpp"
#include "cli/run_job.hpp"
#include "cli/verdicts.hpp"
#include "support/try.hpp"

#include <cstdio>

namespace ebpfvm::cli {
namespace {

struct FaultTally {
    std::map<FaultKind, std::uint64_t> counts;
    std::optional<Fault> first;
    std::uint64_t first_packet = 0; ///< counted from 1, as tcpdump and Wireshark do

    void add(const Fault& fault, std::uint64_t packet) {
        ++counts[fault.kind];
        if (!first) {
            first = fault;
            first_packet = packet;
        }
    }
};

class PcapRun {
  public:
    PcapRun(const RunJob& job, PcapReader reader, std::optional<PcapWriter> writer)
        : job_(job), reader_(std::move(reader)), writer_(std::move(writer)),
          batch_(job.input, job.command.cpus), verdicts_(job.program.program().type),
          ringbufs_(job.command.map_entries),
          progress_(job.command.progress || is_terminal(stderr)) {}

    Expected<void> run_all();
    void print_json() const;
    void print_text() const;

  private:
    [[nodiscard]] bool read_batch();
    void run_batch();
    void print_verdicts() const;
    void print_faults() const;

    const RunJob& job_;
    PcapReader reader_;
    std::optional<PcapWriter> writer_;
    PacketBatch batch_;
    RunCost cost_;
    VerdictCounts verdicts_;
    FaultTally faults_;
    RingbufLog ringbufs_;
    Progress progress_;
    std::uint64_t written_ = 0;
    std::optional<std::string> read_error_; ///< the file was damaged from here on
    std::vector<MapContent> maps_;
};

// Fills the batch; false if there is nothing more after it.
bool PcapRun::read_batch() {
    batch_.clear();
    CapturedPacket packet;
    const std::uint64_t limit = job_.command.limit;
    while (!batch_.is_full()) {
        if (limit != 0 && cost_.runs + batch_.size() >= limit) {
            return false;
        }
        const auto next = reader_.read(packet);
        if (!next) {
            read_error_ = next.error().message;
            return false;
        }
        if (*next == PcapReader::Next::End) {
            return false;
        }
        batch_.add(packet);
    }
    return true;
}

void PcapRun::run_batch() {
    const std::uint64_t first = cost_.runs;
    const ProgType type = job_.program.program().type;
    batch_.run(job_.program, cost_);
    ringbufs_.drain(job_.module);
    for (std::size_t i = 0; i < batch_.size(); ++i) {
        const RunResult& result = batch_.result(i);
        if (result.fault) {
            faults_.add(*result.fault, first + i + 1);
            continue;
        }
        verdicts_.add(result.r0);
        CapturedPacket packet = batch_.packet(i);
        const auto kept = passed_size(type, result.r0, packet.bytes.size());
        if (writer_ && kept) {
            packet.bytes = packet.bytes.first(*kept);
            writer_->write(packet);
            ++written_;
        }
    }
}

Expected<void> PcapRun::run_all() {
    for (bool has_more = true; has_more;) {
        has_more = read_batch();
        run_batch();
        progress_.update(cost_.runs, reader_.progress());
    }
    progress_.finish();
    if (read_error_) {
        print_warning(fmt::format("{}, after {} packets", *read_error_, cost_.runs));
    }
    if (writer_) {
        TRY(writer_->finish());
    }
    maps_ = read_maps(job_.module, ringbufs_, job_.command.map_entries);
    return {};
}

void PcapRun::print_json() const {
    Json fault_counts = Json::object();
    for (const auto& [kind, count] : faults_.counts) {
        fault_counts.add(std::string(name_of(kind)), count);
    }
    Json fault;
    if (faults_.first) {
        fault = to_json(*faults_.first);
        fault.add("packet", faults_.first_packet);
    }
    Json line = describe_job(job_);
    line.add("packets", cost_.runs)
        .add("verdicts", verdicts_.to_json())
        .add("faults", std::move(fault_counts))
        .add("fault", std::move(fault))
        .add("packets_per_s", cost_.runs_per_second())
        .add("ns_per_run", cost_.ns_per_run())
        .add("insns_executed", cost_.insns)
        .add("stats", stats_json(job_, cost_))
        .add("written", writer_ ? Json(written_) : Json())
        .add("pcap_error", read_error_ ? Json(*read_error_) : Json())
        .add("maps", to_json(maps_));
    fmt::print("{}\n", cli::to_json(line));
}

void PcapRun::print_verdicts() const {
    for (const VerdictCounts::Count& verdict : verdicts_.counts()) {
        if (verdict.count != 0) {
            fmt::print("  {:<18} {:>10}\n", verdict.name, verdict.count);
        }
    }
}

void PcapRun::print_faults() const {
    if (!faults_.first) {
        return;
    }
    for (const auto& [kind, count] : faults_.counts) {
        const std::string label = fmt::format("{:<18}", fmt::format("fault {}", name_of(kind)));
        fmt::print("  {} {:>10}\n", job_.style.bad(label), count);
    }
    fmt::print("  first at packet {}: {}\n", faults_.first_packet, to_text(*faults_.first));
}

void PcapRun::print_text() const {
    const Program& program = job_.program.program();
    fmt::print("{} ({}): {} packets", job_.style.heading(program.name), name_of(program.type),
               cost_.runs);
    if (cost_.runs != 0) {
        fmt::print(", {:.0f} packets/s, {:.1f} ns and {:.1f} insns per packet",
                   cost_.runs_per_second(), cost_.ns_per_run(), cost_.insns_per_run());
    }
    fmt::print("\n");
    print_verdicts();
    print_faults();
    if (writer_) {
        fmt::print("  {:<18} {:>10}\n", "written", written_);
    }
    print_stats(job_, cost_);
    print_maps(maps_, job_.style);
}

} // namespace

Expected<int> run_pcap(const RunJob& job) {
    const RunCommand& command = job.command;
    TRY_ASSIGN(PcapReader reader, PcapReader::open(command.pcap));
    std::optional<PcapWriter> writer;
    if (!command.write.empty()) {
        TRY_ASSIGN(writer, PcapWriter::create(command.write));
    }
    PcapRun run(job, std::move(reader), std::move(writer));
    TRY(run.run_all());
    if (command.json) {
        run.print_json();
    } else {
        run.print_text();
    }
    return kExitOk;
}

} // namespace ebpfvm::cli
