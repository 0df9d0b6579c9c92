// Tested by jit/see_inside_test.cpp.
#include "jit/debug/unwind.hpp"

#include "jit/debug/dwarf.hpp"

// Of libgcc; no header declares them.
extern "C" {
void __register_frame(void* begin);
void __deregister_frame(void* begin);
}

namespace ebpfvm::jit {

UnwindEntry::UnwindEntry(const Compiled& compiled) : frames_(eh_frame_of(compiled)) {
    __register_frame(frames_.data());
}

UnwindEntry::~UnwindEntry() {
    __deregister_frame(frames_.data());
}

} // namespace ebpfvm::jit
