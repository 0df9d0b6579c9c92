// Every file of tests/data/{run,fault} goes through assembler, disassembler, loader and all
// engines.
#include "support/data_file.hpp"
#include "support/engines.hpp"
#include "support/host_functions.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace ebpfvm::test {
namespace {

class DataFiles : public testing::TestWithParam<std::tuple<std::filesystem::path, Engine>> {
  protected:
    [[nodiscard]] static const std::filesystem::path& path() { return std::get<0>(GetParam()); }
    [[nodiscard]] static Engine engine() { return std::get<1>(GetParam()); }
};

// "insn 3: out-of-bounds map value"
std::string summary(const Fault& fault) {
    const std::string text =
        "insn " + std::to_string(fault.insn) + ": " + std::string(name_of(fault.kind));
    return fault.memory_class == MemoryClass::None
               ? text
               : text + " " + std::string(name_of(fault.memory_class));
}

// Runs with the context that the program type wants. The packet lies in a buffer with room around.
RunResult run(const Executable& program, DataFile& data) {
    const RunOptions options{.insn_budget = data.budget};
    std::vector<std::byte> buffer(256 + data.packet.size() + 320);
    const auto packet = std::span(buffer).subspan(256, data.packet.size());
    std::ranges::copy(data.packet, packet.begin());
    if (program.program().type == ProgType::Xdp) {
        XdpCtx ctx{.packet = Packet::in(buffer, packet)};
        return program.run(ctx, options);
    }
    if (data.prog != "unspec") {
        SkbCtx ctx{.packet = Packet::in(buffer, packet)};
        return program.run(ctx, options);
    }
    return program.run(std::span(data.memory), options);
}

void expect_text_round_trip(const std::vector<Insn>& insns) {
    const auto text = disassemble(insns);
    if (!text) {
        return; // it must not decode, and load says so
    }
    const auto again = assemble(*text);
    ASSERT_TRUE(again) << to_string(again.error()) << '\n' << *text;
    EXPECT_EQ(*again, insns) << *text;
}

TEST_P(DataFiles, GiveWhatTheyPromise) {
    DataFile data = read_data_file(path());
    const auto insns = assemble(data.assembly);
    ASSERT_TRUE(insns) << to_string(insns.error());
    expect_text_round_trip(*insns);

    Vm vm = vm_with_test_functions();
    const ProgTypeInfo* type = vm.prog_types().find(std::string_view(data.prog));
    ASSERT_NE(type, nullptr) << data.prog;
    const auto module =
        vm.load(Object::from_insns("test", type->type, *insns, data.maps), {.engine = engine()});
    if (!data.error.empty()) {
        ASSERT_FALSE(module) << "loads, but should fail with " << data.error;
        const std::string error =
            std::string(name_of(module.error().code)) + ": " + module.error().message;
        const auto colon = data.error.find(": ");
        EXPECT_TRUE(error.starts_with(data.error.substr(0, colon)) &&
                    error.contains(data.error.substr(colon + 2)))
            << error;
        return;
    }
    ASSERT_TRUE(module) << to_string(module.error());
    ASSERT_EQ(module->programs().front().engine(), checked_engine(engine()));
    EXPECT_EQ(module->programs().front().load_cost().code_bytes != 0, engine() != Engine::Interp);
    const RunResult result = run(module->programs().front(), data);
    if (!data.fault.empty()) {
        ASSERT_TRUE(result.fault) << "runs to its end, r0 = " << result.r0;
        EXPECT_EQ(summary(*result.fault), data.fault) << result.fault->message;
        EXPECT_EQ(result.r0, 0U);
        // The host goes on: the same module still runs other programs.
        const auto fine = vm.load(Object::from_insns("fine", type->type, *assemble("r0 = 7\nexit")),
                                  {.engine = engine()});
        DataFile again = data;
        again.budget = 0;
        EXPECT_EQ(run(fine->programs().front(), again).r0, 7U);
        return;
    }
    ASSERT_FALSE(result.fault) << result.fault->message;
    ASSERT_TRUE(data.result) << "the file expects nothing";
    EXPECT_EQ(result.r0, *data.result);
}

class VerifiedDataFiles
    : public testing::TestWithParam<std::tuple<std::filesystem::path, EngineChoice>> {};

// What the verifier accepts runs without checks, and does the same.
TEST_P(VerifiedDataFiles, DoTheSameWithoutChecks) {
    const auto& [path, choice] = GetParam();
    DataFile data = read_data_file(path);
    const auto text = bpft_of(data);
    ASSERT_TRUE(text) << to_string(text.error());
    const auto object = load_bpft(*text);
    ASSERT_TRUE(object) << to_string(object.error());
    Vm vm = vm_with_test_functions();
    LoadOptions options = choice.options(ExecMode::Verified);
    options.verifier = options_of(data);
    const auto module = vm.load(*object, options);
    ASSERT_TRUE(module) << to_string(module.error());
    const Executable program = module->programs().front();
    ASSERT_EQ(program.mode(), ExecMode::Verified);
    const RunResult result = run(program, data);
    ASSERT_FALSE(result.fault) << result.fault->message;
    EXPECT_EQ(result.r0, *data.result);
    const auto checked = vm.load(*object, choice.options(ExecMode::Checked));
    ASSERT_TRUE(checked) << to_string(checked.error());
    const std::uint64_t executed = run(checked->programs().front(), data).insns_executed;
    EXPECT_EQ(result.insns_executed, choice.engine == Engine::Interp ? executed : 0);
    const auto interpreted = vm.load(*object);
    ASSERT_TRUE(interpreted) << to_string(interpreted.error());
    EXPECT_EQ(run(interpreted->programs().front(), data).insns_executed, executed);
}

std::vector<std::filesystem::path> accepted_files() {
    auto files = data_files("run");
    std::erase_if(files, [](const auto& path) { return !read_data_file(path).verify.empty(); });
    return files;
}

const auto name_of_param = [](const auto& info) {
    return test_name(std::get<0>(info.param)) + "_" + text_of(std::get<1>(info.param));
};

auto on_all_engines(const std::vector<std::filesystem::path>& files) {
    return testing::Combine(testing::ValuesIn(files), testing::ValuesIn(all_engines()));
}

auto on_all_choices(const std::vector<std::filesystem::path>& files) {
    return testing::Combine(testing::ValuesIn(files), testing::ValuesIn(all_choices()));
}

INSTANTIATE_TEST_SUITE_P(Run, DataFiles, on_all_engines(data_files("run")), name_of_param);
INSTANTIATE_TEST_SUITE_P(Run, VerifiedDataFiles, on_all_choices(accepted_files()), name_of_param);
INSTANTIATE_TEST_SUITE_P(Fault, DataFiles, on_all_engines(data_files("fault")), name_of_param);

TEST(DataFilesOfFaults, CoverAtLeast40MisbehavingPrograms) {
    EXPECT_GE(data_files("fault").size(), 40U);
}

} // namespace
} // namespace ebpfvm::test
