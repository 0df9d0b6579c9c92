// The data files in tests/data: one program each, with what it runs on and what must come out.
// Sections start with "-- name"; '#' begins a comment line.
//
//   -- prog     program type by name (default: memory, that is unspec)
//   -- maps     one map a line, as in bpft: type=1 key=4 value=8 max=4 [flags=0x80] [name=x]
//   [data=hex]
//   -- mem      context memory as hex       -- packet  packet as hex
//   -- budget   insn budget                 -- asm     the program
// and one of
//   -- result   r0
//   -- fault    insn 3: out-of-bounds [memory class]
//   -- error    invalid-insn: part of the message
#pragma once

#include "ebpfvm/ebpfvm.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ebpfvm::test {

struct DataFile {
    std::filesystem::path path;
    std::string prog = "unspec";
    std::vector<MapSpec> maps{};
    std::vector<std::byte> memory{};
    std::vector<std::byte> packet{};
    std::uint64_t budget = 0;
    std::string assembly{};
    std::optional<std::uint64_t> result{};
    std::string fault{};
    std::string error{};
};

/// Fails the current test and returns an empty file if it cannot be read or has an unknown section.
DataFile read_data_file(const std::filesystem::path& path);

/// All *.bpf files below tests/data/`folder`, sorted.
std::vector<std::filesystem::path> data_files(const std::string& folder);

/// "00 01 0a" or "00010a" as bytes.
std::vector<std::byte> bytes_of_hex(std::string_view text);

/// The file name as a test name: letters, digits and '_'.
std::string test_name(const std::filesystem::path& path);

} // namespace ebpfvm::test
