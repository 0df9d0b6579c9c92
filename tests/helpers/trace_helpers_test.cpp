// Results and texts were compared with bpf_trace_printk of Linux 6.18 (pointers excepted: the
// kernel hashes them).
#include "helpers/helpers.hpp"
#include "test_call.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace ebpfvm::testing {
namespace {

constexpr std::int64_t kRefused = -EINVAL;

struct Traced {
    std::int64_t result;
    std::string text;
    bool operator==(const Traced&) const = default;
};
void PrintTo(const Traced& traced, std::ostream* out) {
    *out << traced.result << " \"" << traced.text << '"';
}

// `format` with its final zero byte.
Traced trace(const std::string& format, std::uint64_t a = 0, std::uint64_t b = 0,
             std::uint64_t c = 0) {
    Traced traced{0, "(nothing)"};
    TestCall call({.trace = [&](std::string_view text) { traced.text = text; }});
    traced.result = static_cast<std::int64_t>(helpers::trace_printk(
        call, reinterpret_cast<std::uint64_t>(format.data()), format.size() + 1, a, b, c));
    return traced;
}

std::int64_t result_of(const std::string& format) {
    return trace(format, 1, 2, 3).result;
}

constexpr std::uint64_t kMinus7 = static_cast<std::uint64_t>(std::int64_t{-7});

TEST(TracePrintk, ConvertsNumbersOf32And64Bits) {
    EXPECT_EQ(trace("%d %i %u", kMinus7, 5, kMinus7), (Traced{15, "-7 5 4294967289"}));
    EXPECT_EQ(trace("%d", 0x1'0000'0001), (Traced{1, "1"}));
    EXPECT_EQ(trace("%ld %lld %li", kMinus7, kMinus7, 1), (Traced{7, "-7 -7 1"}));
    EXPECT_EQ(trace("%lu %llu", kMinus7, 9), (Traced{22, "18446744073709551609 9"}));
    EXPECT_EQ(trace("%x %X %lx", 0xabcd, 0xabcd, kMinus7),
              (Traced{26, "abcd ABCD fffffffffffffff9"}));
    EXPECT_EQ(trace("%lld", std::uint64_t{1} << 63U), (Traced{20, "-9223372036854775808"}));
}

TEST(TracePrintk, FlagsAndWidthsPadAsPrintfDoes) {
    EXPECT_EQ(trace("%5d|%-5d|%05d", 42, 42, kMinus7), (Traced{17, "   42|42   |-0007"}));
    EXPECT_EQ(trace("%+d|% d|%0-5d|", 1, 1, 1), (Traced{12, "+1| 1|1    |"}));
    EXPECT_EQ(trace("%+u|%08llx|%2d", 1, 0xff, 12345), (Traced{16, "1|000000ff|12345"}));
    EXPECT_EQ(trace("%3c|%-3c|%c", 'a', 'b', 'c'), (Traced{9, "  a|b  |c"}));
}

TEST(TracePrintk, PointersAreSixteenHexDigits) {
    EXPECT_EQ(trace("%p,%pK %px", 0xabc, 0, 1),
              (Traced{50, "0000000000000abc,0000000000000000 0000000000000001"}));
    EXPECT_EQ(trace("%20p|", 0xabc), (Traced{21, "                 abc|"}));
}

TEST(TracePrintk, ReturnsTheFullLengthAndCutsTheText) {
    const Traced traced = trace("%2000d", 1);
    EXPECT_EQ(traced.result, 2000);
    EXPECT_EQ(traced.text, std::string(1023, ' '));
    EXPECT_EQ(result_of("%99999999d"), 8388607) << "FIELD_WIDTH_MAX";
}

TEST(TracePrintk, OneFinalNewlineBelongsToTheLine) {
    EXPECT_EQ(trace("hi\n"), (Traced{3, "hi"}));
    EXPECT_EQ(trace("a\nb\n\n"), (Traced{5, "a\nb\n"}));
    EXPECT_EQ(trace(""), (Traced{0, ""}));
    EXPECT_EQ(trace("100%%"), (Traced{4, "100%"}));
    EXPECT_EQ(trace("\xc3\xa9"), (Traced{2, "\xc3\xa9"}));
}

TEST(TracePrintk, RefusesWhatTheKernelRefuses) {
    for (const char* format :
         {"%",    "% ",  "%5", "%d %d %d %d", "%z",  "%o",  "%llld",  "%hd",  "%lc",  "%#x",
          "%.3d", "%*d", "%f", "%n",          "%pz", "%p1", "%p\xe9", "\x01", "\x7f", "\x1b"}) {
        EXPECT_EQ(result_of(format), kRefused) << format;
    }
}

TEST(TracePrintk, RefusesFormatsThatReadMemory) {
    for (const char* format : {"%s", "%pks", "%pus", "%pI4", "%pi6", "%pB", "%ps", "%pS"}) {
        EXPECT_EQ(result_of(format), kRefused) << format;
    }
}

TEST(TracePrintk, TheFormatMustEndInsideItsSize) {
    const char format[] = {'a', 'b', 'c'};
    std::string text;
    TestCall call({.trace = [&](std::string_view line) { text = line; }});
    const auto at = reinterpret_cast<std::uint64_t>(format);
    EXPECT_EQ(helpers::trace_printk(call, at, sizeof(format), 0, 0, 0),
              static_cast<std::uint64_t>(kRefused));
    const char early[] = "ab\0%s";
    EXPECT_EQ(
        helpers::trace_printk(call, reinterpret_cast<std::uint64_t>(early), sizeof(early), 0, 0, 0),
        2U);
    EXPECT_EQ(text, "ab");
}

} // namespace
} // namespace ebpfvm::testing
