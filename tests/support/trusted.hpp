// Programs that no verifier has judged in the optimising tier, as if it had: for suites of programs
// that are known to do nothing wrong.
#pragma once

#include "exec/code.hpp"
#include "interp/interp.hpp"
#include "jit/jit.hpp"
#include "support/resolved.hpp"

#include <optional>
#include <span>

namespace ebpfvm::test {

class Trusted {
  public:
    /// Runs a program of type Unspec on memory with all passes but those of `options`. Nothing if
    /// the tier leaves it to the other one. Not thread-safe.
    std::optional<RunResult> run(const Program& program, std::span<std::byte> memory,
                                 const jit::OptOptions& options = {}) {
        auto code = resolved(program, helpers_);
        if (!code) {
            return std::nullopt;
        }
        (*code)->is_verified = true;
        const auto is_done = jit::compile_optimised(**code, memory_, options);
        if (!is_done || !*is_done) {
            return std::nullopt;
        }
        return jit::run(**code, {.ctx = memory.empty() ? nullptr : memory.data(),
                                 .size = memory.size(),
                                 .insn_budget = 0,
                                 .environment = &environment_});
    }

    [[nodiscard]] HelperTable& helpers() { return helpers_; }

  private:
    HelperTable helpers_ = HelperTable::defaults();
    Environment environment_{.clock = [] { return std::uint64_t{1}; }};
    std::shared_ptr<jit::CodeMemory> memory_ = jit::make_code_memory().value();
};

} // namespace ebpfvm::test
