// gdb's interface for JIT compilers.
#pragma once

#include "jit/debug/compiled.hpp"

#include <memory>

namespace ebpfvm::jit {

/// Machine code that gdb knows of, as long as this lives. Thread-safe.
class GdbEntry {
  public:
    explicit GdbEntry(const Compiled& compiled);
    GdbEntry(const GdbEntry&) = delete;
    GdbEntry& operator=(const GdbEntry&) = delete;
    ~GdbEntry();

  private:
    struct Listed;
    std::unique_ptr<Listed> listed_;
};

} // namespace ebpfvm::jit
