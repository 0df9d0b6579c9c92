// Queries on BTF of all kinds, and what is refused. BTF is written by hand here; that of compilers
// and of the running kernel is read below.
#include "bpf_compiler.hpp"
#include "btf_writer.hpp"
#include "ebpfvm/btf.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace ebpfvm::test {
namespace {

Btf parsed(const BtfWriter& writer) {
    auto btf = Btf::parse(writer.bytes());
    EXPECT_TRUE(btf) << to_string(btf.error());
    return btf ? *std::move(btf) : *Btf::parse(BtfWriter().bytes());
}

void expect_refused(std::span<const std::byte> bytes, std::string_view message) {
    const auto btf = Btf::parse(bytes);
    ASSERT_FALSE(btf) << message;
    EXPECT_EQ(btf.error().code, Errc::MalformedBtf);
    EXPECT_NE(btf.error().message.find(message), std::string::npos) << btf.error().message;
}
void expect_refused(const BtfWriter& writer, std::string_view message) {
    expect_refused(writer.bytes(), message);
}

TEST(Btf, WithoutTypesHasVoidAlone) {
    const Btf btf = parsed(BtfWriter());
    EXPECT_EQ(btf.type_count(), 1u);
    EXPECT_EQ(btf.kind(0), BtfKind::Void);
    EXPECT_FALSE(btf.size_of(0));
}

TEST(Btf, NamesEachKind) {
    EXPECT_EQ(name_of(BtfKind::Void), "void");
    EXPECT_EQ(name_of(BtfKind::FuncProto), "func_proto");
    EXPECT_EQ(name_of(BtfKind::TypeTag), "type_tag");
    EXPECT_EQ(name_of(BtfKind::Enum64), "enum64");
    EXPECT_EQ(name_of(BtfKind(20)), "unknown");
}

TEST(Btf, KnowsHowIntegersAreEncoded) {
    BtfWriter w;
    const auto plain = w.integer("unsigned int", 4);
    const auto special = w.type(BtfKind::Int, "odd", 4, 0, {7u << 24 | 3u << 16 | 5u});
    const Btf btf = parsed(w);
    EXPECT_EQ(btf.int_encoding(plain).bits, 32u);
    EXPECT_FALSE(btf.int_encoding(plain).is_signed);
    const BtfInt odd = btf.int_encoding(special);
    EXPECT_EQ(odd.bits, 5u);
    EXPECT_EQ(odd.bit_off, 3u);
    EXPECT_TRUE(odd.is_signed && odd.is_char && odd.is_bool);
}

TEST(Btf, LooksThroughModifiersAndTypedefs) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto constant = w.type(BtfKind::Const, "", number);
    const auto alias = w.type(BtfKind::Typedef, "alias", constant);
    const auto tagged = w.type(BtfKind::TypeTag, "tag", alias);
    const auto qualified = w.type(BtfKind::Volatile, "", tagged);
    const auto restricted = w.type(BtfKind::Restrict, "", qualified);
    const Btf btf = parsed(w);
    EXPECT_EQ(btf.skip_modifiers(restricted), alias);
    EXPECT_EQ(btf.resolve(restricted), number);
    EXPECT_EQ(btf.resolve(number), number);
    EXPECT_EQ(btf.resolve(0), 0u);
    EXPECT_EQ(btf.size_of(restricted), 4u);
}

TEST(Btf, KnowsSizes) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto pointer = w.type(BtfKind::Ptr, "", number);
    const auto row = w.type(BtfKind::Array, "", 0, 0, {pointer, number, 10});
    const auto table = w.type(BtfKind::Array, "", 0, 0, {row, number, 3});
    const auto real = w.type(BtfKind::Float, "double", 8);
    const auto forward = w.type(BtfKind::Fwd, "unseen", 0);
    const auto proto = w.type(BtfKind::FuncProto, "", number);
    const auto function = w.type(BtfKind::Func, "f", proto);
    const auto variable = w.type(BtfKind::Var, "v", table, 0, {1});
    const Btf btf = parsed(w);
    EXPECT_EQ(btf.size_of(pointer), 8u);
    EXPECT_EQ(btf.size_of(row), 80u);
    EXPECT_EQ(btf.size_of(table), 240u);
    EXPECT_EQ(btf.size_of(real), 8u);
    EXPECT_EQ(btf.size_of(variable), 240u);
    for (const auto id : {forward, proto, function}) {
        EXPECT_FALSE(btf.size_of(id)) << id;
    }
    EXPECT_EQ(btf.array(table).count, 3u);
    EXPECT_EQ(btf.array(table).element, row);
    EXPECT_EQ(btf.linkage(variable), BtfLinkage::Global);
    EXPECT_EQ(btf.linkage(function), BtfLinkage::Static);
}

