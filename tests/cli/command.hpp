// Runs the built commands as a user does, and makes the files they read.
#pragma once

#include "ebpfvm/insn.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <spawn.h>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace ebpfvm::cli {

/// A directory of its own for each test, removed at its end.
class TempDir {
  public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "ebpfvm-cli-XXXXXX").string();
        path_ = mkdtemp(name.data());
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string path(const std::string& name) const { return path_ / name; }
    /// Writes a file and returns its path.
    [[nodiscard]] std::string file(const std::string& name, std::string_view content) const {
        std::ofstream(path(name), std::ios::binary) << content;
        return path(name);
    }

  private:
    std::filesystem::path path_;
};

inline std::string read_text(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

struct Output {
    int exit_code = -1;
    std::string out;
    std::string err;
};

/// A program of this build.
inline std::string built_program(const std::string& name) {
    return EBPFVM_BINARY_DIR "/src/cli/" + name;
}

/// Runs a program without a shell; one without a slash in its name is looked for in PATH.
inline Output run_file(const std::string& file, std::vector<std::string> arguments,
                       std::string_view input = "") {
    const TempDir dir;
    const std::string in = dir.file("in", input);
    arguments.insert(arguments.begin(), file);
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    constexpr int kCreate = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions, 0, in.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, dir.path("out").c_str(), kCreate, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, dir.path("err").c_str(), kCreate, 0600);
    pid_t child = 0;
    const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    EXPECT_EQ(error, 0) << argv[0];
    int status = 0;
    if (error == 0) {
        waitpid(child, &status, 0);
    }
    EXPECT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
    return {WEXITSTATUS(status), read_text(dir.path("out")), read_text(dir.path("err"))};
}

inline Output run_program(const std::string& name, std::vector<std::string> arguments,
                          std::string_view input = "") {
    return run_file(built_program(name), std::move(arguments), input);
}

inline Output ebpfvm_command(std::vector<std::string> arguments, std::string_view input = "") {
    return run_program("ebpfvm", std::move(arguments), input);
}

/// Raw bytecode of a program in text form.
inline std::string bytecode(std::string_view text) {
    const auto insns = assemble(text);
    EXPECT_TRUE(insns) << insns.error().message;
    if (!insns) {
        return "";
    }
    return {reinterpret_cast<const char*>(insns->data()), insns->size() * sizeof(Insn)};
}

/// An object that is built from examples/bpf.
inline std::string example(const std::string& name) {
    return EBPFVM_BPF_DIR "/" + name + ".bpf.o";
}

inline void append_u32(std::string& out, std::uint32_t value) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
        out += static_cast<char>(value >> shift & 0xff);
    }
}

/// A classic pcap file.
inline std::string pcap_of(const std::vector<std::string>& packets, std::uint32_t link_type = 1) {
    std::string out;
    append_u32(out, 0xa1b2c3d4);
    append_u32(out, 2 | 4 << 16);
    append_u32(out, 0);
    append_u32(out, 0);
    append_u32(out, 65535);
    append_u32(out, link_type);
    std::uint32_t second = 1000;
    for (const std::string& packet : packets) {
        append_u32(out, second++);
        append_u32(out, 7);
        append_u32(out, static_cast<std::uint32_t>(packet.size()));
        append_u32(out, static_cast<std::uint32_t>(packet.size()));
        out += packet;
    }
    return out;
}

inline bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

} // namespace ebpfvm::cli

#define EXPECT_CONTAINS(text, part)                                                                \
    EXPECT_TRUE(::ebpfvm::cli::contains(text, part)) << "\"" << (part) << "\" is not in:\n"        \
                                                     << (text)
