// Tells debuggers, profilers and the C++ runtime of machine code, whoever is asked for.
#pragma once

#include "ebpfvm/vm.hpp"
#include "jit/debug/gdb.hpp"
#include "jit/debug/perf.hpp"
#include "jit/debug/unwind.hpp"

#include <memory>
#include <optional>

namespace ebpfvm::jit {

/// Code that others know of; they forget it with this.
struct Published {
    std::unique_ptr<GdbEntry> gdb{};
    std::unique_ptr<UnwindEntry> unwind{};
};

/// Thread-safe.
class Publisher {
  public:
    /// Errors: Errc::Io for a file that cannot be written.
    [[nodiscard]] static Expected<Publisher> make(const JitDebug& wanted);

    /// Is there anybody to tell?
    [[nodiscard]] bool has_readers() const {
        return wants_gdb_ || wants_unwind_ || perf_map_ || jitdump_ != nullptr;
    }
    /// gdb can put breakpoints only into memory that is no other mapping's, too, and perf takes
    /// code for compiled at run time only if no file is behind it.
    [[nodiscard]] bool needs_private_pages() const { return wants_gdb_ || perf_map_; }

    /// Errors: Errc::Io.
    [[nodiscard]] Expected<Published> publish(const Compiled& compiled) const;

  private:
    Publisher() = default;

    bool wants_gdb_ = false;
    bool wants_unwind_ = false;
    std::optional<PerfMap> perf_map_{};
    std::shared_ptr<JitDump> jitdump_{};
};

} // namespace ebpfvm::jit
