// The executable sections of an object: insns, functions, and which function refers to which.
#pragma once

#include "ebpfvm/insn.hpp"
#include "elf/elf_reader.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string_view>
#include <vector>

namespace ebpfvm::elf {

/// A function. Places are slots in its section; functions do not overlap.
struct Function {
    std::string_view name;
    std::uint32_t section = 0;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool is_global = false;
};

/// A function under a name that makes it a program. Aliases of one function are several entries.
struct Entry {
    std::string_view name;
    std::uint32_t function = 0;
};

/// An insn that refers to a place in a function, relative to itself: a call, or lddw of an address.
struct FuncRef {
    std::uint64_t insn = 0;     ///< slot in its section
    std::uint32_t function = 0; ///< it refers to
    std::uint64_t delta = 0;    ///< slots into that function; 0 except in hand-written assembly
};

class Code {
  public:
    /// Copies the code of a file and finds its functions. Errors: Errc::MalformedElf for functions
    /// that overlap or are not made of whole insns.
    [[nodiscard]] static Expected<Code> read(const ElfFile& file);

    [[nodiscard]] const std::vector<Function>& functions() const { return functions_; }
    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
    /// Section numbers, with their insns.
    [[nodiscard]] std::map<std::uint32_t, std::vector<Insn>>& sections() { return sections_; }
    [[nodiscard]] std::span<const Insn> insns_of(const Function& function) const;

    /// The function that begins at a slot, or nullptr; the one that the slot is in, or nullptr.
    [[nodiscard]] const Function* function_at(std::uint32_t section, std::uint64_t slot) const;
    [[nodiscard]] const Function* function_around(std::uint32_t section, std::uint64_t slot) const;
    [[nodiscard]] std::uint32_t index_of(const Function& function) const {
        return std::uint32_t(&function - functions_.data());
    }

    /// The references that a function makes, ascending by insn.
    [[nodiscard]] std::span<const FuncRef> refs_of(const Function& function) const;
    /// Of a section, in any order.
    void set_refs(std::uint32_t section, std::vector<FuncRef> refs);

  private:
    Expected<void> find_functions(const ElfFile& file, std::uint32_t section);
    Expected<void> add_function(const ElfFile& file, std::uint32_t section, const Symbol& symbol,
                                std::uint64_t next);
    void find_entries(const ElfFile& file);

    std::map<std::uint32_t, std::vector<Insn>> sections_;
    std::vector<Function> functions_; // ascending by section, then begin
    std::vector<Entry> entries_;
    std::map<std::uint32_t, std::vector<FuncRef>> refs_; // by section
};

/// Does a section hold subprograms only? (.text; all other code is programs.)
[[nodiscard]] bool is_text(std::string_view section);

} // namespace ebpfvm::elf
