// What an object file contains: programs, maps, externs. No code runs and no map exists yet.
#pragma once

#include "ebpfvm/error.hpp"
#include "ebpfvm/insn.hpp"
#include "ebpfvm/map.hpp"
#include "ebpfvm/prog_type.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ebpfvm {

class Btf;

/// A parameter of a subprogram, as its type information has it.
struct SubprogParam {
    bool is_pointer = false;
    std::string pointee{};  ///< name of the type it points to; empty if it has none
    std::uint32_t size = 0; ///< bytes it points to; 0 if unknown
    // Tags of the declaration:
    bool is_ctx = false;       ///< __arg_ctx: the program's context
    bool is_nonnull = false;   ///< __arg_nonnull
    bool is_nullable = false;  ///< __arg_nullable: a trusted pointer that may be null
    bool is_trusted = false;   ///< __arg_trusted: a pointer to a kernel object
    bool is_untrusted = false; ///< __arg_untrusted: memory that may be read, whatever is there
    bool is_arena = false;     ///< __arg_arena: a pointer into an arena

    bool operator==(const SubprogParam&) const = default;
};

/// A function inside a program: the entry at insn 0, and the subprograms linked behind it.
struct Subprog {
    std::uint32_t insn = 0; ///< first slot
    std::string name{};
    bool is_global = false;             ///< verified on its own
    std::uint32_t btf_type_id = 0;      ///< BTF_KIND_FUNC in Object::btf(); 0 if unknown
    std::vector<SubprogParam> params{}; ///< empty if unknown, or if it has none
};

/// Source position of the insns from `insn` on, up to the next entry.
struct LineInfo {
    std::uint32_t insn = 0;
    std::uint32_t line = 0;   ///< 1-based
    std::uint32_t column = 0; ///< 1-based; 0 if unknown
    std::string file{};
    std::string text{}; ///< the source line, without indentation
    std::uint32_t indent = 0; ///< bytes of indentation that it had
};

/// One program, complete: subprograms it calls follow its own insns and all calls are relative.
struct Program {
    std::string name{};
    std::string section{};
    ProgType type = ProgType::Unspec;
    std::uint32_t attach_type = 0; ///< AttachType, or 0
    std::uint32_t flags = 0;       ///< prog_flags
    std::vector<Insn> insns{}; ///< lddw refers to maps by MapIdx/MapValueIdx, to externs by index
    std::vector<Subprog> subprogs{}; ///< ascending by insn; the first is the entry
    std::vector<LineInfo> lines{};   ///< ascending by insn; empty without debug information

    /// Where the source of an insn is, if known.
    [[nodiscard]] const LineInfo* line_of(std::size_t insn) const;
    [[nodiscard]] const Subprog* subprog_of(std::size_t insn) const;
};

enum class ExternKind : std::uint8_t {
    Function, ///< call kfunc: bound to HelperTable::find(name)
    Variable, ///< lddw btf_id: bound to host memory of that name
};

/// A symbol the host must provide. (kconfig externs are resolved when the object is read.)
struct Extern {
    std::string name{};
    ExternKind kind = ExternKind::Function;
    bool is_weak = false;          ///< address 0 if absent; calling an absent function is an error
    std::uint32_t btf_type_id = 0; ///< in Object::btf(); 0 if unknown
};

/// A global variable of the object.
struct Global {
    std::string name{};
    std::uint32_t map = 0;  ///< index into maps()
    std::uint32_t off = 0;  ///< in the map's value
    std::uint32_t size = 0; ///< bytes; 0 if unknown (no BTF, no symbol size)
};

/// A relocation as it was applied, for tools.
struct AppliedReloc {
    std::string section{};
    std::uint64_t off = 0; ///< bytes into the section
    std::string symbol{};
    std::string kind{}; ///< "map", "data", "call", "func", "extern"
};

/// A relocation that fits the program to the layout of a target's types; kept for CO-RE.
struct CoreReloc {
    std::uint32_t program = 0; ///< index into programs()
    std::uint32_t insn = 0;
    std::uint32_t type_id = 0; ///< root type in btf()
    std::string access{};      ///< "0:1:2"
    std::uint32_t kind = 0;    ///< the kernel's enum bpf_core_relo_kind
};

