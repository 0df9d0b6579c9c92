// Which functions become programs, and what each is linked with.
#include "bpf_compiler.hpp"
#include "ebpfvm/btf.hpp"

#include <algorithm>

namespace ebpfvm::test {
namespace {

class Programs : public WithCompiler {};
EBPFVM_WITH_COMPILERS(Programs);

std::vector<std::string> callees(const Program& program) {
    std::vector<std::string> names;
    for (const std::size_t insn : find_insns(program, kCallCode, 1)) {
        names.push_back(target_of(program, insn));
    }
    return names;
}

TEST_P(Programs, AreTheGlobalFunctionsOfSectionsOtherThanText) {
    const Object object = load("programs.bpf.c");
    EXPECT_EQ(sorted(names_of(object.programs())),
              (Names{"first", "not_autoloaded", "second", "third", "untyped"}));
    EXPECT_EQ(object.license(), "Dual MIT/GPL");
}

TEST_P(Programs, HaveTheTypeOfTheirSection) {
    LoadObjectOptions options;
    options.default_type = ProgType::SocketFilter;
    const Object object = load("programs.bpf.c", "", options);
    EXPECT_EQ(object.find_program("first")->type, ProgType::Xdp);
    EXPECT_EQ(object.find_program("not_autoloaded")->type, ProgType::SchedCls);
    EXPECT_EQ(object.find_program("not_autoloaded")->section, "tc/ingress");
    EXPECT_EQ(object.find_program("untyped")->type, ProgType::SocketFilter);
}

TEST_P(Programs, TakeTypesFromTheTableOfTheHost) {
    ProgTypeTable table;
    ProgTypeInfo info;
    info.type = ProgType(kFirstHostProgType);
    info.name = "mine";
    info.sections = {"unheard_of"};
    ASSERT_TRUE(table.add(info));
    LoadObjectOptions options;
    options.prog_types = &table;
    const Object object = load("programs.bpf.c", "", options);
    EXPECT_EQ(object.find_program("untyped")->type, ProgType(kFirstHostProgType));
}

TEST_P(Programs, CarryTheSubprogramsTheyReachAndNoOthers) {
    const Object object = load("programs.bpf.c");
    const Program& first = *object.find_program("first");
    EXPECT_EQ(sorted(names_of(first.subprogs)), (Names{"first", "text_global", "text_hidden",
                                                       "text_static", "text_unused_by_second"}));
    EXPECT_EQ(sorted(callees(first)),
              (Names{"text_global", "text_hidden", "text_static", "text_unused_by_second"}));
    const Program& second = *object.find_program("second");
    EXPECT_EQ(sorted(names_of(second.subprogs)),
              (Names{"second", "text_global", "text_static", "text_weak"}));
    EXPECT_EQ(names_of(object.find_program("third")->subprogs), (Names{"third"}));
}

TEST_P(Programs, BeginWithTheEntryAndAscend) {
    const Object object = load("programs.bpf.c");
    for (const Program& program : object.programs()) {
        EXPECT_EQ(program.subprogs.front().name, program.name);
        EXPECT_EQ(program.subprogs.front().insn, 0u);
        EXPECT_TRUE(std::ranges::is_sorted(program.subprogs, {}, &Subprog::insn));
        EXPECT_TRUE(disassemble(program.insns));
    }
}

TEST_P(Programs, KnowWhichSubprogramsAreGlobal) {
    const Object object = load("programs.bpf.c");
    for (const Subprog& subprog : object.find_program("first")->subprogs) {
        const bool is_global = subprog.name == "first" || subprog.name == "text_global";
        EXPECT_EQ(subprog.is_global, is_global) << subprog.name;
    }
}

TEST_P(Programs, KeepTheSameBytesAtEachLevelOfTheInstructionSet) {
    if (is_gcc()) {
        GTEST_SKIP() << "-mcpu=v1 ... v3 are clang's names";
    }
    for (const char* cpu : {"-mcpu=v1", "-mcpu=v2", "-mcpu=v3", "-O1"}) {
        const Object object = load("programs.bpf.c", cpu);
        EXPECT_EQ(object.programs().size(), 5u) << cpu;
        EXPECT_EQ(callees(*object.find_program("first")).size(), 4u) << cpu;
    }
}

TEST_P(Programs, LinkCirclesOnce) {
    const Object object = load("recursion.bpf.c");
    const Program& entry = *object.find_program("entry");
    EXPECT_EQ(sorted(names_of(entry.subprogs)), (Names{"entry", "ping", "pong"}));
    for (const std::size_t insn : find_insns(entry, kCallCode, 1)) {
        EXPECT_NE(target_of(entry, insn), "?");
    }
}

TEST_P(Programs, CallStaticFunctionsOfTheirOwnSection) {
    const Object object = load("local_calls.bpf.c");
    EXPECT_EQ(names_of(object.programs()), (Names{"caller"}));
    EXPECT_EQ(callees(object.programs()[0]), (Names{"local", "local"}));
}

TEST_P(Programs, TakeAddressesOfFunctions) {
    const Object object = load("callbacks.bpf.c");
    const Program& caller = *object.find_program("caller");
    std::vector<std::string> targets;
    for (const std::size_t insn : find_insns(caller, kLddwCode, 4)) {
        targets.push_back(target_of(caller, insn));
        EXPECT_EQ(caller.insns[insn + 1].imm, 0);
    }
    EXPECT_EQ(targets, (Names{"static_callback", "global_callback"}));
}

TEST_P(Programs, AreTheGlobalFunctionsOfTextIfThereIsNothingElse) {
    LoadObjectOptions options;
    options.default_type = ProgType::Xdp;
    const Object object = load("text_only.bpf.c", "", options);
    EXPECT_EQ(names_of(object.programs()), (Names{"main"}));
    EXPECT_EQ(object.programs()[0].type, ProgType::Xdp);
    EXPECT_EQ(names_of(object.programs()[0].subprogs), (Names{"main", "helper"}));
}

TEST_P(Programs, LoadWithoutDebugInformation) {
    if (is_gcc()) {
        GTEST_SKIP() << "its command asks for BTF";
    }
    const Object object = load("programs.bpf.c", "-g0");
    EXPECT_EQ(object.btf(), nullptr);
    EXPECT_EQ(object.programs().size(), 5u);
    EXPECT_TRUE(object.programs()[0].lines.empty());
    EXPECT_EQ(object.programs()[0].line_of(0), nullptr);
}

TEST_P(Programs, KnowTheSourceLinesAndTypesOfAllTheirParts) {
    if (is_gcc()) {
        GTEST_SKIP() << "gcc 12 writes no .BTF.ext";
    }
    const Object object = load("programs.bpf.c");
    const Program& first = *object.find_program("first");
    EXPECT_TRUE(std::ranges::is_sorted(first.lines, {}, &LineInfo::insn));
    for (const Subprog& subprog : first.subprogs) {
        ASSERT_NE(object.btf(), nullptr);
        EXPECT_EQ(object.btf()->type(subprog.btf_type_id).name, subprog.name);
        ASSERT_EQ(subprog.params.size(), 1u) << subprog.name;
        EXPECT_EQ(subprog.params[0].is_pointer, subprog.name == "first");
        const LineInfo* line = first.line_of(subprog.insn);
        ASSERT_NE(line, nullptr) << subprog.name;
        EXPECT_TRUE(line->file.ends_with("programs.bpf.c")) << line->file;
        EXPECT_NE(line->text.find(subprog.name), std::string::npos) << line->text;
        EXPECT_EQ(first.subprog_of(subprog.insn)->name, subprog.name);
    }
    EXPECT_EQ(first.lines.front().line, 10u);
}

TEST_P(Programs, AreFoundByTheirSectionIfItIsOnlyTheirs) {
    const Object object = load("programs.bpf.c");
    ASSERT_NE(object.find_program("unheard_of"), nullptr);
    EXPECT_EQ(object.find_program("unheard_of")->name, "untyped");
    EXPECT_EQ(object.find_program("xdp"), nullptr);
}

TEST_P(Programs, KeepCoreRelocationsOfEachCopy) {
    if (is_gcc()) {
        GTEST_SKIP() << "gcc 12 does not know preserve_access_index";
    }
    const Object object = load("core.bpf.c");
    ASSERT_NE(object.btf(), nullptr);
    ASSERT_EQ(object.core_relocations().size(), 3u);
    for (const CoreReloc& reloc : object.core_relocations()) {
        const Program& program = object.programs().at(reloc.program);
        EXPECT_EQ(object.btf()->name(reloc.type_id), "task");
        EXPECT_EQ(reloc.kind, 0u);
        const Subprog* subprog = program.subprog_of(reloc.insn);
        EXPECT_EQ(reloc.access, subprog->name == "read_inner" ? "0:1:1" : "0:0");
        // clang puts the offset it assumed into the insn.
        const Insn& insn = program.insns.at(reloc.insn);
        const int off = insn.off != 0 ? insn.off : insn.imm;
        EXPECT_EQ(off, subprog->name == "read_inner" ? 16 : 0);
    }
}

} // namespace
} // namespace ebpfvm::test
