// Files that perf reads.
#pragma once

#include "jit/debug/compiled.hpp"
#include "jit/debug/output_file.hpp"

#include <memory>
#include <mutex>

namespace ebpfvm::jit {

/// /tmp/perf-PID.map (linux: tools/perf/Documentation/jit-interface.txt): a line of address, size
/// and name for each function. Others in the process may write to it, too. Thread-safe.
class PerfMap {
  public:
    /// Errors: Errc::Io.
    [[nodiscard]] static Expected<PerfMap> open();
    /// Errors: Errc::Io.
    [[nodiscard]] Expected<void> add(const Compiled& compiled) const;

  private:
    explicit PerfMap(OutputFile file) : file_(std::move(file)) {}
    OutputFile file_;
};

/// jit-PID.dump (linux: tools/perf/Documentation/jitdump-specification.txt): code, names and source
/// lines, for `perf inject --jit`. Thread-safe.
class JitDump {
  public:
    /// The one file of this process in that directory; it stays open until the process ends.
    /// Errors: Errc::Io.
    [[nodiscard]] static Expected<std::shared_ptr<JitDump>> of(const std::string& directory);
    explicit JitDump(OutputFile file) : file_(std::move(file)) {}
    /// Errors: Errc::Io.
    [[nodiscard]] Expected<void> add(const Compiled& compiled);

  private:
    std::mutex lock_; // records must be in the order of their times
    OutputFile file_;
    std::uint64_t next_index_ = 0;
};

} // namespace ebpfvm::jit
