// Hostile ELF objects: loading ends with an object or an error, and the object is sound.
#include "fuzz/touch_object.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ebpfvm::LoadObjectOptions options;
    options.kconfig = {{"CONFIG_HZ", std::uint64_t{250}}, {"CONFIG_BPF", 'y'}, {"CONFIG_A", "abc"}};
    const auto bytes = std::as_bytes(std::span(data, size));
    if (auto object = ebpfvm::load_elf(bytes, options)) {
        ebpfvm::touch(*std::move(object));
    }
    if (const auto btf = ebpfvm::Btf::parse(bytes)) {
        ebpfvm::touch(*btf);
    }
    return 0;
}
