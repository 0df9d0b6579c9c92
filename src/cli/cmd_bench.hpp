// `ebpfvm bench`: what a program costs, from its file to its result.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/vm.hpp"

#include <optional>
#include <string>

namespace ebpfvm::cli {

struct BenchCommand {
    std::string object;
    std::string prog; ///< empty: the first
    std::string type; ///< of programs whose section says nothing
    std::string data;
    std::optional<std::string> hex;
    Engine engine = Engine::Jit;
    std::vector<std::string> without_passes{};
    JitDebug jit_debug{};
    bool is_checked = false; ///< with run-time checks, for programs that no verifier accepts
    bool blind_constants = false;
    std::uint64_t repeat = 0; ///< 0: as many runs as fit into 0.2 s
    bool json = false;
};

/// Returns the exit code.
[[nodiscard]] Expected<int> bench_command(const BenchCommand& command, const Style& style);

} // namespace ebpfvm::cli
