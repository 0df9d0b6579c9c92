// Machine code for the unwinder of the C++ runtime.
#pragma once

#include "jit/debug/compiled.hpp"

#include <cstddef>
#include <vector>

namespace ebpfvm::jit {

/// As long as this lives, backtrace() sees what is below the machine code, and exceptions pass
/// through it. Thread-safe. It makes exceptions dearer in the whole process: libgcc takes a lock
/// and looks through a list.
class UnwindEntry {
  public:
    explicit UnwindEntry(const Compiled& compiled);
    UnwindEntry(const UnwindEntry&) = delete;
    UnwindEntry& operator=(const UnwindEntry&) = delete;
    ~UnwindEntry();

  private:
    std::vector<std::byte> frames_;
};

} // namespace ebpfvm::jit
