// Maps that `.maps` defines through BTF.
#include "bpf_compiler.hpp"
#include "ebpfvm/btf.hpp"

namespace ebpfvm::test {
namespace {

class BtfMaps : public WithCompiler {};
EBPFVM_WITH_COMPILERS(BtfMaps);

TEST_P(BtfMaps, HaveTheNumbersOfTheirDefinition) {
    const Object object = load("maps.bpf.c");
    ASSERT_EQ(object.maps().size(), 5u + (object.find_map(".rodata") ? 1 : 0) +
                                        (object.find_map(".rodata.cst8") ? 1 : 0));
    const MapSpec& flows = *object.find_map("flows");
    EXPECT_EQ(flows.type, MapType::Hash);
    EXPECT_EQ(flows.key_size, 8u);
    EXPECT_EQ(flows.value_size, 8u);
    EXPECT_EQ(flows.max_entries, 100u);
    EXPECT_EQ(flows.flags, map_flags::kNoPrealloc);
    EXPECT_EQ(flows.pinning, 1u);
    EXPECT_EQ(object.btf()->name(flows.key_btf_id), "flow");
    const MapSpec& sizes = *object.find_map("sizes");
    EXPECT_EQ(sizes.type, MapType::Array);
    EXPECT_EQ(sizes.value_size, 24u);
    EXPECT_EQ(sizes.value_btf_id, 0u);
    const MapSpec& bloom = *object.find_map("bloom");
    EXPECT_EQ(bloom.key_size, 0u);
    EXPECT_EQ(bloom.extra, 5u);
    EXPECT_EQ(object.find_map("events")->max_entries, 4096u);
    EXPECT_EQ(object.find_map("stats")->type, MapType::PercpuArray);
}

TEST_P(BtfMaps, AreWhatProgramsReferTo) {
    const Object object = load("maps.bpf.c");
    std::vector<std::string> names;
    const Program& reader = *object.find_program("reader");
    for (const std::size_t insn : find_insns(reader, kLddwCode, 5)) {
        names.push_back(object.maps().at(std::size_t(reader.insns[insn].imm)).name);
    }
    EXPECT_EQ(names, (Names{"flows", "sizes", "stats", "events"}));
}

TEST_P(BtfMaps, TakeNumbersOf64Bits) {
    if (is_gcc() || GetParam().version == 14) {
        GTEST_SKIP() << GetParam().name << " has no BTF for enums of 64 bits";
    }
    const Object object = load("map_extra.bpf.c");
    EXPECT_EQ(object.find_map("arena")->extra, 0x100000000000u);
}

TEST_P(BtfMaps, HoldMapsByName) {
    const Object object = load("map_slots.bpf.c");
    const MapSpec& outer = *object.find_map("outer");
    EXPECT_EQ(outer.type, MapType::ArrayOfMaps);
    EXPECT_EQ(outer.value_size, 4u);
    ASSERT_NE(outer.inner, nullptr);
    EXPECT_EQ(outer.inner->name, "outer.inner");
    EXPECT_EQ(outer.inner->type, MapType::Array);
    EXPECT_EQ(outer.inner->max_entries, 8u);
    EXPECT_EQ(outer.slots, (std::vector<InitialSlot>{{0, "inner_b"}, {3, "inner_a"}}));
    const MapSpec& anonymous = *object.find_map("anonymous_inner");
    ASSERT_NE(anonymous.inner, nullptr);
    EXPECT_EQ(anonymous.inner->max_entries, 7u);
    EXPECT_TRUE(anonymous.slots.empty());
}

TEST_P(BtfMaps, HoldProgramsByName) {
    const Object object = load("map_slots.bpf.c");
    const MapSpec& jumps = *object.find_map("jumps");
    EXPECT_EQ(jumps.type, MapType::ProgArray);
    EXPECT_EQ(jumps.inner, nullptr);
    EXPECT_EQ(jumps.slots, (std::vector<InitialSlot>{{0, "zero"}, {2, "two"}}));
}

TEST_P(BtfMaps, ListTheSpecialFieldsOfTheirValues) {
    const Object object = load("fields.bpf.c");
    std::vector<MapField> expected = {{"spin_lock", 4}, {"timer", 16}, {"timer", 32}};
    if (GetParam().is_clang && GetParam().version != 14) {
        expected.push_back({"kptr", 48});
    }
    EXPECT_EQ(object.find_map("locked")->fields, expected);
    const auto lock = std::ranges::find(object.globals(), "global_lock", &Global::name);
    ASSERT_NE(lock, object.globals().end());
    EXPECT_EQ(object.find_map(".data")->fields, (std::vector<MapField>{{"spin_lock", lock->off}}));
}

TEST_P(BtfMaps, NeedBtf) {
    if (is_gcc()) {
        GTEST_SKIP() << "its command asks for BTF";
    }
    const auto object = load_elf(compiled(GetParam(), "maps.bpf.c", "-g0"));
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().code, Errc::Unsupported);
    EXPECT_NE(object.error().message.find("compile the object with -g"), std::string::npos);
}

} // namespace
} // namespace ebpfvm::test
