// Output forms and exit codes of `ebpfvm verify`.
#include "cli/json_parse.hpp"
#include "command.hpp"

#include <algorithm>
#include <array>

namespace ebpfvm::cli {
namespace {

const std::string kMistake = EBPFVM_TEST_DATA "/mistakes/prebuilt/missing_null_check.bpf.o";

Json only_line(const std::string& text) {
    EXPECT_EQ(std::ranges::count(text, '\n'), 1) << text;
    const auto value = parse_json(text.substr(0, text.find('\n')));
    EXPECT_TRUE(value) << text;
    return value.value_or(Json());
}

std::string text_of(const Json& line, std::string_view key) {
    const Json* value = line.find(key);
    const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(&value->value());
    return text == nullptr ? "" : *text;
}

constexpr std::array kKeys = {"object",   "section", "prog",  "prog_type", "verdict",
                              "slug",     "message", "insn",  "source",    "insns",
                              "explored", "states",  "stack", "verify_us", "peak_bytes",
                              "notes",    "path",    "help"};

TEST(Verify, SaysYesWithExitCode0) {
    const Output result = ebpfvm_command({"verify", example("xdp_trim")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_CONTAINS(result.out, "xdp_trim  xdp    accept ");
    EXPECT_CONTAINS(result.out, "1 program: 1 accepted, 0 rejected; ");
}

TEST(Verify, SaysNoWithExitCode1) {
    const Output result = ebpfvm_command({"verify", kMistake});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_CONTAINS(result.out, "rejected[null-deref]: r0 may be null");
    EXPECT_CONTAINS(result.out, "reject (null-deref)");
}

TEST(Verify, TellsUnsupportedFromUnsafe) {
    const TempDir dir;
    const std::string tracing = dir.file("tracing.bpft", "prog f\nprog_type 26 (tracing)\n"
                                                         "insns 2\n00000000000000b7\n"
                                                         "0000000000000095\nend\n");
    const Output result = ebpfvm_command({"verify", tracing});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_CONTAINS(result.out, "not supported here[unsupported-prog-type]: ");
    EXPECT_CONTAINS(result.out, "this says nothing about safety");
    EXPECT_CONTAINS(result.out, "0 accepted, 0 rejected, 1 not supported; ");
}

TEST(Verify, JsonHasEveryKeyWhateverTheVerdict) {
    for (const std::string& object : {example("xdp_trim"), kMistake, std::string("no/such/file")}) {
        const Output result = ebpfvm_command({"verify", "--json", object});
        const Json line = only_line(result.out);
        for (const std::string_view key : kKeys) {
            EXPECT_NE(line.find(key), nullptr) << key << " of " << object;
        }
        EXPECT_EQ(text_of(line, "object"), object);
    }
}

TEST(Verify, JsonTellsWhatIsWrong) {
    const Json line = only_line(ebpfvm_command({"verify", "--json", kMistake}).out);
    EXPECT_EQ(text_of(line, "verdict"), "reject");
    EXPECT_EQ(text_of(line, "slug"), "null-deref");
    EXPECT_EQ(text_of(line, "prog"), "count");
    EXPECT_EQ(text_of(line, "prog_type"), "xdp");
    EXPECT_CONTAINS(text_of(line, "source"), "missing_null_check.bpf.c:15");
    EXPECT_CONTAINS(text_of(line, "help"), "`if (!counter) return XDP_PASS;`");
}

TEST(Verify, ABadObjectDoesNotStopTheOthers) {
    const TempDir dir;
    const std::string broken = dir.file("broken.o", "\x7f"
                                                    "ELF and nothing else");
    const Output result = ebpfvm_command({"verify", broken, kMistake, example("xdp_trim")});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
    EXPECT_CONTAINS(result.out, "rejected[null-deref]");
    EXPECT_CONTAINS(result.out, "3 programs: 1 accepted, 1 rejected, 1 not readable; ");
}

TEST(Verify, WrongInputIsOneLineAndExitCode2) {
    const TempDir dir;
    const std::string empty = dir.file("empty.o", "");
    const std::vector<std::vector<std::string>> cases = {
        {"no/such/file"},
        {empty},
        {"--strategy", "guess", kMistake},
        {"--domain", "octagons", kMistake},
        {"--log", "kernel", "--strategy", "join", kMistake},
        {"--repeat", "0", kMistake},
        {"--prog", "no_such_program", kMistake},
        {"--compare", "no/such/file", kMistake},
        {"--compare", empty + "/x", kMistake},
        {"--no-such-option", kMistake}};
    for (std::vector<std::string> arguments : cases) {
        arguments.insert(arguments.begin(), "verify");
        const Output result = ebpfvm_command(arguments);
        EXPECT_EQ(result.exit_code, 2) << arguments[1];
        EXPECT_EQ(std::ranges::count(result.err, '\n'), 1) << result.err;
        EXPECT_TRUE(result.err.starts_with("ebpfvm: error: ")) << result.err;
    }
}

TEST(Verify, ComparesWithEarlierResults) {
    const TempDir dir;
    std::string before = ebpfvm_command({"verify", "--json", kMistake}).out;
    const std::string same = dir.file("same.json", before);
    EXPECT_CONTAINS(ebpfvm_command({"verify", "--compare", same, kMistake}).out,
                    "1 programs: 0 verdicts changed; ");
    const auto at = before.find("\"verdict\":\"reject\"");
    const auto spaced = before.find("\"verdict\": \"reject\"");
    ASSERT_TRUE(at != std::string::npos || spaced != std::string::npos) << before;
    before.replace(before.find("reject\"", std::min(at, spaced)), 6, "accept");
    const Output changed =
        ebpfvm_command({"verify", "--compare", dir.file("before.json", before), kMistake});
    EXPECT_CONTAINS(changed.out, "-> reject (null-deref)");
    EXPECT_CONTAINS(changed.out, "1 programs: 1 verdicts changed; ");
}

TEST(Verify, RefusesToCompareWithOtherFiles) {
    const TempDir dir;
    const Output result =
        ebpfvm_command({"verify", "--compare", dir.file("x.json", "{}\n"), kMistake});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_CONTAINS(result.err, "x.json:1: no result of `ebpfvm verify --json`");
}

TEST(Verify, LogsInTheKernelsStyle) {
    const Output result = ebpfvm_command({"verify", "--log", "kernel", "--no-table", kMistake});
    EXPECT_CONTAINS(result.out, "\n0: R1=ctx() R10=fp0\n");
    EXPECT_CONTAINS(result.out, "call bpf_map_lookup_elem#1");
    EXPECT_CONTAINS(result.out, "R0_w=map_value_or_null(id=1,map=counters,ks=4,vs=8)\n");
    EXPECT_CONTAINS(result.out, "\nprocessed 7 insns (limit 1000000) ");
}

TEST(Verify, LogsWhereABranchIsTakenUp) {
    const Output result = ebpfvm_command({"verify", "--log", "kernel", example("xdp_trim")});
    EXPECT_CONTAINS(result.out, "\nfrom 3 to 17: R1=ctx() ");
}

TEST(Verify, StrictStackRejectsUninitialisedKeys) {
    const std::string object = EBPFVM_TEST_DATA "/mistakes/prebuilt/uninit_key_padding.bpf.o";
    EXPECT_EQ(ebpfvm_command({"verify", object}).exit_code, 0);
    EXPECT_EQ(ebpfvm_command({"verify", "--strict-stack", object}).exit_code, 1);
}

} // namespace
} // namespace ebpfvm::cli
