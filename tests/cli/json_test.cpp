#include "cli/json.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace ebpfvm::cli {
namespace {

TEST(Json, MembersKeepTheirOrder) {
    const Json json = Json::object().add("z", 1).add("a", Json::array().push(nullptr).push(true));
    EXPECT_EQ(to_json(json), R"({"z":1,"a":[null,true]})");
}

TEST(Json, NumbersKeepAllTheirDigits) {
    EXPECT_EQ(to_json(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
    EXPECT_EQ(to_json(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
    EXPECT_EQ(to_json(0.5), "0.5");
    EXPECT_EQ(to_json(std::numeric_limits<double>::infinity()), "null");
}

TEST(Json, StringsAreEscapedAndAlwaysUtf8) {
    EXPECT_EQ(to_json("a\"\\\n\x01"), R"("a\"\\\n\u0001")");
    EXPECT_EQ(to_json("\xc3\xa4"), "\"\xc3\xa4\"");
    EXPECT_EQ(to_json("\xff\xc3"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(Json, TextFoldsLongRunsOnly) {
    const Json zeros = Json::Array(100, Json(0));
    EXPECT_EQ(to_text(Json::object().add("a", zeros)), "{a: [0 x 100]}");
    EXPECT_EQ(to_text(Json::Array(4, Json(1))), "[1, 1, 1, 1]");
    EXPECT_EQ(to_json(Json::Array(5, Json(1))), "[1,1,1,1,1]");
}

} // namespace
} // namespace ebpfvm::cli
