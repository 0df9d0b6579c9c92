// Damaged and foreign ELF files, and how they are refused. Each case changes a few bytes of the
// committed sample.bpf.o.
#include "bpf_compiler.hpp"
#include "elf/elf_format.hpp"
#include "support/bits.hpp"

#include <cstddef>

namespace ebpfvm::test {
namespace {

using elf::RawElfHeader;
using elf::RawSection;
using elf::RawSymbol;

class DamagedElf : public testing::Test {
  protected:
    void SetUp() override { ASSERT_FALSE(bytes_.empty()); }

    template <class T>
    T get(std::size_t off) const {
        return load_unaligned<T>(bytes_.data() + off);
    }
    template <class T>
    void put(std::size_t off, T value) {
        store_unaligned(bytes_.data() + off, value);
    }
    [[nodiscard]] RawElfHeader header() const { return get<RawElfHeader>(0); }
    [[nodiscard]] std::size_t section_at(std::size_t index) const {
        return header().section_headers + index * sizeof(RawSection);
    }
    [[nodiscard]] RawSection section(std::size_t index) const {
        return get<RawSection>(section_at(index));
    }
    [[nodiscard]] std::string name_of_section(std::size_t index) const {
        const std::size_t names = section(header().section_names).off;
        return reinterpret_cast<const char*>(bytes_.data()) + names + section(index).name;
    }
    [[nodiscard]] std::size_t find_section(std::string_view name) const {
        for (std::size_t i = 1; i < header().section_count; ++i) {
            if (name_of_section(i) == name) {
                return i;
            }
        }
        ADD_FAILURE() << "no section " << name;
        return 0;
    }
    [[nodiscard]] std::size_t first_of_type(std::uint32_t type) const {
        for (std::size_t i = 1; i < header().section_count; ++i) {
            if (section(i).type == type) {
                return i;
            }
        }
        ADD_FAILURE() << "no section of type " << type;
        return 0;
    }
    void change_section(std::size_t index, const auto& change) {
        RawSection changed = section(index);
        change(changed);
        put(section_at(index), changed);
    }

    void expect_refused(Errc code, std::string_view message) const {
        LoadObjectOptions options;
        options.name = "sample";
        const auto object = load_elf(bytes_, options);
        ASSERT_FALSE(object) << message;
        EXPECT_EQ(object.error().code, code) << object.error().message;
        EXPECT_TRUE(object.error().message.starts_with("sample: ")) << object.error().message;
        EXPECT_NE(object.error().message.find(message), std::string::npos)
            << object.error().message;
    }

