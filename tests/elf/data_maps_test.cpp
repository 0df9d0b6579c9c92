// Data sections as maps, and global variables.
#include "bpf_compiler.hpp"

#include <algorithm>
#include <cstring>

namespace ebpfvm::test {
namespace {

class DataMaps : public WithCompiler {
  protected:
    // gcc has constants that are volatile in .data.
    [[nodiscard]] std::string constants() const { return is_gcc() ? ".data" : ".rodata"; }
};
EBPFVM_WITH_COMPILERS(DataMaps);

const Global* find_global(const Object& object, std::string_view name) {
    const auto found = std::ranges::find(object.globals(), name, &Global::name);
    return found == object.globals().end() ? nullptr : &*found;
}

template <class T>
T value_of(const Object& object, std::string_view name) {
    const Global* global = find_global(object, name);
    EXPECT_NE(global, nullptr) << name;
    T value{};
    if (global != nullptr) {
        const MapSpec& map = object.maps().at(global->map);
        EXPECT_LE(global->off + sizeof(T), map.data.size()) << name;
        std::memcpy(&value, map.data.data() + global->off, sizeof(T));
    }
    return value;
}

TEST_P(DataMaps, AreArraysOfOneElement) {
    const Object object = load("data.bpf.c");
    for (const char* name : {".data", ".bss", ".data.custom", ".rodata.text", "elsewhere"}) {
        const MapSpec* map = object.find_map(name);
        ASSERT_NE(map, nullptr) << name;
        EXPECT_EQ(map->type, MapType::Array) << name;
        EXPECT_EQ(map->key_size, 4u) << name;
        EXPECT_EQ(map->max_entries, 1u) << name;
        EXPECT_TRUE(map->data.empty() || map->data.size() == map->value_size) << name;
    }
}

TEST_P(DataMaps, AreFrozenIfReadOnly) {
    const Object object = load("data.bpf.c");
    for (const char* name : {".data", ".bss", ".data.custom", "elsewhere"}) {
        EXPECT_FALSE(object.find_map(name)->frozen) << name;
        EXPECT_EQ(object.find_map(name)->flags, 0u) << name;
    }
    EXPECT_TRUE(object.find_map(".rodata.text")->frozen);
    EXPECT_EQ(object.find_map(".rodata.text")->flags, map_flags::kRdonlyProg);
}

TEST_P(DataMaps, HoldTheInitialValues) {
    const Object object = load("data.bpf.c");
    EXPECT_EQ(value_of<std::uint64_t>(object, "filler"), 0x1122334455667788u);
    EXPECT_EQ(value_of<std::uint32_t>(object, "number"), 77u);
    EXPECT_EQ(value_of<std::uint32_t>(object, "hidden_number"), 88u);
    EXPECT_EQ(value_of<std::uint32_t>(object, "limit"), 1000u);
    EXPECT_EQ(value_of<std::uint32_t>(object, "custom"), 99u);
    EXPECT_EQ(value_of<std::uint32_t>(object, "remote"), 111u);
    EXPECT_EQ((value_of<std::array<char, 5>>(object, "text")),
              (std::array{'t', 'e', 'x', 't', '\0'}));
    EXPECT_EQ(object.maps().at(find_global(object, "limit")->map).name, constants());
}

TEST_P(DataMaps, LeaveZerosOut) {
    const Object object = load("data.bpf.c");
    const Global* zeros = find_global(object, "zeros");
    ASSERT_NE(zeros, nullptr);
    EXPECT_EQ(zeros->size, 32u);
    EXPECT_EQ(object.maps().at(zeros->map).name, ".bss");
    EXPECT_TRUE(object.find_map(".bss")->data.empty());
    EXPECT_EQ(object.find_map(".bss")->value_size, 40u);
}

TEST_P(DataMaps, KnowGlobalsByTheirSymbolsWithoutBtf) {
    if (is_gcc()) {
        GTEST_SKIP() << "its command asks for BTF";
    }
    const Object object = load("data.bpf.c", "-g0");
    EXPECT_EQ(value_of<std::uint32_t>(object, "limit"), 1000u);
    EXPECT_EQ(value_of<std::uint32_t>(object, "hidden_number"), 88u);
    EXPECT_EQ(find_global(object, "table")->size, 5u);
}

TEST_P(DataMaps, AreWhatProgramsReferTo) {
    const Object object = load("data.bpf.c");
    const Program& reader = *object.find_program("reader");
    std::vector<std::string> names;
    for (const std::size_t insn : find_insns(reader, kLddwCode, 6)) {
        const MapSpec& map = object.maps().at(std::size_t(reader.insns[insn].imm));
        const auto off = std::uint32_t(reader.insns[insn + 1].imm);
        EXPECT_LT(off, map.value_size);
        for (const Global& global : object.globals()) {
            if (&object.maps()[global.map] == &map && global.off == off) {
                names.push_back(global.name);
            }
        }
    }
    for (const char* name : {"number", "hidden_number", "custom", "remote", "limit", "table",
                             "text", "zeros", "hidden_zero", "filler"}) {
        EXPECT_TRUE(contains(names, name)) << name;
    }
}

// The source takes &global_parts.b[1], which holds 5, &static_parts.b[2] and first_parts. Compilers
// fold such offsets into the address or add them in the next insn.
TEST_P(DataMaps, AreReferredToWithOffsets) {
    const Object object = load("offsets.bpf.c");
    const Program& reader = *object.find_program("reader");
    std::vector<std::uint32_t> values; // that the addresses lead to
    for (const std::size_t insn : find_insns(reader, kLddwCode, 6)) {
        const MapSpec& map = object.maps().at(std::size_t(reader.insns[insn].imm));
        std::int64_t off = reader.insns[insn + 1].imm;
        const Insn& next = reader.insns[insn + 2];
        if (next.code == 0x07 && next.dst == reader.insns[insn].dst) { // r1 += 16
            off += next.imm;
        }
        std::uint32_t value = 0;
        ASSERT_LE(std::size_t(off) + sizeof(value), map.data.size());
        std::memcpy(&value, map.data.data() + off, sizeof(value));
        values.push_back(value);
    }
    for (const std::uint32_t value : {1u, 5u, 11u}) {
        EXPECT_NE(std::ranges::find(values, value), values.end()) << value;
    }
}

TEST_P(DataMaps, RefuseAddressesInData) {
    const auto object = load_elf(compiled(GetParam(), "data_pointer.bpf.c"));
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().code, Errc::Unsupported);
    EXPECT_NE(object.error().message.find("section \".data\""), std::string::npos);
    EXPECT_NE(object.error().message.find("\"target\""), std::string::npos);
}

TEST_P(DataMaps, TakeValuesBeforeLoad) {
    Object object = load("data.bpf.c");
    ASSERT_TRUE(object.set_global("limit", std::uint32_t{5}));
    EXPECT_EQ(value_of<std::uint32_t>(object, "limit"), 5u);
    ASSERT_TRUE(object.set_global("hidden_zero", std::uint32_t{6}));
    EXPECT_EQ(value_of<std::uint32_t>(object, "hidden_zero"), 6u);
    EXPECT_EQ(value_of<std::uint64_t>(object, "zeros"), 0u);
}

TEST_P(DataMaps, RefuseValuesOfAnotherSizeOrName) {
    Object object = load("data.bpf.c");
    const auto wrong_size = object.set_global("limit", std::uint64_t{5});
    ASSERT_FALSE(wrong_size);
    EXPECT_EQ(wrong_size.error().code, Errc::InvalidArgument);
    const auto wrong_name = object.set_global("limits", std::uint32_t{5});
    ASSERT_FALSE(wrong_name);
    EXPECT_EQ(wrong_name.error().code, Errc::NotFound);
}

} // namespace
} // namespace ebpfvm::test
