// The data files in tests/data: one program each, with what it runs on and what must come out.
// Sections start with "-- name"; '#' begins a comment line.
//
//   -- prog     program type by name (default: memory, that is unspec), then what it needs of
//               attach_type=1 prog_flags=0x10 license=none (default: GPL)
//   -- maps     one map a line, as in bpft: type=1 key=4 value=8 max=4 [flags=0x80] [name=x]
//               [data=hex] [inner=...] [fields=...]
//   -- funcs    lines of bpft: func 0 global main, func 5 static helper, kfunc 7 name, ...
//   -- options  of the verifier: max_explored=1000 max_bytes=65536 allow_uninit_stack=0
//               strategy=join
//   -- mem      context memory as hex       -- packet  packet as hex
//   -- budget   insn budget                 -- asm     the program
// and one of
//   -- result   r0
//   -- fault    insn 3: out-of-bounds [memory class]
//   -- error    invalid-insn: part of the message
//   -- reject   insn 3: packet-oob, what the verifier says, or too-complex, at whatever insn
// The verifier accepts a file of run/ unless it has
//   -- verify   insn 3: slug
// and Linux 6.18 agrees with the verdict unless there is
//   -- kernel   accepts, or rejects, and why
#pragma once

#include "ebpfvm/ebpfvm.hpp"
#include "ebpfvm/verifier.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ebpfvm::test {

struct DataFile {
    std::filesystem::path path;
    std::string prog = "unspec";
    std::string prog_options{}; ///< "attach_type=1 license=none"
    std::vector<MapSpec> maps{};
    std::string map_lines{};
    std::string funcs{};
    std::string options{};
    std::vector<std::byte> memory{};
    std::vector<std::byte> packet{};
    std::uint64_t budget = 0;
    std::string assembly{};
    std::optional<std::uint64_t> result{};
    std::string fault{};
    std::string error{};
    std::string reject{};
    std::string verify{};
    std::string kernel{};
};

/// Fails the current test and returns an empty file if it cannot be read or has an unknown section.
DataFile read_data_file(const std::filesystem::path& path);

/// VerifierOptions with the file's changes.
[[nodiscard]] VerifierOptions options_of(const DataFile& data);

/// The program as bpft text. Programs that run on memory become XDP programs, which all may be.
[[nodiscard]] Expected<std::string> bpft_of(const DataFile& data);

/// All *.bpf files below tests/data/`folder`, sorted.
std::vector<std::filesystem::path> data_files(const std::string& folder);

/// "00 01 0a" or "00010a" as bytes.
std::vector<std::byte> bytes_of_hex(std::string_view text);

/// The file name as a test name: letters, digits and '_'.
std::string test_name(const std::filesystem::path& path);

} // namespace ebpfvm::test
