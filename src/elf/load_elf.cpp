// ELF object -> Object, stage by stage.
#include "ebpfvm/object.hpp"
#include "elf/link.hpp"
#include "elf/object_builder.hpp"
#include "elf/relocate.hpp"

namespace ebpfvm {

using namespace elf;

namespace {

std::string license_of(const ElfFile& file) {
    const Section* section = file.find_section("license");
    if (section == nullptr) {
        return {};
    }
    const std::string_view text(reinterpret_cast<const char*>(section->bytes.data()),
                                section->bytes.size());
    return std::string(text.substr(0, text.find('\0')));
}

Expected<Object> load(std::span<const std::byte> bytes, const LoadObjectOptions& options) {
    if (bytes.size() > options.max_bytes) {
        return fail(Errc::LimitExceeded, "{} bytes, at most {} allowed", bytes.size(),
                    options.max_bytes);
    }
    TRY_ASSIGN(const ElfFile file, ElfFile::parse(bytes));
    TRY_ASSIGN(const Input input, read_input(file, options)); // BTF
    MapTable maps(input);
    TRY(define_btf_maps(input, maps));
    TRY(define_legacy_maps(input, maps));
    TRY(define_data_maps(input, maps));
    ExternTable externs(input);
    TRY(define_kconfig(input, maps, externs));
    TRY_ASSIGN(Code code, Code::read(file));
    TRY(fill_map_slots(input, code, maps));
    Budget budget;
    TRY_ASSIGN(auto relocations, relocate(input, maps, externs, code, budget));
    TRY_ASSIGN(LinkedPrograms linked, link_programs(input, code, budget));

    ObjectBuilder builder;
    builder.name = options.name;
    builder.license = license_of(file);
    builder.programs = std::move(linked.programs);
    builder.core = std::move(linked.core);
    builder.maps = maps.maps();
    builder.globals = maps.globals();
    builder.externs = externs.externs();
    builder.relocations = std::move(relocations);
    builder.btf = input.btf;
    return builder.finish();
}

} // namespace

Expected<Object> load_elf(std::span<const std::byte> bytes, const LoadObjectOptions& options) {
    auto object = load(bytes, options);
    if (!object) {
        Error& error = object.error();
        error.message = options.name + ": " + error.message;
    }
    return object;
}

} // namespace ebpfvm
