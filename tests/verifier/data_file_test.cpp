// The verifier on every file of tests/data/{accept,reject,run}, and every row of diagnostics.def
// among what it says of them.
#include "ebpfvm/verifier.hpp"
#include "support/data_file.hpp"
#include "support/host_functions.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

namespace ebpfvm::test {
namespace {

std::string summary(const Report& report) {
    if (!report.diagnostic) {
        return std::string(name_of(report.verdict));
    }
    return "insn " + std::to_string(report.diagnostic->insn) + ": " +
           std::string(info(report.diagnostic->slug).name);
}

std::string slug(const Report& report) {
    return std::string(report.diagnostic ? info(report.diagnostic->slug).name : "accept");
}

std::string message(const Report& report) {
    return report.diagnostic ? report.diagnostic->insn_text + ": " + report.diagnostic->message
                             : "accepted";
}

Object object_of(const DataFile& data) {
    const auto text = bpft_of(data);
    EXPECT_TRUE(text) << to_string(text.error());
    auto object = text ? load_bpft(*text) : Expected<Object>(Object());
    EXPECT_TRUE(object) << to_string(object.error());
    return object ? *std::move(object) : Object();
}

constexpr unsigned kSlugCount = 0
#define EBPFVM_REJECT(name, slug, kind, message, help) +1
#include "ebpfvm/tables/diagnostics.def"
    ;

// Rows that need other options than the default ones: tests/verifier/rejections_test.cpp has them.
constexpr std::array kWithoutCase = {Slug::UnprovedLoop};

class VerifiedFiles : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(VerifiedFiles, GetTheVerdictTheyPromise) {
    const DataFile data = read_data_file(GetParam());
    const Object object = object_of(data);
    ASSERT_EQ(object.programs().size(), 1U);
    Vm vm = vm_with_test_functions();
    VerifierOptions options = options_of(data);
    options.helpers = &vm.helpers();
    const auto report = verify(object, object.programs().front(), options);
    ASSERT_TRUE(report) << to_string(report.error());
    const std::string expected = !data.reject.empty()   ? data.reject
                                 : !data.verify.empty() ? data.verify
                                                        : "accept";
    const bool has_insn = expected == "accept" || expected.starts_with("insn ");
    EXPECT_EQ(has_insn ? summary(*report) : slug(*report), expected) << message(*report);
}

std::string name_of_param(const testing::TestParamInfo<std::filesystem::path>& info) {
    return test_name(info.param);
}

INSTANTIATE_TEST_SUITE_P(Accept, VerifiedFiles, testing::ValuesIn(data_files("accept")),
                         name_of_param);
INSTANTIATE_TEST_SUITE_P(Reject, VerifiedFiles, testing::ValuesIn(data_files("reject")),
                         name_of_param);
INSTANTIATE_TEST_SUITE_P(Run, VerifiedFiles, testing::ValuesIn(data_files("run")), name_of_param);

TEST(RejectFiles, SayWhatTheyExpect) {
    for (const auto& path : data_files("reject")) {
        EXPECT_FALSE(read_data_file(path).reject.empty()) << path;
    }
}

TEST(RejectFiles, ShowEveryDiagnosis) {
    std::set<std::string_view> shown;
    std::vector<std::string> expectations;
    for (const auto& path : data_files("reject")) {
        expectations.push_back(read_data_file(path).reject);
    }
    for (const std::string& text : expectations) {
        const auto colon = text.find(": ");
        shown.insert(std::string_view(text).substr(colon == std::string::npos ? 0 : colon + 2));
    }
    for (unsigned i = 0; i < kSlugCount; ++i) {
        const SlugInfo& row = info(Slug(i));
        EXPECT_TRUE(shown.contains(row.name) || std::ranges::count(kWithoutCase, row.slug) != 0)
            << "no file in tests/data/reject expects " << row.name;
    }
}

} // namespace
} // namespace ebpfvm::test
