// Compiles the sources in tests/data/elf with whatever compilers for BPF this machine has.
#pragma once

#include "ebpfvm/object.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace ebpfvm::test {

struct BpfCompiler {
    std::string name;
    std::string command; ///< with what makes it compile for BPF, with BTF
    bool is_clang = true;
    int version = 0; ///< of clang; 0 if unknown

    friend void PrintTo(const BpfCompiler& compiler, std::ostream* out) { *out << compiler.name; }
};

inline bool runs(const std::string& command) {
    return std::system((command + " --version > /dev/null 2>&1").c_str()) == 0;
}

inline std::vector<BpfCompiler> find_compilers() {
    std::vector<BpfCompiler> found;
    for (const int version : {14, 16, 19}) {
        const std::string name = "clang-" + std::to_string(version);
        if (runs(name)) {
            found.push_back({name, name + " -O2 -g -target bpf", true, version});
        }
    }
    if (found.empty() && runs("clang")) {
        found.push_back({"clang", "clang -O2 -g -target bpf", true, 0});
    }
    if (runs("bpf-gcc")) {
        found.push_back({"bpf-gcc", "bpf-gcc -O2 -gbtf", false, 0});
    }
    return found;
}

inline const std::vector<BpfCompiler>& compilers() {
    static const std::vector<BpfCompiler> kFound = find_compilers();
    return kFound;
}

inline std::string test_data(const std::string& name) {
    return std::string(EBPFVM_TEST_DATA) + "/elf/" + name;
}

inline std::vector<std::byte> read_bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

/// A directory that is removed in the end.
class TempDir {
  public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "ebpfvm-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

/// The object of tests/data/elf/<source>; compiled once per test program.
inline const std::vector<std::byte>&
compiled(const BpfCompiler& compiler, const std::string& source, const std::string& flags = "") {
    static const TempDir kDir;
    static std::map<std::string, std::vector<std::byte>> objects;
    const std::string out = (kDir.path() / "object.o").string();
    const std::string command =
        compiler.command + " -ffreestanding " + flags + " -c " + test_data(source) + " -o " + out;
    const auto [at, is_new] = objects.try_emplace(command);
    if (is_new) {
        EXPECT_EQ(std::system(command.c_str()), 0) << command;
        at->second = read_bytes(out);
    }
    return at->second;
}

/// The loaded object; fails the test and gives an empty one if it does not load.
inline Object loaded(const BpfCompiler& compiler, const std::string& source,
                     const std::string& flags = "", LoadObjectOptions options = {}) {
    options.name = source;
    auto object = load_elf(compiled(compiler, source, flags), options);
    EXPECT_TRUE(object) << compiler.name << ": " << to_string(object.error());
    return object ? *std::move(object) : Object();
}

/// Runs each test with each compiler.
class WithCompiler : public testing::TestWithParam<BpfCompiler> {
  protected:
    [[nodiscard]] Object load(const std::string& source, const std::string& flags = "",
                              LoadObjectOptions options = {}) const {
        return loaded(GetParam(), source, flags, std::move(options));
    }
    [[nodiscard]] bool is_gcc() const { return !GetParam().is_clang; }
};

#define EBPFVM_WITH_COMPILERS(suite)                                                               \
    GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(suite);                                          \
    INSTANTIATE_TEST_SUITE_P(, suite, testing::ValuesIn(compilers()), [](const auto& chosen) {     \
        std::string name = chosen.param.name;                                                      \
        std::erase(name, '-');                                                                     \
        return name;                                                                               \
    });                                                                                            \
    TEST(suite##Setup, ThisMachineHasACompilerForBpf) {                                            \
        if (compilers().empty()) {                                                                 \
            GTEST_SKIP() << "neither clang nor bpf-gcc found: objects are not compiled";           \
        }                                                                                          \
    }                                                                                              \
    static_assert(true)

using Names = std::vector<std::string>;

inline Names sorted(Names names) {
    std::ranges::sort(names);
    return names;
}

inline bool contains(const Names& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

inline Names names_of(const std::vector<Subprog>& subprogs) {
    Names names;
    for (const Subprog& subprog : subprogs) {
        names.push_back(subprog.name);
    }
    return names;
}

inline Names names_of(const std::vector<Program>& programs) {
    Names names;
    for (const Program& program : programs) {
        names.push_back(program.name);
    }
    return names;
}

/// The subprogram that the call or lddw at `insn` leads to.
inline std::string target_of(const Program& program, std::size_t insn) {
    const std::size_t target = insn + 1 + std::size_t(std::int64_t{program.insns[insn].imm});
    const Subprog* subprog = program.subprog_of(target);
    return subprog != nullptr && subprog->insn == target ? subprog->name : "?";
}

/// Slots of the insns with an opcode and a src field.
inline std::vector<std::size_t> find_insns(const Program& program, std::uint8_t code,
                                           unsigned src) {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < program.insns.size(); ++i) {
        if (program.insns[i].code == code && program.insns[i].src == src) {
            found.push_back(i);
        }
        i += program.insns[i].code == 0x18 ? 1 : 0;
    }
    return found;
}

inline constexpr std::uint8_t kLddwCode = 0x18;
inline constexpr std::uint8_t kCallCode = 0x85;

} // namespace ebpfvm::test
