// What gdb looks for in a process (gdb manual, "JIT Compilation Interface"). Tested by
// cli/jit_debug_test.cpp.
#include "jit/debug/gdb.hpp"

#include "jit/debug/elf_image.hpp"

#include <cstdint>
#include <mutex>
#include <vector>

// gdb knows these names and layouts. They are weak because other compilers in the process bring
// them, too: all of them use one list.
extern "C" {

struct jit_code_entry {
    jit_code_entry* next_entry;
    jit_code_entry* prev_entry;
    const char* symfile_addr;
    std::uint64_t symfile_size;
};

struct jit_descriptor {
    std::uint32_t version;
    std::uint32_t action_flag;
    jit_code_entry* relevant_entry;
    jit_code_entry* first_entry;
};

[[gnu::weak]] jit_descriptor __jit_debug_descriptor{1, 0, nullptr, nullptr};

// gdb stops here and reads the descriptor.
[[gnu::weak, gnu::noinline]] void __jit_debug_register_code() {
    asm volatile("" ::: "memory");
}
}

namespace ebpfvm::jit {
namespace {

enum class Action : std::uint32_t { None, Register, Unregister };

// The list is the process's, so its lock is, too.
std::mutex list_lock;

void tell_gdb(Action action, jit_code_entry& entry) {
    __jit_debug_descriptor.action_flag = std::uint32_t(action);
    __jit_debug_descriptor.relevant_entry = &entry;
    __jit_debug_register_code();
    __jit_debug_descriptor.action_flag = std::uint32_t(Action::None);
    __jit_debug_descriptor.relevant_entry = nullptr;
}

} // namespace

struct GdbEntry::Listed {
    std::vector<std::byte> image;
    jit_code_entry entry{};
};

GdbEntry::GdbEntry(const Compiled& compiled)
    : listed_(std::make_unique<Listed>(Listed{.image = elf_image_of(compiled)})) {
    jit_code_entry& entry = listed_->entry;
    entry.symfile_addr = reinterpret_cast<const char*>(listed_->image.data());
    entry.symfile_size = listed_->image.size();
    const std::lock_guard lock(list_lock);
    entry.next_entry = __jit_debug_descriptor.first_entry;
    if (entry.next_entry != nullptr) {
        entry.next_entry->prev_entry = &entry;
    }
    __jit_debug_descriptor.first_entry = &entry;
    tell_gdb(Action::Register, entry);
}

GdbEntry::~GdbEntry() {
    jit_code_entry& entry = listed_->entry;
    const std::lock_guard lock(list_lock);
    (entry.prev_entry != nullptr ? entry.prev_entry->next_entry
                                 : __jit_debug_descriptor.first_entry) = entry.next_entry;
    if (entry.next_entry != nullptr) {
        entry.next_entry->prev_entry = entry.prev_entry;
    }
    tell_gdb(Action::Unregister, entry);
}

} // namespace ebpfvm::jit
