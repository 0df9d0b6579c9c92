// Tested by run_once_test.cpp and run_pcap_test.cpp.
#include "cli/packet_batch.hpp"

#include <chrono>

namespace ebpfvm::cli {
namespace {

double ratio(double dividend, double divisor) {
    return divisor == 0 ? 0 : dividend / divisor;
}

} // namespace

double RunCost::ns_per_run() const {
    return ratio(double(ns), double(runs));
}

double RunCost::runs_per_second() const {
    return ratio(double(runs) * 1e9, double(ns));
}

double RunCost::insns_per_run() const {
    return ratio(double(insns), double(runs));
}

void PacketBatch::run(const Executable& program, RunCost& cost) {
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    for (std::size_t i = 0; i < size_; ++i) {
        RunOptions options;
        if (cpus_ > 1) {
            options.cpu = static_cast<std::int32_t>(next_cpu_);
            next_cpu_ = next_cpu_ + 1 == cpus_ ? 0 : next_cpu_ + 1;
        }
        results_[i] = slots_[i].run(program, options);
    }
    const auto spent = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin);
    cost.ns += static_cast<std::uint64_t>(spent.count());
    cost.runs += size_;
    for (std::size_t i = 0; i < size_; ++i) {
        cost.insns += results_[i].insns_executed;
    }
}

} // namespace ebpfvm::cli
