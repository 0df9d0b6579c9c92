// docs/rejections.md: every slug of diagnostics.def, and what it says of its programs is true.
#include "support/data_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <unistd.h>

namespace ebpfvm {
namespace {

struct Example {
    std::string language; ///< "c" or "asm"
    std::string text;
};

struct Section {
    std::string slug;
    std::vector<Example> examples; ///< the one that is rejected, then the one that is not
};

struct Page {
    std::string preamble;
    std::vector<Section> sections;
};

Page read_page() {
    Page page;
    std::ifstream in(EBPFVM_SOURCE_DIR "/docs/rejections.md");
    std::string* block = nullptr;
    for (std::string line; std::getline(in, line);) {
        if (line == "```") {
            block = nullptr;
        } else if (block != nullptr) {
            *block += line + '\n';
        } else if (line.starts_with("## ")) {
            page.sections.push_back({line.substr(3), {}});
        } else if (line == "```c preamble") {
            block = &page.preamble;
        } else if (line.starts_with("```")) {
            block = &page.sections.back().examples.emplace_back(line.substr(3), "").text;
        }
    }
    return page;
}

const Page& page() {
    static const Page kPage = read_page();
    return kPage;
}

class TempFile {
  public:
    explicit TempFile(std::string_view suffix, std::string_view text = "")
        : path_((std::filesystem::temp_directory_path() /
                 ("ebpfvm-rejections-" + std::to_string(getpid()) + std::string(suffix)))
                    .string()) {
        std::ofstream(path_, std::ios::binary) << text;
    }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;
    ~TempFile() { std::filesystem::remove(path_); }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

std::string answer_of(const Expected<Object>& object, const VerifierOptions& options) {
    if (!object) {
        return to_string(object.error());
    }
    const auto report = verify(*object, object->programs().front(), options);
    if (!report) {
        return to_string(report.error());
    }
    return report->diagnostic ? std::string(info(report->diagnostic->slug).name) : "accept";
}

std::string judge_asm(const std::string& text) {
    const TempFile file(".bpf", text);
    const test::DataFile data = test::read_data_file(file.path());
    const auto bpft = test::bpft_of(data);
    return bpft ? answer_of(load_bpft(*bpft), test::options_of(data)) : to_string(bpft.error());
}

// Nothing without a compiler.
std::optional<std::string> judge_c(const std::string& text) {
    const std::string clang = EBPFVM_CLANG;
    if (clang.empty()) {
        return std::nullopt;
    }
    const TempFile source(".bpf.c", page().preamble + text);
    const TempFile object(".bpf.o");
    const std::string command = "'" + clang +
                                "' -O2 -g -target bpf -mcpu=v3 -w -I '" EBPFVM_TEST_DATA
                                "/mistakes' -I '" EBPFVM_SOURCE_DIR "/examples/bpf' -c '" +
                                source.path() + "' -o '" + object.path() + "'";
    if (std::system(command.c_str()) != 0) {
        return "does not compile";
    }
    VerifierOptions options;
    options.allow_uninit_stack = !text.starts_with("// flags: --strict-stack");
    if (text.starts_with("// flags: --strategy join")) {
        options.strategy = MergeStrategy::Join;
    }
    return answer_of(load_object_file(object.path()), options);
}

std::optional<std::string> judge(const Example& example) {
    return example.language == "c" ? judge_c(example.text) : judge_asm(example.text);
}

TEST(Rejections, ThePageHasEverySlugOfTheTableInItsOrder) {
    const std::vector<std::string> table = {
#define EBPFVM_REJECT(name, slug, kind, message, help) slug,
#include "ebpfvm/tables/diagnostics.def"
    };
    std::vector<std::string> found;
    for (const Section& section : page().sections) {
        found.push_back(section.slug);
    }
    std::vector<std::string> sorted_table = table;
    std::ranges::sort(sorted_table);
    std::ranges::sort(found);
    EXPECT_EQ(found, sorted_table);
}

class RejectionsPage : public testing::TestWithParam<std::size_t> {};

TEST_P(RejectionsPage, ShowsAProgramThatIsRejectedAndItsRepair) {
    const Section& section = page().sections[GetParam()];
    if (section.examples.empty()) {
        EXPECT_EQ(section.slug, "tail-call-ref");
        return;
    }
    const auto rejected = judge(section.examples.front());
    if (!rejected) {
        GTEST_SKIP() << "there is no clang with a BPF back end";
    }
    EXPECT_EQ(*rejected, section.slug) << section.examples.front().text;
    if (section.examples.size() > 1) {
        EXPECT_EQ(judge(section.examples[1]), "accept") << section.examples[1].text;
    } else {
        EXPECT_TRUE(section.slug.starts_with("unsupported-")) << "there is no repaired program";
    }
}

INSTANTIATE_TEST_SUITE_P(All, RejectionsPage,
                         testing::Range(std::size_t{0}, page().sections.size()),
                         [](const auto& param) {
                             std::string name = page().sections[param.param].slug;
                             std::ranges::replace(name, '-', '_');
                             return name;
                         });

} // namespace
} // namespace ebpfvm
