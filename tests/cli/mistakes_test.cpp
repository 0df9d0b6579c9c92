// Typical mistakes of beginners: what `ebpfvm verify` says of each, word by word.
// scripts/update-mistakes writes the texts; read the differences before committing them.
#include "command.hpp"

#include <algorithm>
#include <regex>

namespace ebpfvm::cli {
namespace {

const std::filesystem::path kMistakes = EBPFVM_TEST_DATA "/mistakes";

std::vector<std::string> names() {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(kMistakes)) {
        const std::string file = entry.path().filename().string();
        if (file.ends_with(".bpf.c")) {
            found.push_back(file.substr(0, file.size() - std::string_view(".bpf.c").size()));
        }
    }
    std::ranges::sort(found);
    return found;
}

// `// flags: --strict-stack` in the source.
std::vector<std::string> flags_of(const std::string& name) {
    const std::string source = read_text(kMistakes / (name + ".bpf.c"));
    std::smatch match;
    return std::regex_search(source, match, std::regex("// flags: (\\S+)"))
               ? std::vector<std::string>{match[1]}
               : std::vector<std::string>{};
}

Output judge(const std::string& name, const std::string& object) {
    std::vector<std::string> arguments = {"verify", "--color", "never", "--no-table"};
    const auto flags = flags_of(name);
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    arguments.push_back(object);
    return ebpfvm_command(arguments);
}

// How often a loop is gone through before patience ends depends on how it is explored.
std::string comparable(const std::string& text) {
    return std::regex_replace(text, std::regex("through [0-9]+ times"), "through N times");
}

class Mistakes : public testing::TestWithParam<std::string> {};

TEST_P(Mistakes, AreExplainedAsTheTextBesideThemSays) {
    const Output result = judge(GetParam(), kMistakes / "prebuilt" / (GetParam() + ".bpf.o"));
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_EQ(comparable(result.out), comparable(read_text(kMistakes / (GetParam() + ".txt"))));
}

TEST_P(Mistakes, NameTheLineAndTheRepair) {
    const std::string text = read_text(kMistakes / (GetParam() + ".txt"));
    EXPECT_TRUE(std::regex_search(
        text,
        std::regex("  --> " + GetParam() + "\\.bpf\\.c:[0-9]+:[0-9]+, [a-z_]+, insn [0-9]+\n")))
        << text;
    EXPECT_TRUE(std::regex_search(text, std::regex("\nhelp: [^\n]+\n"))) << text;
}

INSTANTIATE_TEST_SUITE_P(All, Mistakes, testing::ValuesIn(names()),
                         [](const auto& info) { return info.param; });

} // namespace
} // namespace ebpfvm::cli
