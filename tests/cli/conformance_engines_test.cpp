// The files of bpf_conformance below EBPFVM_CONFORMANCE_DIR, in all engines, and in the optimising
// tier without each of its passes. The command runs them with checks, which that tier never makes.
#include "cli/conformance_file.hpp"
#include "cli/conformance_vm.hpp"
#include "cli/files.hpp"
#include "support/engines.hpp"
#include "support/trusted.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace ebpfvm::cli {
namespace {

namespace fs = std::filesystem;

class ConformanceEngines : public testing::Test {
  protected:
    ConformanceEngines() { trusted_.helpers() = vm_.helpers(); }

    void expect_result(const ConformanceCase& file, const std::string& name) {
        const auto insns =
            file.asm_text.empty() ? Expected<std::vector<Insn>>(file.raw) : assemble(file.asm_text);
        ASSERT_TRUE(insns) << name << ": " << to_string(insns.error());
        const Object object = Object::from_insns("main", ProgType::Unspec, *insns);
        for (const test::EngineChoice& choice : test::all_choices()) {
            std::vector<std::byte> memory = file.mem;
            const auto result = run(object, memory, choice);
            ASSERT_TRUE(result && !result->fault) << name << ", " << test::text_of(choice);
            EXPECT_EQ(result->r0, *file.result) << name << ", " << test::text_of(choice);
        }
    }

  private:
    // Calls through pointers are left to the baseline tier.
    Expected<RunResult> run(const Object& object, std::span<std::byte> memory,
                            const test::EngineChoice& choice) {
        const Program& program = object.programs().front();
        if (choice.engine == Engine::Jit) {
            const auto passes = jit::without_passes(choice.without_passes);
            if (auto result = trusted_.run(program, memory, passes.value())) {
                return std::move(*result);
            }
        }
        return run_conformance(vm_, object, program, memory, choice.engine);
    }

    Vm vm_ = make_conformance_vm();
    test::Trusted trusted_;
};

TEST_F(ConformanceEngines, GiveTheResultOfEveryFile) {
    const char* directory = std::getenv("EBPFVM_CONFORMANCE_DIR");
    if (directory == nullptr) {
        GTEST_SKIP() << "EBPFVM_CONFORMANCE_DIR names no directory of bpf_conformance's tests";
    }
    unsigned files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
        if (entry.path().extension() != ".data") {
            continue;
        }
        const auto bytes = read_file(entry.path().string());
        ASSERT_TRUE(bytes) << to_string(bytes.error());
        const auto file = parse_conformance(as_text(*bytes));
        if (file && !file->expects_error && file->result) {
            expect_result(*file, entry.path().filename().string());
            ++files;
        }
    }
    fmt::print("bpf_conformance: {} files\n", files);
    EXPECT_GT(files, 0U);
}

} // namespace
} // namespace ebpfvm::cli