TEST(Btf, ReadsMembersAndBitfields) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto narrow = w.type(BtfKind::Int, "int", 4, 0, {3});
    const auto modern = w.type(BtfKind::Struct, "modern", 8, 3,
                               {w.string("a"), number, 0, w.string("b"), number, 5u << 24 | 32u,
                                w.string("c"), number, 27u << 24 | 37u},
                               true);
    const auto old =
        w.type(BtfKind::Union, "old", 4, 2, {w.string("x"), number, 0, w.string("y"), narrow, 29});
    const Btf btf = parsed(w);
    const auto members = btf.members(modern);
    ASSERT_EQ(members.size(), 3u);
    EXPECT_EQ(members[0].name, "a");
    EXPECT_EQ(members[0].bits, 0u);
    EXPECT_EQ(members[1].bit_off, 32u);
    EXPECT_EQ(members[1].bits, 5u);
    EXPECT_EQ(members[2].bit_off, 37u);
    EXPECT_EQ(members[2].bits, 27u);
    const auto old_members = btf.members(old);
    EXPECT_EQ(old_members[0].bits, 0u);
    EXPECT_EQ(old_members[1].bit_off, 29u);
    EXPECT_EQ(old_members[1].bits, 3u);
}

TEST(Btf, ReadsEnumerators) {
    BtfWriter w;
    const auto plain =
        w.type(BtfKind::Enum, "e", 4, 2, {w.string("A"), 1, w.string("B"), 0xffffffff});
    const auto with_sign = w.type(BtfKind::Enum, "s", 4, 1, {w.string("C"), 0xffffffff}, true);
    const auto wide = w.type(BtfKind::Enum64, "w", 8, 1, {w.string("D"), 2, 1});
    const auto forward = w.type(BtfKind::Enum, "later", 0);
    const Btf btf = parsed(w);
    EXPECT_EQ(btf.enumerators(plain)[1].name, "B");
    EXPECT_EQ(btf.enumerators(plain)[1].value, 0xffffffffu);
    EXPECT_EQ(btf.enumerators(with_sign)[0].value, ~std::uint64_t{0});
    EXPECT_EQ(btf.enumerators(wide)[0].value, 0x100000002u);
    EXPECT_FALSE(btf.size_of(forward));
}

TEST(Btf, ReadsFunctionsSectionsAndTags) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    const auto proto = w.type(BtfKind::FuncProto, "", number, 2, {w.string("first"), number, 0, 0});
    const auto function = w.type(BtfKind::Func, "f", proto, 2);
    const auto variable = w.type(BtfKind::Var, "v", number, 0, {0});
    const auto section = w.type(BtfKind::Datasec, ".data", 8, 2, {variable, 4, 4, function, 0, 0});
    const auto tag = w.type(BtfKind::DeclTag, "note", function, 0, {0xffffffff});
    const Btf btf = parsed(w);
    EXPECT_EQ(btf.type(function).type, proto);
    EXPECT_EQ(btf.linkage(function), BtfLinkage::Extern);
    const auto params = btf.params(proto);
    EXPECT_EQ(params[0].name, "first");
    EXPECT_EQ(params[1].type, 0u);
    EXPECT_EQ(btf.section_vars(section)[0].off, 4u);
    EXPECT_EQ(btf.component(tag), -1);
    EXPECT_EQ(btf.type(tag).type, function);
}

