// Kconfig values, and what the host must provide.
#include "bpf_compiler.hpp"

#include <cstring>
#include <limits>

namespace ebpfvm::test {
namespace {

class Externs : public WithCompiler {
  protected:
    void SetUp() override {
        if (is_gcc()) {
            GTEST_SKIP() << "gcc 12 writes no BTF for externs";
        }
    }
    [[nodiscard]] std::string refused(const LoadObjectOptions& options, Errc code) const {
        const auto object = load_elf(compiled(GetParam(), "kconfig.bpf.c"), options);
        EXPECT_FALSE(object);
        if (object) {
            return "";
        }
        EXPECT_EQ(object.error().code, code) << object.error().message;
        return object.error().message;
    }
};
EBPFVM_WITH_COMPILERS(Externs);

LoadObjectOptions complete() {
    LoadObjectOptions options;
    options.kconfig = {{"LINUX_KERNEL_VERSION", std::uint64_t{0x060c05}},
                       {"CONFIG_BOOL", 'y'},
                       {"CONFIG_CHAR", 'm'},
                       {"CONFIG_TRISTATE", 'm'},
                       {"CONFIG_SMALL", std::uint64_t(-5)},
                       {"CONFIG_LARGE", std::numeric_limits<std::uint64_t>::max()},
                       {"CONFIG_TEXT", std::string("1234567")}};
    return options;
}

// The value that the program reads: through its lddw, with the load behind it.
std::vector<std::uint64_t> values_read(const Object& object) {
    const Program& program = object.programs()[0];
    std::vector<std::uint64_t> values;
    for (const std::size_t insn : find_insns(program, kLddwCode, 6)) {
        const MapSpec& map = object.maps().at(std::size_t(program.insns[insn].imm));
        EXPECT_EQ(map.name, ".kconfig");
        std::uint64_t value = 0;
        const std::size_t off = std::size_t(program.insns[insn + 1].imm);
        std::memcpy(&value, map.data.data() + off, std::min<std::size_t>(8, map.data.size() - off));
        values.push_back(value);
    }
    return values;
}

TEST_P(Externs, OfKconfigLieInAFrozenMap) {
    const Object object = load("kconfig.bpf.c", "", complete());
    const MapSpec* map = object.find_map(".kconfig");
    ASSERT_NE(map, nullptr);
    EXPECT_TRUE(map->frozen);
    EXPECT_EQ(map->flags, map_flags::kRdonlyProg);
    EXPECT_EQ(map->data.size(), map->value_size);
    EXPECT_TRUE(object.externs().empty());
}

TEST_P(Externs, OfKconfigHaveTheGivenValues) {
    const Object object = load("kconfig.bpf.c", "", complete());
    const auto values = values_read(object);
    const auto has = [&](std::uint64_t value, std::uint64_t mask) {
        return std::ranges::any_of(values,
                                   [&](std::uint64_t v) { return (v & mask) == (value & mask); });
    };
    EXPECT_TRUE(has(0x060c05, 0xffffffff));
    EXPECT_TRUE(has(1, 0xff));
    EXPECT_TRUE(has('m', 0xff));
    EXPECT_TRUE(has(2, 0xffffffff));
    EXPECT_TRUE(has(std::uint64_t(-5), 0xff));
    EXPECT_TRUE(has(std::uint64_t(-1), std::uint64_t(-1)));
    EXPECT_TRUE(has(0x0037363534333231, std::uint64_t(-1)));
    EXPECT_TRUE(has(0, 0xffffffff));
}

TEST_P(Externs, OfKconfigNeedAValueUnlessWeak) {
    auto options = complete();
    options.kconfig.erase("CONFIG_LARGE");
    EXPECT_TRUE(load_elf(compiled(GetParam(), "kconfig.bpf.c"), options));
    options.kconfig.erase("CONFIG_TRISTATE");
    const std::string message = refused(options, Errc::Unresolved);
    EXPECT_NE(message.find("\"CONFIG_TRISTATE\" has no value"), std::string::npos) << message;
}

TEST_P(Externs, OfKconfigRefuseValuesThatDoNotSuitTheirType) {
    const std::pair<const char*, KconfigValue> cases[] = {
        {"CONFIG_BOOL", 'm'},
        {"CONFIG_BOOL", std::uint64_t{2}},
        {"CONFIG_BOOL", std::string("y")},
        {"CONFIG_TRISTATE", 'x'},
        {"CONFIG_SMALL", std::uint64_t{128}},
        {"CONFIG_SMALL", std::uint64_t(-129)},
        {"LINUX_KERNEL_VERSION", std::uint64_t{1} << 31},
        {"LINUX_KERNEL_VERSION", 'y'},
        {"CONFIG_TEXT", std::string("12345678")},
        {"CONFIG_TEXT", std::uint64_t{1}},
    };
    for (const auto& [name, value] : cases) {
        auto options = complete();
        options.kconfig[name] = value;
        const std::string message = refused(options, Errc::InvalidArgument);
        EXPECT_NE(message.find(name), std::string::npos) << message;
    }
}

TEST_P(Externs, OfTheHostAreFunctionsAndVariables) {
    if (GetParam().version == 14) {
        GTEST_SKIP() << "its BTF for weak functions is incomplete";
    }
    const Object object = load("externs.bpf.c");
    ASSERT_EQ(object.externs().size(), 5u); // host_add in two flavors
    for (const Extern& item : object.externs()) {
        const bool is_function = item.name == "host_add" || item.name == "host_maybe";
        const bool is_weak = item.name == "host_maybe" || item.name == "host_absent";
        EXPECT_EQ(item.kind, is_function ? ExternKind::Function : ExternKind::Variable)
            << item.name;
        EXPECT_EQ(item.is_weak, is_weak) << item.name;
        EXPECT_NE(item.btf_type_id, 0u) << item.name;
    }
}

TEST_P(Externs, OfTheHostAreReferredToByIndex) {
    const Object object = load("externs.bpf.c");
    const Program& caller = object.programs()[0];
    const auto calls = find_insns(caller, kCallCode, 2);
    ASSERT_EQ(calls.size(), 3u);
    std::vector<std::string> names;
    for (const std::size_t insn : calls) {
        names.push_back(object.externs().at(std::size_t(caller.insns[insn].imm)).name);
        EXPECT_EQ(caller.insns[insn].off, 0);
    }
    EXPECT_EQ(names, (Names{"host_add", "host_maybe", "host_add"}));
    for (const std::size_t insn : find_insns(caller, kLddwCode, 3)) {
        EXPECT_LT(std::size_t(caller.insns[insn].imm), object.externs().size());
    }
}

TEST_P(Externs, OfTheHostNeedNoBtf) {
    const Object object = load("externs.bpf.c", "-g0");
    ASSERT_EQ(object.externs().size(), 5u); // host_add in two flavors
    for (const Extern& item : object.externs()) {
        const bool is_function = item.name == "host_add" || item.name == "host_maybe";
        EXPECT_EQ(item.kind, is_function ? ExternKind::Function : ExternKind::Variable)
            << item.name;
    }
}

} // namespace
} // namespace ebpfvm::test
