// The running kernel's verifier on the files of tests/data/{accept,reject,run}: it agrees with
// their verdicts, but where a file says that it does not. Maps that need BTF are left out.
#include "kernel/ask_verifier.hpp"
#include "kernel/kernel_object.hpp"
#include "support/data_file.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

bool needs_btf(const DataFile& data) {
    return !data.funcs.empty() || data.map_lines.find("fields=") != std::string::npos ||
           data.map_lines.find("inner=") != std::string::npos;
}

bool is_expected_to_load(const DataFile& data) {
    if (!data.kernel.empty()) {
        return data.kernel.starts_with("accepts");
    }
    return data.reject.empty() && data.verify.empty();
}

class KernelVerdicts : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(KernelVerdicts, AreThoseOfTheFile) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    const DataFile data = read_data_file(GetParam());
    const auto text = bpft_of(data);
    ASSERT_TRUE(text) << to_string(text.error());
    const auto object = load_bpft(*text);
    ASSERT_TRUE(object) << to_string(object.error());
    if (needs_btf(data)) {
        GTEST_SKIP() << "needs BTF";
    }
    const auto loaded = KernelObject::load(*object);
    EXPECT_EQ(loaded.has_value(), is_expected_to_load(data))
        << (loaded ? "the kernel accepts it" : to_string(loaded.error()));
}

std::string name_of_param(const testing::TestParamInfo<std::filesystem::path>& info) {
    return test_name(info.param);
}

INSTANTIATE_TEST_SUITE_P(Accept, KernelVerdicts, testing::ValuesIn(data_files("accept")),
                         name_of_param);
INSTANTIATE_TEST_SUITE_P(Reject, KernelVerdicts, testing::ValuesIn(data_files("reject")),
                         name_of_param);
INSTANTIATE_TEST_SUITE_P(Run, KernelVerdicts, testing::ValuesIn(data_files("run")), name_of_param);

} // namespace
} // namespace ebpfvm::test
