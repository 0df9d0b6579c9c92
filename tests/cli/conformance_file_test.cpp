// Sections, their formats, and what makes a file unusable.
#include "cli/conformance_file.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::cli {
namespace {

TEST(ConformanceFile, ReadsProgramMemoryAndResult) {
    const auto file = parse_conformance("# Licence\n\n"
                                        "-- asm\nldxh %r0, [%r1+2] # comment\nexit\n"
                                        "-- mem\naa bb 11 22\nFF\n"
                                        "-- result\n0x2211\n");
    ASSERT_TRUE(file) << to_string(file.error());
    EXPECT_EQ(assemble(file->asm_text).value(), assemble("ldxh %r0, [%r1+2]\nexit").value());
    const std::vector mem{std::byte{0xaa}, std::byte{0xbb}, std::byte{0x11}, std::byte{0x22},
                          std::byte{0xff}};
    EXPECT_EQ(file->mem, mem);
    EXPECT_EQ(file->result, 0x2211u);
    EXPECT_FALSE(file->has_raw);
    EXPECT_FALSE(file->expects_error);
}

TEST(ConformanceFile, KeepsLineNumbersForTheAssembler) {
    const auto file = parse_conformance("# Licence\n-- asm\nexit\nbogus\n-- result\n0\n");
    ASSERT_TRUE(file);
    const auto insns = assemble(file->asm_text);
    ASSERT_FALSE(insns);
    EXPECT_EQ(insns.error().where->line, 4u);
}

TEST(ConformanceFile, ReadsResultsOf64Bits) {
    const auto result_of = [](std::string text) {
        const auto file = parse_conformance("-- asm\nexit\n-- result\n" + text);
        return file ? file->result : std::nullopt;
    };
    EXPECT_EQ(result_of("0xFFFFFFFFFFFFFFF6"), 0xffff'ffff'ffff'fff6u);
    EXPECT_EQ(result_of("18446744073709551615\n"), ~std::uint64_t{0});
    EXPECT_EQ(result_of("  7 \r\n\n"), 7u);
    EXPECT_EQ(result_of("0x10000000000000000"), std::nullopt);
    EXPECT_EQ(result_of("-1"), std::nullopt);
    EXPECT_EQ(result_of("0x"), std::nullopt);
    EXPECT_EQ(result_of("1 2"), std::nullopt);
    EXPECT_EQ(result_of("1\n2"), std::nullopt);
    EXPECT_EQ(result_of(""), std::nullopt);
}

TEST(ConformanceFile, ReadsRawSlotsAsBytesOrAsNumbers) {
    const std::vector<Insn> expected{
        {.code = 0x18, .imm = 0x55667788}, {.imm = 0x11223344}, {.code = 0x95}};
    const auto numbers = parse_conformance("-- raw\n0x5566778800000018\n0x1122334400000000\n"
                                           "0x0000000000000095\n-- result\n0\n");
    ASSERT_TRUE(numbers) << to_string(numbers.error());
    EXPECT_TRUE(numbers->has_raw);
    EXPECT_EQ(numbers->raw, expected);
    EXPECT_TRUE(numbers->asm_text.empty());
    const auto bytes =
        parse_conformance("-- raw\n18 00 00 00 88 77 66 55\n00 00 00 00 44 33 22 11\n"
                          "95 00 00 00 00 00 00 00\n-- error\n");
    ASSERT_TRUE(bytes) << to_string(bytes.error());
    EXPECT_EQ(bytes->raw, expected);
}

TEST(ConformanceFile, TakesAnErrorWithAndWithoutText) {
    const auto silent = parse_conformance("-- asm\nexit\n-- error\n");
    ASSERT_TRUE(silent);
    EXPECT_TRUE(silent->expects_error);
    EXPECT_EQ(silent->error_text, "");
    const auto talking = parse_conformance("-- asm\nexit\n-- error\nInvalid register");
    ASSERT_TRUE(talking);
    EXPECT_EQ(talking->error_text, "Invalid register");
}

TEST(ConformanceFile, SkipsSourceAndRemarks) {
    const auto file = parse_conformance("-- c\n#include <stdint.h>\nint a = 5; a--;\n"
                                        "-- asm\nexit\n-- result\n0x2\n"
                                        "-- no register offset\ncall instruction\n");
    ASSERT_TRUE(file) << to_string(file.error());
    EXPECT_EQ(file->result, 2u);
}

TEST(ConformanceFile, RefusesWhatItDoesNotUnderstand) {
    const std::tuple<std::string_view, std::uint32_t, std::string_view> cases[] = {
        {"-- asm\n-- Unknown directive\n-- error\n", 2, "unknown section \"Unknown directive\""},
        {"-- asm\nexit\n-- asm\n", 3, "section \"asm\" appears twice"},
        {"exit\n-- asm\n", 1, "\"exit\" comes before the first section"},
        {"# nothing\n", 1, "neither section \"asm\" nor \"raw\" is there"},
        {"-- result\n0x0\n", 2, "neither section \"asm\" nor \"raw\" is there"},
        {"-- asm\nexit\n", 2, "neither section \"result\" nor \"error\" is there"},
        {"-- mem\n11 2\n", 2, "\"2\" is no byte, must be two hexadecimal digits"},
        {"-- mem\n11 gg\n", 2, "\"gg\" is no byte, must be two hexadecimal digits"},
        {"-- raw\n95 00\n-- error\n", 3,
         "section \"raw\" has 2 bytes, not a positive multiple of 8"},
        {"-- raw\n-- error\n", 2, "section \"raw\" has 0 bytes, not a positive multiple of 8"},
        {"-- raw\n0xzz\n-- error\n", 2, "\"0xzz\" is no 64-bit number"},
        {"-- asm\nexit\n-- result\nseven\n", 4, "result is \"seven\", must be one 64-bit number"},
    };
    for (const auto& [text, line, message] : cases) {
        const auto file = parse_conformance(text);
        ASSERT_FALSE(file) << text;
        EXPECT_EQ(file.error().code, Errc::MalformedText);
        EXPECT_EQ(file.error().message, message);
        EXPECT_EQ(file.error().where->line, line) << text;
    }
}

} // namespace
} // namespace ebpfvm::cli