    std::vector<std::byte> bytes_ = read_bytes(test_data("sample.bpf.o"));
};

TEST_F(DamagedElf, SampleLoadsUndamaged) {
    EXPECT_TRUE(load_elf(bytes_));
}

TEST_F(DamagedElf, EarlyToolsWroteNoMachine) {
    put(offsetof(RawElfHeader, machine), elf::kMachineNone);
    EXPECT_TRUE(load_elf(bytes_));
}

TEST_F(DamagedElf, ForeignFilesAreNotSupported) {
    const auto original = bytes_;
    const auto with_byte = [&](std::size_t off, unsigned value, Errc code, std::string_view text) {
        bytes_ = original;
        put(off, std::uint8_t(value));
        expect_refused(code, text);
    };
    with_byte(0, 0x7e, Errc::MalformedElf, "no ELF file");
    with_byte(elf::ident::kClass, 1, Errc::Unsupported, "ELF class 1");
    with_byte(elf::ident::kData, 2, Errc::Unsupported, "only little endian");
    with_byte(offsetof(RawElfHeader, machine), 62, Errc::Unsupported, "ELF machine 62");
    with_byte(offsetof(RawElfHeader, type), 2, Errc::Unsupported, "ELF type 2");
    with_byte(offsetof(RawElfHeader, section_header_size), 40, Errc::MalformedElf,
              "section headers of 40 bytes");
}

TEST_F(DamagedElf, SectionHeadersMustBeInTheFile) {
    put(offsetof(RawElfHeader, section_headers), std::uint64_t(-64));
    expect_refused(Errc::MalformedElf, "section headers at offset 18446744073709551552");
}

TEST_F(DamagedElf, SectionNamesMustBeInASection) {
    put(offsetof(RawElfHeader, section_names), std::uint16_t{0xff00});
    expect_refused(Errc::MalformedElf, "section names are in section 65280");
}

TEST_F(DamagedElf, SectionNamesMustEnd) {
    change_section(2, [](RawSection& s) { s.name = 0x7fffffff; });
    expect_refused(Errc::MalformedElf, "name at 2147483647");
}

TEST_F(DamagedElf, SectionsMustBeInTheFile) {
    change_section(find_section("xdp"), [](RawSection& s) { s.size = std::uint64_t(-8); });
    expect_refused(Errc::MalformedElf, "needs 18446744073709551608 bytes");
}

TEST_F(DamagedElf, SectionsMustNotOverlap) {
    for (const char* name : {"xdp", "tc"}) {
        change_section(find_section(name), [&](RawSection& s) {
            s.off = 0;
            s.size = bytes_.size() & ~std::size_t{7};
        });
    }
    expect_refused(Errc::MalformedElf, "sections overlap");
}

TEST_F(DamagedElf, CodeMustBeWholeInsns) {
    change_section(find_section("tc"), [](RawSection& s) { s.size -= 4; });
    expect_refused(Errc::MalformedElf, "section \"tc\": size");
}

TEST_F(DamagedElf, SymbolsMustBeWhole) {
    change_section(first_of_type(elf::section_type::kSymtab), [](RawSection& s) { s.size -= 1; });
    expect_refused(Errc::MalformedElf, "bytes of symbols");
}

TEST_F(DamagedElf, SymbolsMustNameASectionThatExists) {
    const std::size_t symbols = section(first_of_type(elf::section_type::kSymtab)).off;
    put(symbols + sizeof(RawSymbol) + offsetof(RawSymbol, section), std::uint16_t{999});
    expect_refused(Errc::MalformedElf, "section 999 of");
}

TEST_F(DamagedElf, SymbolsMustLieInTheirSection) {
    const RawSection table = section(first_of_type(elf::section_type::kSymtab));
    for (std::size_t at = table.off; at < table.off + table.size; at += sizeof(RawSymbol)) {
        if (get<RawSymbol>(at).section == find_section("xdp")) {
            put(at + offsetof(RawSymbol, value), std::uint64_t{1} << 40);
        }
    }
    expect_refused(Errc::MalformedElf, "at 1099511627776 of");
}

TEST_F(DamagedElf, FunctionsMustNotOverlap) {
    const RawSection table = section(first_of_type(elf::section_type::kSymtab));
    for (std::size_t at = table.off; at < table.off + table.size; at += sizeof(RawSymbol)) {
        const auto symbol = get<RawSymbol>(at);
        if (symbol.section == find_section("xdp") && (symbol.info & 0xf) == 2) {
            put(at + offsetof(RawSymbol, size), symbol.size + 8);
        }
    }
    expect_refused(Errc::MalformedElf, "are not whole insns or run into");
}

TEST_F(DamagedElf, RelocationsMustHitTheirSection) {
    const std::size_t rel = find_section(".relxdp");
    put(section(rel).off, std::uint64_t{1} << 33);
    expect_refused(Errc::MalformedElf, "section \".relxdp\": relocation 0 at 8589934592");
}

TEST_F(DamagedElf, RelocationsMustNameASymbol) {
    const std::size_t rel = find_section(".relxdp");
    put(section(rel).off + 12, std::uint32_t{100000});
    expect_refused(Errc::MalformedElf, "for symbol 100000");
}

TEST_F(DamagedElf, RelocationsMustHitAnInsnThatTakesThem) {
    const std::size_t rel = section(find_section(".relxdp")).off;
    const auto original = get<std::uint64_t>(rel);
    put(rel, original + 4);
    expect_refused(Errc::MalformedElf, "is inside an insn");
    put(rel, std::uint64_t{0});
    expect_refused(Errc::Unsupported, "only lddw and call can have one");
}

TEST_F(DamagedElf, RelocationsMustNotRepeat) {
    const std::size_t rel = section(find_section(".relxdp")).off;
    put(rel + 16, get<std::uint64_t>(rel));
    expect_refused(Errc::MalformedElf, "relocated twice");
}

TEST_F(DamagedElf, CallsMustLeadToAFunction) {
    const std::size_t second_insn = section(find_section("tc")).off + sizeof(Insn);
    put(second_insn, Insn{.code = kCallCode, .src = 1, .imm = 1000});
    expect_refused(Errc::MalformedElf, "is in no function");
}

TEST_F(DamagedElf, LargeInputIsRefusedUnread) {
    LoadObjectOptions options;
    options.max_bytes = bytes_.size() - 1;
    const auto object = load_elf(bytes_, options);
    ASSERT_FALSE(object);
    EXPECT_EQ(object.error().code, Errc::LimitExceeded);
}

TEST_F(DamagedElf, HugeBssIsNotAllocated) {
    change_section(find_section(".bss"), [](RawSection& s) { s.size = 0xffffffff; });
    const auto object = load_elf(bytes_);
    ASSERT_TRUE(object);
    EXPECT_EQ(object->find_map(".bss")->value_size, 0xffffffffu);
    change_section(find_section(".bss"), [](RawSection& s) { s.size = 0x100000000; });
    expect_refused(Errc::LimitExceeded, "section \".bss\": 4294967296 bytes");
}

} // namespace
} // namespace ebpfvm::test
