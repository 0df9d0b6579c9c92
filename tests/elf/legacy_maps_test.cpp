// Maps as they were defined before BTF.
#include "bpf_compiler.hpp"

namespace ebpfvm::test {
namespace {

class LegacyMaps : public WithCompiler {};
EBPFVM_WITH_COMPILERS(LegacyMaps);

void expect_alpha_and_beta(const Object& object) {
    const MapSpec* alpha = object.find_map(std::string_view("alpha"));
    ASSERT_NE(alpha, nullptr);
    EXPECT_EQ(alpha->type, MapType::Hash);
    EXPECT_EQ(alpha->key_size, 8u);
    EXPECT_EQ(alpha->value_size, 16u);
    EXPECT_EQ(alpha->max_entries, 32u);
    EXPECT_EQ(alpha->flags, 0u);
    const MapSpec* beta = object.find_map(std::string_view("beta"));
    ASSERT_NE(beta, nullptr);
    EXPECT_EQ(beta->value_size, 64u);
    EXPECT_EQ(beta->flags, 1u);

    const Program& reader = object.programs().at(0);
    std::vector<std::string> names;
    for (const std::size_t insn : find_insns(reader, kLddwCode, 5)) {
        names.push_back(object.maps().at(std::size_t(reader.insns[insn].imm)).name);
    }
    EXPECT_EQ(names, (Names{"alpha", "beta"}));
}

TEST_P(LegacyMaps, OfAnySizeAreUnderstood) {
    for (const char* extra : {"", "-DMAP_DEF_EXTRA=1", "-DMAP_DEF_EXTRA=2", "-DMAP_DEF_EXTRA=9"}) {
        SCOPED_TRACE(extra);
        expect_alpha_and_beta(load("legacy_maps.bpf.c", extra));
    }
}

TEST_P(LegacyMaps, WithMoreThanTheCommonFieldsAreRefused) {
    const auto object = load_elf(
        compiled(GetParam(), "legacy_maps.bpf.c", "-DMAP_DEF_EXTRA=2 -DMAP_DEF_EXTRA_VALUE=7"));
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().code, Errc::Unsupported);
    EXPECT_NE(object.error().message.find("map \"beta\": only the first 20 of 28 bytes"),
              std::string::npos);
}

} // namespace
} // namespace ebpfvm::test
