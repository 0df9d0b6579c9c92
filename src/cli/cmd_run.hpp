// `ebpfvm run`: a program on one input or on a capture file.
#pragma once

#include "cli/style.hpp"
#include "ebpfvm/error.hpp"
#include "ebpfvm/vm.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ebpfvm::cli {

struct RunCommand {
    std::string object;
    std::string prog; ///< empty: the first
    std::string type; ///< of programs whose section says nothing; empty: unspecified
    std::string pcap; ///< empty: one call
    std::string write;
    std::string data;
    std::optional<std::string> hex;
    std::string data_out;
    std::vector<std::string> globals; ///< "name=value"
    std::uint64_t budget = 0;         ///< 0: the VM's default
    std::uint64_t limit = 0;          ///< packets; 0: all
    std::uint64_t repeat = 1;
    std::uint32_t cpus = 1;
    std::uint64_t map_entries = 16;
    Engine engine = Engine::Interp;
    std::vector<std::string> without_passes{};
    JitDebug jit_debug{};
    bool blind_constants = false; ///< in machine code
    bool verify = false;          ///< first, to run without checks
    bool json = false;
    bool progress = false;
    bool trace = false;
    bool stats = false;
};

/// Returns the exit code.
[[nodiscard]] Expected<int> run_command(const RunCommand& command, const Style& style);

} // namespace ebpfvm::cli