TEST(Btf, FindsTheFirstOfANameAndKind) {
    BtfWriter w;
    const auto number = w.integer("same", 4);
    const auto alias = w.type(BtfKind::Typedef, "same", number);
    w.integer("same", 8);
    const Btf btf = parsed(w);
    EXPECT_EQ(btf.find("same", BtfKind::Int), number);
    EXPECT_EQ(btf.find("same", BtfKind::Typedef), alias);
    EXPECT_FALSE(btf.find("same", BtfKind::Struct));
    EXPECT_FALSE(btf.find("other", BtfKind::Int));
}

TEST(Btf, SurvivesBeingCopiedAndMoved) {
    BtfWriter w;
    w.integer("number", 4);
    auto original = std::make_unique<Btf>(parsed(w));
    const Btf copy = *original;
    const Btf moved = std::move(*original);
    original.reset();
    EXPECT_EQ(copy.name(1), "number");
    EXPECT_EQ(moved.find("number", BtfKind::Int), 1u);
}

TEST(Btf, RefusesDamagedHeaders) {
    const auto good = BtfWriter().bytes();
    const auto damaged = [&](std::size_t off, std::uint32_t value) {
        auto bytes = good;
        store_unaligned(bytes.data() + off, value);
        return bytes;
    };
    ASSERT_TRUE(Btf::parse(good));
    expect_refused(std::span(good).first(10), "header at offset 0 needs 24 bytes");
    expect_refused(damaged(0, 0x00019feb), "magic 0x9feb version 1");
    expect_refused(damaged(0, 0x0002eb9f), "version 2");
    expect_refused(damaged(4, 8), "header of 8 bytes");
    expect_refused(damaged(4, 0xffffffff), "needs 0 bytes, only 25");
    expect_refused(damaged(12, 0xffffffff), "types at offset 24 needs 4294967295 bytes");
    expect_refused(damaged(20, 0xffffffff), "strings at offset 24 needs 4294967295 bytes");
    expect_refused(damaged(20, 0), "strings do not begin and end");
}

TEST(Btf, RefusesStringsWithoutEnd) {
    BtfWriter w;
    w.integer("number", 4);
    auto bytes = w.bytes();
    bytes.back() = std::byte{'x'};
    expect_refused(bytes, "strings do not begin and end");
}

TEST(Btf, RefusesTypesThatAreCutOff) {
    BtfWriter w;
    w.type(BtfKind::Struct, "s", 8, 0xffff, {0, 0, 0});
    expect_refused(w, "type 1 (struct) is cut off");
}

TEST(Btf, RefusesUnknownKinds) {
    BtfWriter w;
    w.type(BtfKind(20), "x", 0);
    expect_refused(w, "kind 20 is unknown");
    BtfWriter zero;
    zero.type(BtfKind::Void, "x", 0);
    expect_refused(zero, "kind 0 is unknown");
}

TEST(Btf, RefusesReferencesToTypesThatAreNotThere) {
    const std::pair<BtfKind, std::vector<std::uint32_t>> cases[] = {
        {BtfKind::Ptr, {}},           {BtfKind::Array, {9, 0, 1}},   {BtfKind::Struct, {0, 9, 0}},
        {BtfKind::FuncProto, {0, 9}}, {BtfKind::Datasec, {9, 0, 0}}, {BtfKind::Var, {0}},
        {BtfKind::DeclTag, {0}},
    };
    for (const auto& [kind, payload] : cases) {
        BtfWriter w;
        w.type(kind, "x", elf::refers_to_type(kind) ? 9 : 4, 1, payload);
        expect_refused(w, "refers to type 9, there are 2");
    }
}

TEST(Btf, RefusesNamesOutsideTheStrings) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    w.type(BtfKind::Struct, "s", 4, 1, {1000, number, 0});
    expect_refused(w, "type 2: name at 1000");
}

TEST(Btf, RefusesEndlessNames) {
    BtfWriter w;
    w.integer(std::string(5000, 'x'), 4);
    expect_refused(w, "name of more than 4096 bytes");
}

TEST(Btf, RefusesTypesThatContainThemselves) {
    BtfWriter modifiers;
    modifiers.type(BtfKind::Const, "", 2);
    modifiers.type(BtfKind::Typedef, "loop", 1);
    expect_refused(modifiers, "contains itself");
    BtfWriter composite;
    composite.type(BtfKind::Struct, "s", 8, 1, {0, 2, 0});
    composite.type(BtfKind::Array, "", 0, 0, {1, 1, 1});
    expect_refused(composite, "contains itself");
}

