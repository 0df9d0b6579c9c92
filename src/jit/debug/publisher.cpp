// Tested by jit/see_inside_test.cpp.
#include "jit/debug/publisher.hpp"

#include "support/try.hpp"

namespace ebpfvm::jit {

Expected<Publisher> Publisher::make(const JitDebug& wanted) {
    Publisher publisher;
    publisher.wants_gdb_ = wanted.gdb;
    publisher.wants_unwind_ = wanted.unwind;
    if (wanted.perf_map) {
        TRY_ASSIGN(auto map, PerfMap::open());
        publisher.perf_map_.emplace(std::move(map));
    }
    if (!wanted.jitdump.empty()) {
        TRY_ASSIGN(publisher.jitdump_, JitDump::of(wanted.jitdump));
    }
    return publisher;
}

Expected<Published> Publisher::publish(const Compiled& compiled) const {
    Published published;
    if (perf_map_) {
        TRY(perf_map_->add(compiled));
    }
    if (jitdump_ != nullptr) {
        TRY(jitdump_->add(compiled));
    }
    if (wants_unwind_) {
        published.unwind = std::make_unique<UnwindEntry>(compiled);
    }
    if (wants_gdb_) {
        published.gdb = std::make_unique<GdbEntry>(compiled);
    }
    return published;
}

} // namespace ebpfvm::jit
