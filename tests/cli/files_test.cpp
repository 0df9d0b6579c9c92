#include "cli/files.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::cli {
namespace {

TEST(Files, HexIsReadWithAndWithoutBlanks) {
    for (const char* text : {"aa 01\n", "AA01", "0xaa01", " aa\t01 "}) {
        const auto bytes = parse_hex(text);
        ASSERT_TRUE(bytes) << text;
        EXPECT_EQ(to_hex(*bytes, " "), "aa 01") << text;
    }
    EXPECT_TRUE(parse_hex("")->empty());
}

TEST(Files, HexRefusesHalfBytesAndOtherText) {
    for (const char* text : {"a", "aa b", "aa 1 b", "zz", "-1", "aa,bb"}) {
        EXPECT_FALSE(parse_hex(text)) << text;
    }
}

TEST(Files, DirectoriesAndMissingFilesAreErrors) {
    EXPECT_EQ(read_file("/").error().message, "/: is a directory");
    EXPECT_EQ(read_file("/no/such/file").error().message,
              "/no/such/file: No such file or directory");
}

} // namespace
} // namespace ebpfvm::cli
