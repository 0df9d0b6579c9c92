// Whatever happens to an object file, loading it ends soon, with an object or an error. The
// sanitizer builds see what else it does.
#include "bpf_compiler.hpp"
#include "elf/elf_format.hpp"
#include "fuzz/touch_object.hpp"
#include "support/bits.hpp"

#include <cstring>
#include <random>

namespace ebpfvm::test {
namespace {

std::vector<std::byte> sample() {
    return read_bytes(test_data("sample.bpf.o"));
}

LoadObjectOptions with_kconfig() {
    LoadObjectOptions options;
    options.kconfig = {{"CONFIG_HZ", std::uint64_t{250}}};
    return options;
}

// Returns whether it loads.
bool survives(std::span<const std::byte> bytes) {
    auto object = load_elf(bytes, with_kconfig());
    if (!object) {
        EXPECT_FALSE(object.error().message.empty());
        return false;
    }
    touch(*std::move(object));
    return true;
}

TEST(Robustness, SampleHasEverything) {
    auto object = load_elf(sample(), with_kconfig());
    ASSERT_TRUE(object) << to_string(object.error());
    EXPECT_EQ(names_of(object->programs()), (Names{"first", "second"}));
    EXPECT_EQ(object->find_map("outer")->slots.size(), 1u);
    EXPECT_EQ(object->externs().size(), 1u);
    EXPECT_EQ(object->core_relocations().size(), 2u);
    EXPECT_EQ(object->find_program("first")->subprogs.size(), 2u);
    for (const char* name : {".rodata", ".bss", ".kconfig", "inner"}) {
        EXPECT_NE(object->find_map(name), nullptr) << name;
    }
    EXPECT_FALSE(object->find_program("first")->lines.empty());
}

TEST(Robustness, EveryTruncationIsRefused) {
    const auto bytes = sample();
    ASSERT_FALSE(bytes.empty());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        // A copy of its own, so that sanitizers know where it ends.
        const std::vector<std::byte> part(bytes.begin(), bytes.begin() + std::ptrdiff_t(size));
        EXPECT_FALSE(survives(part)) << size;
    }
}

// The section headers are at the end of the file, so no cut of it gets past them.
TEST(Robustness, EverySectionCutAnywhereIsHandled) {
    const auto bytes = sample();
    ASSERT_FALSE(bytes.empty());
    const auto header = load_unaligned<elf::RawElfHeader>(bytes.data());
    std::size_t survivors = 0;
    for (std::size_t i = 1; i < header.section_count; ++i) {
        const std::size_t at = header.section_headers + i * sizeof(elf::RawSection);
        auto section = load_unaligned<elf::RawSection>(bytes.data() + at);
        while (section.size-- != 0) {
            auto damaged = bytes;
            store_unaligned(damaged.data() + at, section);
            survivors += survives(damaged) ? 1 : 0;
        }
    }
    EXPECT_GT(survivors, 0u);
}

TEST(Robustness, AHundredThousandDamagedObjectsAreHandled) {
    const auto bytes = sample();
    ASSERT_FALSE(bytes.empty());
    std::mt19937 random(1);
    std::size_t survivors = 0;
    for (int round = 0; round < 100'000; ++round) {
        auto damaged = bytes;
        for (auto flips = 1 + random() % 3; flips != 0; --flips) {
            damaged[random() % damaged.size()] = std::byte(random());
        }
        survivors += survives(damaged) ? 1 : 0;
    }
    // Most bytes are names and line numbers: damage there must not matter.
    EXPECT_GT(survivors, 20'000u);
    EXPECT_LT(survivors, 99'000u);
}

// Fields that are numbers rather than text break more when they become extreme.
TEST(Robustness, ExtremeNumbersAreHandled) {
    const auto bytes = sample();
    ASSERT_FALSE(bytes.empty());
    for (const std::uint32_t value : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu, 0xfffffff8u}) {
        for (std::size_t at = 0; at + sizeof(value) <= bytes.size(); at += 4) {
            auto damaged = bytes;
            std::memcpy(damaged.data() + at, &value, sizeof(value));
            survives(damaged);
        }
    }
}

} // namespace
} // namespace ebpfvm::test