TEST(Btf, AcceptsTypesThatPointToThemselves) {
    BtfWriter w;
    w.type(BtfKind::Ptr, "", 2);
    w.type(BtfKind::Struct, "list", 8, 1, {w.string("next"), 1, 0});
    w.type(BtfKind::Ptr, "", 3);
    EXPECT_EQ(parsed(w).size_of(2), 8u);
}

// Each level is sized before the next refers to it: the limit must not depend on the order.
TEST(Btf, LimitsNestingInAnyOrder) {
    for (const bool is_downward : {false, true}) {
        BtfWriter w;
        const std::uint32_t count = 300;
        if (!is_downward) {
            w.integer("int", 4);
        }
        for (std::uint32_t i = 1; i <= count; ++i) {
            w.type(BtfKind::Const, "", is_downward ? i + 1 : i);
        }
        if (is_downward) {
            w.integer("int", 4);
        }
        expect_refused(w, "nests more than 250 types deep");
    }
}

TEST(Btf, RefusesMembersOutsideTheirStruct) {
    BtfWriter w;
    const auto number = w.integer("int", 4);
    w.type(BtfKind::Struct, "s", 4, 1, {w.string("a"), number, 8});
    expect_refused(w, "member \"a\" with 32 bits at 8 is outside 4 bytes");
    BtfWriter sizeless;
    const auto forward = sizeless.type(BtfKind::Fwd, "f", 0);
    sizeless.type(BtfKind::Struct, "s", 4, 1, {sizeless.string("a"), forward, 0});
    expect_refused(sizeless, "member \"a\" has a type without size");
}

TEST(Btf, RefusesImpossibleScalars) {
    BtfWriter wide;
    wide.type(BtfKind::Int, "x", 4, 0, {33});
    expect_refused(wide, "int of 4 bytes with 33 bits");
    BtfWriter odd;
    odd.type(BtfKind::Enum, "e", 3);
    expect_refused(odd, "enum of 3 bytes");
    BtfWriter huge;
    const auto number = huge.integer("int", 4);
    huge.type(BtfKind::Array, "", 0, 0, {number, number, 0x40000000});
    expect_refused(huge, "array of 1073741824 elements of 4 bytes");
}

TEST(Btf, RefusesFunctionsAndVariablesOfTheWrongKind) {
    BtfWriter func;
    const auto number = func.integer("int", 4);
    func.type(BtfKind::Func, "f", number);
    expect_refused(func, "which is no func_proto");
    BtfWriter var;
    var.type(BtfKind::Var, "v", 0, 0, {3});
    expect_refused(var, "linkage 3 is unknown");
    BtfWriter section;
    const auto element = section.integer("int", 4);
    section.type(BtfKind::Datasec, ".data", 4, 1, {element, 0, 4});
    expect_refused(section, "entry 0 is neither var nor func");
}

TEST(Btf, OfTheRunningKernelParsesQuickly) {
    const char* path = "/sys/kernel/btf/vmlinux";
    if (!std::filesystem::exists(path)) {
        GTEST_SKIP() << path << " does not exist";
    }
    const auto bytes = read_bytes(path);
    const auto begin = std::chrono::steady_clock::now();
    const auto btf = Btf::parse(bytes);
    const auto elapsed = std::chrono::steady_clock::now() - begin;
    ASSERT_TRUE(btf) << to_string(btf.error());
    EXPECT_LT(elapsed, std::chrono::seconds(5)); // 0.1 s when optimised
    const auto task = btf->find("task_struct", BtfKind::Struct);
    ASSERT_TRUE(task);
    const auto members = btf->members(*task);
    const auto pid = std::ranges::find(members, "pid", &BtfMember::name);
    ASSERT_NE(pid, members.end());
    EXPECT_EQ(btf->size_of(pid->type), 4u);
    EXPECT_TRUE(btf->find("bpf_obj_drop_impl", BtfKind::Func));
}

} // namespace
} // namespace ebpfvm::test
