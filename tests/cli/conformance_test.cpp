#include "command.hpp"

namespace ebpfvm::cli {
namespace {

constexpr const char* kPasses = "-- asm\nldxb %r0, [%r1+1]\nexit\n-- mem\naa 2a\n-- result\n0x2a\n";
constexpr const char* kFails = "-- asm\nmov %r0, 1\nexit\n-- result\n0x2\n";
constexpr const char* kRefused = "-- raw\n84 00 00 00 01 00 00 00\n95 00 00 00 00 00 00 00\n"
                                 "-- error\n";
constexpr const char* kNotRefused = "-- raw\nb7 00 00 00 01 00 00 00\n95 00 00 00 00 00 00 00\n"
                                    "-- error\n";

TEST(Conformance, CountsAndExplains) {
    const TempDir dir;
    (void)dir.file("a.data", kPasses);
    (void)dir.file("b.data", kRefused);
    const Output good = ebpfvm_command({"conformance", dir.path("")});
    EXPECT_EQ(good.exit_code, 0) << good.out << good.err;
    EXPECT_EQ(good.out, "2 passed, 0 failed, 0 skipped\n");

    (void)dir.file("c.data", kFails);
    (void)dir.file("d.data", kNotRefused);
    const Output bad = ebpfvm_command({"conformance", dir.path("")});
    EXPECT_EQ(bad.exit_code, 1);
    EXPECT_CONTAINS(bad.out, "c.data: r0 is 0x1, must be 0x2\n");
    EXPECT_CONTAINS(bad.out, "d.data: must be refused, but ran and returned 0x1\n");
    EXPECT_CONTAINS(bad.out, "\n2 passed, 2 failed, 0 skipped\n");
}

TEST(Conformance, JsonIsOneObjectPerLine) {
    const TempDir dir;
    const auto file = dir.file("a.data", kFails);
    const Output output = ebpfvm_command({"conformance", file, "--json"});
    EXPECT_EQ(output.exit_code, 1);
    EXPECT_EQ(output.out, "{\"file\":\"" + file +
                              "\",\"status\":\"failed\",\"reason\":\"r0 is 0x1, must be 0x2\"}\n"
                              "{\"passed\":0,\"failed\":1,\"skipped\":0}\n");
}

Output plugin(const std::vector<std::string>& arguments, std::string_view input = "") {
    return run_program("ebpfvm-conformance-plugin", arguments, input);
}

constexpr const char* kReturnMinusOne = "b7 00 00 00 ff ff ff ff 95 00 00 00 00 00 00 00\n";
constexpr const char* kFirstByte = "71 10 00 00 00 00 00 00 95 00 00 00 00 00 00 00";

TEST(ConformancePlugin, PrintsR0InHex) {
    const Output output = plugin({}, kReturnMinusOne);
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_EQ(output.out, "ffffffffffffffff\n");
}

TEST(ConformancePlugin, MemoryIsTheFirstArgument) {
    EXPECT_EQ(plugin({"aa bb"}, kFirstByte).out, "aa\n");
    EXPECT_EQ(plugin({"aa bb", "--interpret", "--program", kFirstByte}).out, "aa\n");
    EXPECT_EQ(plugin({"aa bb", "--jit", "--program", kFirstByte}).out,
              EBPFVM_HAS_JIT != 0 ? "aa\n" : "");
    const Output fault = plugin({}, kFirstByte);
    EXPECT_NE(fault.exit_code, 0);
    EXPECT_EQ(fault.out, "");
    EXPECT_CONTAINS(fault.err, "out-of-bounds");
}

TEST(ConformancePlugin, UnwindOfMinusOneGoesOn) {
    const Output output = plugin({}, "b7 01 00 00 ff ff ff ff 85 00 00 00 05 00 00 00 "
                                     "b7 00 00 00 02 00 00 00 95 00 00 00 00 00 00 00");
    EXPECT_EQ(output.exit_code, 0) << output.err;
    EXPECT_EQ(output.out, "2\n");
}

TEST(ConformancePlugin, RefusesWhatItCannotDo) {
    const auto expect_refusal = [](const std::vector<std::string>& arguments, const char* part) {
        const Output output = plugin(arguments, kReturnMinusOne);
        EXPECT_NE(output.exit_code, 0);
        EXPECT_EQ(output.out, "");
        EXPECT_CONTAINS(output.err, part);
    };
    expect_refusal({"--nope"}, "unexpected argument \"--nope\"");
    expect_refusal({"zz"}, "not a byte");
    expect_refusal({"--program", "00"}, "not a positive multiple of 8");
    expect_refusal({"--elf"}, "");
}

} // namespace
} // namespace ebpfvm::cli
