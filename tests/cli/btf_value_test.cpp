// Types are built by hand here; run_once_test.cpp reads those of a compiler.
#include "cli/btf_value.hpp"
#include "cli/files.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace ebpfvm::cli {
namespace {

/// Writes a .BTF section type by type; ids count from 1.
class BtfWriter {
  public:
    std::uint32_t add(std::string_view name, BtfKind kind, std::uint32_t vlen,
                      std::uint32_t size_or_type, const std::vector<std::uint32_t>& payload = {},
                      bool kind_flag = false) {
        put(string(name));
        put(std::uint32_t(kind) << 24 | vlen | (kind_flag ? 1U << 31 : 0U));
        put(size_or_type);
        for (const std::uint32_t word : payload) {
            put(word);
        }
        return ++count_;
    }
    std::uint32_t add_int(std::string_view name, std::uint32_t size, std::uint32_t encoding = 0) {
        return add(name, BtfKind::Int, 0, size, {encoding << 24 | size * 8});
    }
    std::uint32_t string(std::string_view text) {
        const auto off = std::uint32_t(strings_.size());
        strings_.append(text).push_back('\0');
        return off;
    }
    Btf finish() {
        std::vector<std::uint32_t> header = {0x0001eb9f,
                                             24,
                                             0,
                                             std::uint32_t(types_.size() * 4),
                                             std::uint32_t(types_.size() * 4),
                                             std::uint32_t(strings_.size())};
        header.insert(header.end(), types_.begin(), types_.end());
        std::vector<std::byte> bytes(header.size() * 4 + strings_.size());
        std::memcpy(bytes.data(), header.data(), header.size() * 4);
        std::memcpy(bytes.data() + header.size() * 4, strings_.data(), strings_.size());
        auto btf = Btf::parse(bytes);
        EXPECT_TRUE(btf) << btf.error().message;
        return std::move(*btf);
    }

  private:
    void put(std::uint32_t word) { types_.push_back(word); }

    std::vector<std::uint32_t> types_;
    std::string strings_ = std::string(1, '\0');
    std::uint32_t count_ = 0;
};

constexpr std::uint32_t kSigned = 1;
constexpr std::uint32_t kBool = 4;

std::string value_text(const Btf& btf, std::uint32_t type, const char* hex) {
    return to_text(value_of(&btf, type, *parse_hex(hex)));
}

TEST(BtfValue, IntegersKnowTheirSign) {
    BtfWriter writer;
    const auto s16 = writer.add_int("short", 2, kSigned);
    const auto u16 = writer.add_int("unsigned short", 2);
    const auto boolean = writer.add_int("_Bool", 1, kBool);
    const Btf btf = writer.finish();
    EXPECT_EQ(value_text(btf, s16, "feff"), "-2");
    EXPECT_EQ(value_text(btf, u16, "feff"), "65534");
    EXPECT_EQ(value_text(btf, boolean, "01"), "true");
}

TEST(BtfValue, BigEndianTypedefsAreConverted) {
    BtfWriter writer;
    const auto u16 = writer.add_int("unsigned short", 2);
    const auto be16 = writer.add("__be16", BtfKind::Typedef, 0, u16);
    const auto port = writer.add("port_t", BtfKind::Typedef, 0, be16);
    const Btf btf = writer.finish();
    EXPECT_EQ(value_text(btf, u16, "0050"), "20480");
    EXPECT_EQ(value_text(btf, port, "0050"), "80");
}

TEST(BtfValue, EnumeratorsHaveNames) {
    BtfWriter writer;
    const auto pass = writer.string("PASS");
    const auto fail = writer.string("FAIL");
    const auto verdict =
        writer.add("verdict", BtfKind::Enum, 2, 4, {pass, 2, fail, 0xffff'ffff}, true);
    const Btf btf = writer.finish();
    EXPECT_EQ(value_text(btf, verdict, "02000000"), "PASS");
    EXPECT_EQ(value_text(btf, verdict, "ffffffff"), "FAIL");
    EXPECT_EQ(value_text(btf, verdict, "fdffffff"), "-3");
}

TEST(BtfValue, BitfieldsAreCutOut) {
    BtfWriter writer;
    const auto u8 = writer.add_int("unsigned char", 1);
    const auto s8 = writer.add_int("signed char", 1, kSigned);
    const auto low = writer.string("low");
    const auto high = writer.string("high");
    const auto fields = writer.add("fields", BtfKind::Struct, 2, 1,
                                   {low, u8, 3U << 24 | 0, high, s8, 5U << 24 | 3}, true);
    const Btf btf = writer.finish();
    EXPECT_EQ(value_text(btf, fields, "fd"), "{low: 5, high: -1}");
}

TEST(BtfValue, BytesAreTextOnlyIfTheyReadAsText) {
    BtfWriter writer;
    const auto character = writer.add_int("char", 1, kSigned);
    const auto byte = writer.add_int("unsigned char", 1);
    const auto text = writer.add("", BtfKind::Array, 0, 0, {character, character, 4});
    const auto bytes = writer.add("", BtfKind::Array, 0, 0, {byte, byte, 4});
    const Btf btf = writer.finish();
    EXPECT_EQ(to_json(value_of(&btf, text, *parse_hex("65746800"))), "\"eth\"");
    EXPECT_EQ(to_json(value_of(&btf, text, *parse_hex("65006800"))), "\"65006800\"");
    EXPECT_EQ(to_json(value_of(&btf, bytes, *parse_hex("65746800"))), "\"65746800\"");
}

TEST(BtfValue, WhatBtfDoesNotDescribeIsHex) {
    BtfWriter writer;
    const auto u32 = writer.add_int("unsigned int", 4);
    const Btf btf = writer.finish();
    const auto bytes = *parse_hex("0102");
    EXPECT_EQ(to_json(value_of(nullptr, u32, bytes)), "\"0102\"");
    EXPECT_EQ(to_json(value_of(&btf, 0, bytes)), "\"0102\"");
    EXPECT_EQ(to_json(value_of(&btf, 99, bytes)), "\"0102\"");
    EXPECT_EQ(to_json(value_of(&btf, u32, bytes)), "\"0102\""); // too short
}

TEST(SumOf, AddsMemberByMember) {
    const auto totals = [](std::uint64_t packets, std::int64_t balance) {
        return Json::object()
            .add("packets", packets)
            .add("balance", Json::array().push(balance).push(std::int64_t{1}));
    };
    EXPECT_EQ(to_text(*sum_of({totals(1, -5), totals(2, 3)})), "{packets: 3, balance: [-2, 2]}");
    EXPECT_FALSE(sum_of({Json("00"), Json("01")}));
    EXPECT_FALSE(sum_of({Json::object().add("a", 1).add("b", "x")}));
}

} // namespace
} // namespace ebpfvm::cli
