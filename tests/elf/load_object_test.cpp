// Objects of unknown form, objects in files, and objects made of insns.
#include "bpf_compiler.hpp"

namespace ebpfvm::test {
namespace {

constexpr std::string_view kText =
    "  # comment\n\n# another\n\tprog p\ninsns 1\n0000000000000095\nend\n";

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

class ObjectFile : public testing::Test {
  protected:
    std::string write(const std::string& name, std::string_view content) const {
        const std::string path = (dir_.path() / name).string();
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }
    static void expect_error(const Expected<Object>& object, Errc code, std::string_view message) {
        ASSERT_FALSE(object) << message;
        EXPECT_EQ(object.error().code, code) << object.error().message;
        EXPECT_NE(object.error().message.find(message), std::string::npos)
            << object.error().message;
    }
    TempDir dir_;
};

TEST(LoadObject, TellsElfTextAndBytecodeApart) {
    const auto elf = load_object(read_bytes(test_data("sample.bpf.o")));
    ASSERT_TRUE(elf) << to_string(elf.error());
    EXPECT_EQ(elf->programs().size(), 2u);
    const auto text = load_object(bytes_of(kText));
    ASSERT_TRUE(text) << to_string(text.error());
    EXPECT_EQ(text->programs()[0].name, "p");
    LoadObjectOptions options;
    options.name = "raw";
    options.default_type = ProgType::Xdp;
    const Insn insns[] = {{.code = 0xb7, .imm = 3}, {.code = 0x95}};
    const auto raw = load_object(std::as_bytes(std::span(insns)), options);
    ASSERT_TRUE(raw) << to_string(raw.error());
    EXPECT_EQ(raw->programs()[0].insns, std::vector<Insn>(std::begin(insns), std::end(insns)));
    EXPECT_EQ(raw->programs()[0].type, ProgType::Xdp);
    EXPECT_EQ(raw->programs()[0].name, "raw");
}

TEST(LoadObject, SaysWhatItTookUnknownBytesFor) {
    const auto object = load_object(bytes_of("\x01\x02\x03"));
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().code, Errc::InvalidInsn);
    EXPECT_NE(object.error().message.find("object: neither ELF nor bpft, and as raw bytecode: "),
              std::string::npos);
}

TEST(LoadObject, TakesTextWithControlCharactersForBytecode) {
    const auto object = load_object(bytes_of(std::string("prog p\n\0", 8)));
    ASSERT_TRUE(object);
    EXPECT_EQ(object->programs()[0].insns.size(), 1u);
}

TEST(LoadObject, LimitsEachForm) {
    LoadObjectOptions options;
    options.max_bytes = 8;
    const Insn insns[2] = {};
    for (const std::span<const std::byte> bytes :
         {bytes_of(kText), std::span<const std::byte>(std::as_bytes(std::span(insns)))}) {
        const auto object = load_object(bytes, options);
        ASSERT_FALSE(object);
        EXPECT_EQ(object.error().code, Errc::LimitExceeded);
    }
}

TEST_F(ObjectFile, IsNamedAfterItsPath) {
    const std::string path = write("p.bpft", kText);
    const auto object = load_object_file(path);
    ASSERT_TRUE(object) << to_string(object.error());
    EXPECT_EQ(object->name(), path);
}

TEST_F(ObjectFile, MustExistAndBeAFile) {
    const std::string missing = (dir_.path() / "missing").string();
    expect_error(load_object_file(missing), Errc::Io, missing + ": No such file or directory");
    expect_error(load_object_file(dir_.path().string()), Errc::Io, "is a directory");
}

TEST_F(ObjectFile, MustNotBeLargerThanAllowed) {
    LoadObjectOptions options;
    options.max_bytes = 100;
    const std::string path = write("large", std::string(101, '\0'));
    expect_error(load_object_file(path, options), Errc::LimitExceeded, "more than 100 bytes");
}

TEST_F(ObjectFile, WithoutEndIsGivenUp) {
    if (!std::filesystem::exists("/dev/zero")) {
        GTEST_SKIP() << "no /dev/zero";
    }
    LoadObjectOptions options;
    options.max_bytes = 1 << 20;
    expect_error(load_object_file("/dev/zero", options), Errc::LimitExceeded, "more than");
}

TEST(ObjectFromInsns, HasOneProgramOfOneSubprog) {
    MapSpec map;
    map.name = "m";
    const Object object = Object::from_insns("p", ProgType::Xdp, {{.code = 0x95}}, {map});
    ASSERT_EQ(object.programs().size(), 1u);
    EXPECT_EQ(object.programs()[0].name, "p");
    EXPECT_EQ(object.programs()[0].type, ProgType::Xdp);
    EXPECT_EQ(names_of(object.programs()[0].subprogs), Names{"p"});
    EXPECT_NE(object.find_map("m"), nullptr);
    EXPECT_EQ(object.find_map("n"), nullptr);
    EXPECT_EQ(object.find_program("q"), nullptr);
}

TEST(ProgramLines, EndWithTheirSubprogram) {
    Program program;
    program.insns.resize(10);
    program.subprogs = {{0, "a", true, 0, {}}, {5, "b", false, 0, {}}};
    program.lines = {{1, 10, 1, "f.c", "x"}, {3, 11, 1, "f.c", "y"}, {7, 12, 1, "f.c", "z"}};
    EXPECT_EQ(program.line_of(0), nullptr);
    EXPECT_EQ(program.line_of(2)->line, 10u);
    EXPECT_EQ(program.line_of(4)->line, 11u);
    EXPECT_EQ(program.line_of(5), nullptr);
    EXPECT_EQ(program.line_of(9)->line, 12u);
    EXPECT_EQ(program.subprog_of(4)->name, "a");
    EXPECT_EQ(program.subprog_of(5)->name, "b");
}

} // namespace
} // namespace ebpfvm::test
