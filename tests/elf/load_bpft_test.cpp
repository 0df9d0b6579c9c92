// Programs as text: docs/bpft.md.
#include "ebpfvm/object.hpp"

#include <gtest/gtest.h>

namespace ebpfvm {
namespace {

constexpr std::string_view kComplete = R"(# A program of every directive.
prog first program
object some.bpf.o
section xdp
prog_type 6 (xdp)
attach_type 37 (xdp)
attach_to some_function
prog_flags 0x20
license GPL
kernel reject errno=13 processed=100
expect accept retval 5
map 0 type=2 (array) key=4 value=4 max=1 flags=0x80 name=.rodata data=01a2B300
map 7 type=12 (array_of_maps) key=4 value=4 max=10 flags=0x0 extra=0x5 inner=type:1,key:8,value:16,max:2,flags:0x1,field:timer@8
map 2 type=1 (hash) key=4 value=32 max=9 flags=0x0 fields=spin_lock:4,timer:0x10
func 0 global first_program ptr:xdp_md:24
func 7 static helper scalar ptr:unsigned long long:8 ptr:-:-22 ptr:a::b:4
kfunc 4 host_add
ksym 5 host_counter
insns 9
0000000700001118   # lddw r1, map 7
0000000000000000   ; its second slot
0000000000002218

0000000400000000
0000006300002085
0000004d00003318
0000000000000000
000000050000000f
0000000000000095
end
)";

constexpr std::string_view kMinimal = "prog p\ninsns 1\n0000000000000095\nend\n";

Object loaded(std::string_view text, const LoadObjectOptions& options = {}) {
    auto object = load_bpft(text, options);
    EXPECT_TRUE(object) << to_string(object.error());
    return object ? *std::move(object) : Object();
}

TEST(LoadBpft, ReadsPrograms) {
    const Object object = loaded(kComplete);
    ASSERT_EQ(object.programs().size(), 1u);
    const Program& program = object.programs()[0];
    EXPECT_EQ(program.name, "first program");
    EXPECT_EQ(program.section, "xdp");
    EXPECT_EQ(program.type, ProgType::Xdp);
    EXPECT_EQ(program.attach_type, 37u);
    EXPECT_EQ(program.flags, prog_flags::kXdpHasFrags);
    EXPECT_EQ(program.insns.size(), 9u);
    EXPECT_EQ(program.insns.back(), (Insn{.code = 0x95}));
    EXPECT_EQ(object.license(), "GPL");
}

TEST(LoadBpft, ReadsMaps) {
    const Object object = loaded(kComplete);
    ASSERT_EQ(object.maps().size(), 3u);
    const MapSpec& rodata = object.maps()[0];
    EXPECT_EQ(rodata.name, ".rodata");
    EXPECT_EQ(rodata.type, MapType::Array);
    EXPECT_EQ(rodata.flags, map_flags::kRdonlyProg);
    EXPECT_TRUE(rodata.frozen);
    EXPECT_EQ(rodata.data,
              (std::vector{std::byte{1}, std::byte{0xa2}, std::byte{0xb3}, std::byte{0}}));
    const MapSpec& outer = object.maps()[1];
    EXPECT_EQ(outer.extra, 5u);
    EXPECT_EQ(outer.name, "map1");
    ASSERT_NE(outer.inner, nullptr);
    EXPECT_EQ(outer.inner->type, MapType::Hash);
    EXPECT_EQ(outer.inner->value_size, 16u);
    EXPECT_EQ(outer.inner->flags, 1u);
    EXPECT_EQ(outer.inner->fields, (std::vector<MapField>{{"timer", 8}}));
    EXPECT_EQ(object.maps()[2].fields, (std::vector<MapField>{{"spin_lock", 4}, {"timer", 16}}));
    EXPECT_FALSE(object.maps()[2].frozen);
}

TEST(LoadBpft, ReadsFunctionsAndTheirParameters) {
    const Object object = loaded(kComplete);
    const auto& subprogs = object.programs()[0].subprogs;
    ASSERT_EQ(subprogs.size(), 2u);
    EXPECT_TRUE(subprogs[0].is_global);
    EXPECT_EQ(subprogs[0].params, (std::vector<SubprogParam>{{true, "xdp_md", 24}}));
    EXPECT_EQ(subprogs[1].insn, 7u);
    EXPECT_EQ(subprogs[1].name, "helper");
    EXPECT_FALSE(subprogs[1].is_global);
    EXPECT_EQ(
        subprogs[1].params,
        (std::vector<SubprogParam>{
            {false, "", 0}, {true, "unsigned long long", 8}, {true, "", 0}, {true, "a::b", 4}}));
}

TEST(LoadBpft, ReadsTagsOfParameters) {
    const Object object = loaded("prog p\nfunc 0 global p ptr:a b:8+ctx ptr:-:-22+trusted+nullable "
                                 "ptr:c:0+arena+nonnull+untrusted\n"
                                 "insns 1\n0000000000000095\nend\n");
    const auto& params = object.programs()[0].subprogs[0].params;
    ASSERT_EQ(params.size(), 3u);
    EXPECT_TRUE(params[0].is_ctx && !params[0].is_nonnull);
    EXPECT_EQ(params[0].pointee, "a b");
    EXPECT_EQ(params[0].size, 8u);
    EXPECT_TRUE(params[1].is_trusted && params[1].is_nullable && !params[1].is_arena);
    EXPECT_TRUE(params[2].is_arena && params[2].is_nonnull && params[2].is_untrusted);
}

TEST(LoadBpft, TurnsNumbersOfTheTextIntoIndices) {
    const Object object = loaded(kComplete);
    const auto& insns = object.programs()[0].insns;
    EXPECT_EQ(insns[0].src, 5); // map_idx
    EXPECT_EQ(insns[0].imm, 1); // map 7 is the second of the object
    EXPECT_EQ(insns[2].src, 6); // map_value_idx
    EXPECT_EQ(insns[2].imm, 0);
    EXPECT_EQ(insns[3].imm, 4); // offset in the value
    ASSERT_EQ(object.externs().size(), 2u);
    EXPECT_EQ(insns[4].imm, 0);
    EXPECT_EQ(object.externs()[0].name, "host_add");
    EXPECT_EQ(object.externs()[0].kind, ExternKind::Function);
    EXPECT_EQ(insns[5].imm, 1);
    EXPECT_EQ(object.externs()[1].name, "host_counter");
    EXPECT_EQ(object.externs()[1].kind, ExternKind::Variable);
}

TEST(LoadBpft, GivesEachProgramMapsOfItsOwnAndSharesExterns) {
    const Object object = loaded(std::string(kComplete) + "\n" + std::string(kComplete));
    ASSERT_EQ(object.programs().size(), 2u);
    EXPECT_EQ(object.maps().size(), 6u);
    EXPECT_EQ(object.externs().size(), 2u);
    EXPECT_EQ(object.programs()[1].insns[0].imm, 4);
    EXPECT_EQ(object.programs()[1].insns[4].imm, 0);
}

TEST(LoadBpft, NeedsLittle) {
    LoadObjectOptions options;
    options.default_type = ProgType::SchedCls;
    const Object object = loaded(kMinimal, options);
    EXPECT_EQ(object.programs()[0].type, ProgType::SchedCls);
    ASSERT_EQ(object.programs()[0].subprogs.size(), 1u);
    EXPECT_EQ(object.programs()[0].subprogs[0].name, "p");
}

TEST(LoadBpft, ReadsLinesThatEndInCarriageReturns) {
    loaded("prog p\r\ninsns 1\r\n0000000000000095\r\nend\r\n");
}

TEST(LoadBpft, RefusesBadText) {
    struct Case {
        std::string_view text;
        std::uint32_t line;
        std::string_view message;
    };
    const Case cases[] = {
        {"", 0, "no program"},
        {"# nothing\n", 1, "no program"},
        {"insns 1\n", 1, "\"insns\" outside prog ... end"},
        {"prog\n", 1, "prog needs a name"},
        {"prog p\nprog q\n", 2, "prog inside program \"p\""},
        {"prog p\n", 1, "program \"p\" has no end"},
        {"prog p\nend\n", 2, "program \"p\" has no insns"},
        {"prog p\ninsns 0\nend\n", 3, "program \"p\" has no insns"},
        {"prog p\nfrobnicate 1\n", 2, "\"frobnicate\" is unknown"},
        {"prog p\nprog_type xdp\n", 2, "prog_type \"xdp\" is no number"},
        {"prog p\nprog_type -1\n", 2, "prog_type \"-1\" is no number"},
        {"prog p\nprog_type 0x100000000\n", 2, "is no number of 32 bits"},
        {"prog p\ninsns 2\n0000000000000095\n", 3, "1 insns, 2 announced"},
        {"prog p\ninsns 1\n95\nend\n", 3, "\"95\" is no insn of 16 hex digits"},
        {"prog p\ninsns 1\n000000000000009g\nend\n", 3, "is no insn of 16 hex digits"},
        {"prog p\ninsns 1\n0000000000000095\ninsns 1\n", 4, "insns twice"},
        {"prog p\nmap x type=1\n", 2, "map \"x\" is no number"},
        {"prog p\nmap 0 type=1\nmap 0 type=1\n", 3, "map 0 is there twice"},
        {"prog p\nmap 0 kind=1\n", 2, "map property \"kind\" is unknown"},
        {"prog p\nmap 0 key=4294967296\n", 2, "key \"4294967296\" is no number of 32 bits"},
        {"prog p\nmap 0 value=2 data=010\n", 2, "data of 3 hex digits"},
        {"prog p\nmap 0 value=2 data=01x0\n", 2, "\"x0\" is no hex byte"},
        {"prog p\nmap 0 value=2 data=01\n", 2, "data of 1 bytes, value of 2"},
        {"prog p\nmap 0 inner=type:1,data:00\n", 2, "inner map property \"data\" is unknown"},
        {"prog p\nmap 0 fields=timer\n", 2, "offset \"\" is no number"},
        {"prog p\nfunc 0 public f\n", 2, "linkage \"public\""},
        {"prog p\nfunc 1 static f\n", 2, "the first one begins at 0"},
        {"prog p\nfunc 0 static f\nfunc 0 static g\n", 3, "func 0 after func 0"},
        {"prog p\nfunc 0 static f float\n", 2, "parameter \"float\""},
        {"prog p\nfunc 0 static f ptr:x\n", 2, "parameter \"ptr:x\" has no size"},
        {"prog p\nfunc 0 static f ptr:x:4+ctx+red\n", 2, "tag \"red\" is unknown"},
        {"prog p\nkfunc 0\n", 2, "extern at insn 0 needs a name"},
        {"prog p\ninsns 1\n0000000000002085\nend\n", 4, "insn 0 needs a line \"kfunc 0 NAME\""},
        {"prog p\ninsns 1\n0000000000003018\nend\n", 4, "insn 0 needs a line \"ksym 0 NAME\""},
        {"prog p\ninsns 1\n0000000300001018\nend\n", 4, "refers to map 3, which is not there"},
    };
    for (const Case& bad : cases) {
        LoadObjectOptions options;
        options.name = "file.bpft";
        const auto object = load_bpft(bad.text, options);
        ASSERT_FALSE(object) << bad.text;
        EXPECT_EQ(object.error().code, Errc::MalformedText) << bad.text;
        EXPECT_NE(object.error().message.find(bad.message), std::string::npos)
            << bad.text << object.error().message;
        ASSERT_TRUE(object.error().where) << bad.text;
        EXPECT_EQ(object.error().where->line, bad.line) << bad.text;
        EXPECT_EQ(object.error().where->file, "file.bpft");
    }
}

} // namespace
} // namespace ebpfvm
