// .BTF.ext written by hand: what is read, and what is refused.
#include "btf_writer.hpp"
#include "elf/btf_ext.hpp"

#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

using elf::BtfExt;
using elf::parse_btf_ext;

using Words = std::vector<std::uint32_t>;

// Tables one after the other, behind a header that knows all three.
std::vector<std::byte> ext_bytes(const Words& funcs, const Words& lines, const Words& core) {
    const auto size = [](const Words& words) { return std::uint32_t(words.size() * 4); };
    Words words = {
        0x0001eb9f, 32, 0, size(funcs), size(funcs), size(lines), size(funcs) + size(lines),
        size(core)};
    for (const Words& table : {funcs, lines, core}) {
        words.insert(words.end(), table.begin(), table.end());
    }
    const auto bytes = std::as_bytes(std::span(words));
    return {bytes.begin(), bytes.end()};
}

class BtfExtTest : public testing::Test {
  protected:
    BtfExtTest() {
        const auto proto = writer_.type(BtfKind::FuncProto, "", 0);
        func_ = writer_.type(BtfKind::Func, "f", proto);
        section_ = writer_.string("xdp");
        file_ = writer_.string("prog.c");
        text_ = writer_.string("\t  return 0;");
        access_ = writer_.string("0:1");
    }
    Expected<BtfExt> parse(const Words& funcs, const Words& lines = {}, const Words& core = {}) {
        btf_ = *Btf::parse(writer_.bytes());
        return parse_btf_ext(ext_bytes(funcs, lines, core), *btf_);
    }
    void expect_refused(const Expected<BtfExt>& ext, std::string_view message) const {
        ASSERT_FALSE(ext) << message;
        EXPECT_EQ(ext.error().code, Errc::MalformedBtf);
        EXPECT_NE(ext.error().message.find(message), std::string::npos) << ext.error().message;
    }

    BtfWriter writer_;
    std::optional<Btf> btf_;
    std::uint32_t func_ = 0;
    std::uint32_t section_ = 0;
    std::uint32_t file_ = 0;
    std::uint32_t text_ = 0;
    std::uint32_t access_ = 0;
};

TEST_F(BtfExtTest, ListsRecordsInOrderOfInsns) {
    const auto ext = parse({8, section_, 2, 16, func_, 0, func_},
                           {16, section_, 1, 8, file_, text_, 30u << 10 | 7u},
                           {16, section_, 1, 24, func_, access_, 5});
    ASSERT_TRUE(ext) << to_string(ext.error());
    const elf::SectionInfo& info = ext->at("xdp");
    EXPECT_EQ(info.func_at(0), func_);
    EXPECT_EQ(info.func_at(2), func_);
    EXPECT_EQ(info.func_at(1), 0u);
    ASSERT_EQ(info.lines.size(), 1u);
    EXPECT_EQ(info.lines[0].insn, 1u);
    EXPECT_EQ(info.lines[0].file, "prog.c");
    EXPECT_EQ(info.lines[0].text, "return 0;");
    EXPECT_EQ(info.lines[0].line, 30u);
    EXPECT_EQ(info.lines[0].column, 7u);
    ASSERT_EQ(info.core.size(), 1u);
    EXPECT_EQ(info.core[0].insn, 3u);
    EXPECT_EQ(info.core[0].access, "0:1");
    EXPECT_EQ(info.core[0].kind, 5u);
}

TEST_F(BtfExtTest, SkipsWhatLaterVersionsAddToRecords) {
    const auto ext = parse({12, section_, 2, 0, func_, 99, 8, func_, 99});
    ASSERT_TRUE(ext) << to_string(ext.error());
    EXPECT_EQ(ext->at("xdp").funcs.size(), 2u);
}

TEST_F(BtfExtTest, KeepsTheFirstOfSeveralRecordsForOneInsn) {
    const auto ext =
        parse({}, {16, section_, 2, 0, file_, text_, 1u << 10, 0, file_, text_, 2u << 10});
    ASSERT_TRUE(ext) << to_string(ext.error());
    ASSERT_EQ(ext->at("xdp").lines.size(), 1u);
    EXPECT_EQ(ext->at("xdp").lines[0].line, 1u);
}

TEST_F(BtfExtTest, RefusesDamagedTables) {
    expect_refused(parse({4, section_, 1, 0, func_}), "records of 4 bytes, at least 8 needed");
    expect_refused(parse({8, section_, 0}), "0 records for section \"xdp\"");
    expect_refused(parse({8, section_, 2, 0, func_}), "needs 16 bytes");
    expect_refused(parse({8, section_, 0xffffffff, 0, func_}), "4294967295 records");
    expect_refused(parse({8, section_}), "count at offset 8 needs 4 bytes");
    expect_refused(parse({8, 5000, 1, 0, func_}), "string at 5000");
}

TEST_F(BtfExtTest, RefusesRecordsThatContradictTheTypes) {
    expect_refused(parse({8, section_, 1, 4, func_}), "offset 4 in section \"xdp\" is no insn");
    expect_refused(parse({8, section_, 1, 0, 1}), "has type 1, which is no func");
    expect_refused(parse({8, section_, 1, 0, 99}), "has type 99, which is no func");
    expect_refused(parse({}, {16, section_, 1, 0, 5000, text_, 0}), "string at 5000");
    expect_refused(parse({}, {}, {16, section_, 1, 0, 99, access_, 0}), "of type 99 of 3");
}

TEST_F(BtfExtTest, RefusesDamagedHeaders) {
    btf_ = *Btf::parse(writer_.bytes());
    auto bytes = ext_bytes({}, {}, {});
    ASSERT_TRUE(parse_btf_ext(bytes, *btf_));
    expect_refused(parse_btf_ext(std::span(bytes).first(20), *btf_), "header at offset 0");
    store_unaligned(bytes.data() + 12, std::uint32_t{1000});
    expect_refused(parse_btf_ext(bytes, *btf_), "function records at offset 32 needs 1000 bytes");
    store_unaligned(bytes.data(), std::uint32_t{0});
    expect_refused(parse_btf_ext(bytes, *btf_), "magic 0x0000");
}

} // namespace
} // namespace ebpfvm::test
