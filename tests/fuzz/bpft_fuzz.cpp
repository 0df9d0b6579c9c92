// Hostile bpft text, and whatever else load_object() takes it for.
#include "fuzz/touch_object.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (auto object = ebpfvm::load_bpft(text)) {
        ebpfvm::touch(*std::move(object));
    }
    if (auto object = ebpfvm::load_object(bytes)) {
        ebpfvm::touch(*std::move(object));
    }
    return 0;
}