/// Value of a kconfig extern (`extern int CONFIG_HZ __kconfig;`): number, tristate 'y'/'m'/'n',
/// text.
using KconfigValue = std::variant<std::uint64_t, char, std::string>;

struct LoadObjectOptions {
    std::string name = "object"; ///< for messages
    /// Section names to program types; the kernel's alone if null.
    const ProgTypeTable* prog_types = nullptr;
    /// Type of programs whose section name means nothing; Unspec leaves them so.
    ProgType default_type = ProgType::Unspec;
    std::map<std::string, KconfigValue, std::less<>> kconfig{};
    std::uint64_t max_bytes = std::uint64_t{256} << 20; ///< larger input is refused
};

/// An object file after linking. Plain data, freely copied; independent of the bytes it came from.
class Object {
  public:
    Object();
    ~Object();
    Object(const Object&);
    Object(Object&&) noexcept;
    Object& operator=(const Object&);
    Object& operator=(Object&&) noexcept;

    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::string& license() const { return license_; }
    [[nodiscard]] const std::vector<Program>& programs() const { return programs_; }
    [[nodiscard]] const std::vector<MapSpec>& maps() const { return maps_; }
    [[nodiscard]] const std::vector<Extern>& externs() const { return externs_; }
    [[nodiscard]] const std::vector<Global>& globals() const { return globals_; }
    [[nodiscard]] const std::vector<AppliedReloc>& relocations() const { return relocations_; }
    [[nodiscard]] const std::vector<CoreReloc>& core_relocations() const { return core_; }
    /// Type information; nullptr if the object has none.
    [[nodiscard]] const Btf* btf() const { return btf_.get(); }

    /// By name, or by section if the name is no program's and only one program is in that section.
    [[nodiscard]] const Program* find_program(std::string_view name) const;
    [[nodiscard]] const MapSpec* find_map(std::string_view name) const;

    /// For hosts that adapt an object before they load it (other max_entries, another type).
    [[nodiscard]] MapSpec* find_map(std::string_view name);
    [[nodiscard]] Program* find_program(std::string_view name);

    /// Sets a global variable (`const volatile int limit;`) before load. Errors: Errc::NotFound,
    /// Errc::InvalidArgument if the size is not the variable's.
    Expected<void> set_global(std::string_view name, std::span<const std::byte> value);
    template <class T>
    requires std::is_trivially_copyable_v<T> Expected<void> set_global(std::string_view name,
                                                                       const T& value) {
        return set_global(name, std::as_bytes(std::span(&value, 1)));
    }

    /// An object of one program, for bytecode that comes from elsewhere.
    [[nodiscard]] static Object from_insns(std::string name, ProgType type, std::vector<Insn> insns,
                                           std::vector<MapSpec> maps = {});

  private:
    friend struct ObjectBuilder;
    std::string name_;
    std::string license_;
    std::vector<Program> programs_;
    std::vector<MapSpec> maps_;
    std::vector<Extern> externs_;
    std::vector<Global> globals_;
    std::vector<AppliedReloc> relocations_;
    std::vector<CoreReloc> core_;
    std::shared_ptr<const Btf> btf_;
};

/// Reads an ELF object of clang (14 to 19) or gcc-bpf. Errors: Errc::MalformedElf, MalformedBtf,
/// Unsupported (big endian, executables), Unresolved (a kconfig extern without value),
/// LimitExceeded.
[[nodiscard]] Expected<Object> load_elf(std::span<const std::byte> bytes,
                                        const LoadObjectOptions& options = {});

/// Reads programs written as text ("bpft", docs/bpft.md). Errors: Errc::MalformedText with the
/// line.
[[nodiscard]] Expected<Object> load_bpft(std::string_view text,
                                         const LoadObjectOptions& options = {});

/// Reads whichever the bytes are: ELF, bpft, or raw bytecode (a multiple of 8 bytes, type from
/// options.default_type).
[[nodiscard]] Expected<Object> load_object(std::span<const std::byte> bytes,
                                           const LoadObjectOptions& options = {});

/// load_object() of a file, named after it. Errors: Errc::Io as well.
[[nodiscard]] Expected<Object> load_object_file(const std::string& path,
                                                LoadObjectOptions options = {});

} // namespace ebpfvm
