// A program in the form engines run: one 16-byte slot per insn, everything resolved.
#pragma once

#include "ebpfvm/helper.hpp"
#include "ebpfvm/map.hpp"
#include "ebpfvm/object.hpp"
#include "ebpfvm/prog_type.hpp"
#include "isa/opcode.hpp"
#include "maps/hash_view.hpp"
#include "maps/map_of_maps.hpp"
#include "prog/verified_program.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace ebpfvm::exec {

/// What a slot does: an isa::Op by its number, or one of these.
inline constexpr std::uint8_t kOpTailCall = isa::kOpCount;
/// dst = the packet's length, shifted right by `off` bits, and'ed with `imm`.
inline constexpr std::uint8_t kOpPacketLen = isa::kOpCount + 1;
/// src and'ed with `imm`, stored as `dst` bytes at `off` of the host's context object.
inline constexpr std::uint8_t kOpStoreWidened = isa::kOpCount + 2;
/// r0 = element *(u32 *)r2 of the ArrayLookup at `imm`, or null.
inline constexpr std::uint8_t kOpArrayLookup = isa::kOpCount + 3;
/// r0 = the value of the key at r2 in the map of the HashLookup at `imm`, or null.
inline constexpr std::uint8_t kOpHashLookup = isa::kOpCount + 4;
inline constexpr unsigned kSlotOpCount = isa::kOpCount + 5;

/// Registers that no program has, for rewritten context accesses: the host's context object, and
/// its Packet.
inline constexpr std::uint8_t kHostCtxReg = kRegCount;
inline constexpr std::uint8_t kPacketReg = kRegCount + 1;
inline constexpr unsigned kSlotRegCount = kRegCount + 2;

inline constexpr std::uint64_t kStackSize = 512; ///< bytes per frame

/// One insn. Slots begin with those of the program, so positions and jump distances are its own;
/// behind them are subprograms of ours.
struct Slot {
    std::uint8_t op = 0;
    std::uint8_t dst = 0;
    std::uint8_t src = 0;
    std::uint8_t step = 0; ///< what the interpreter runs from here on: see exec/pairs.hpp
    std::int32_t off = 0; ///< memory offset, or distance of a jump or local call from the next slot
    /// Sign-extended immediate; for lddw the resolved value; for a call the address of its Helper;
    /// for a local call the bytes of stack to clear.
    std::int64_t imm = 0;
};
static_assert(sizeof(Slot) == 16);

/// In the place of insns of a verified program that no run gets to, and of jumps that none takes.
inline constexpr Slot kNothing{.op = std::uint8_t(isa::Op::Ja)};

/// Is it an isa::Op, and none of the above?
[[nodiscard]] constexpr bool is_insn(const Slot& slot) {
    return slot.op < isa::kOpCount;
}
/// Of a slot that is an insn.
[[nodiscard]] constexpr isa::Shape shape_of(const Slot& slot) {
    return isa::shape_of(isa::Op(slot.op));
}
/// 2 for lddw, else 1.
[[nodiscard]] constexpr unsigned slots_of(const Slot& slot) {
    return is_insn(slot) && shape_of(slot) == isa::Shape::Lddw ? 2 : 1;
}
[[nodiscard]] constexpr bool is_jump(const Slot& slot) {
    return is_insn(slot) && isa::is_jump(shape_of(slot));
}

/// Memory with one access right for all of it.
struct Region {
    std::uint64_t begin = 0;
    std::uint64_t size = 0;
    Access access = Access::None;
};

/// Memory of one map, which knows what may be touched in it.
struct MapRegion {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    Map* map = nullptr;
};

/// An array or per-cpu array as lookups see it.
struct ArrayLookup {
    std::uint64_t begin = 0;      ///< address of element 0, for CPU 0
    std::uint32_t count = 0;      ///< elements
    std::uint32_t stride = 0;     ///< bytes from one to the next
    std::uint32_t cpu_stride = 0; ///< bytes to the next CPU's copy; 0 if there is one copy
};

/// A hash map of any kind as lookups see it.
struct HashLookup {
    maps::HashView view{};
    Map* map = nullptr;
    const Helper* helper = nullptr; ///< the built-in one, which does the same
};

/// Helpers of the library that engines can do without a call. Null: they call whatever is bound.
struct Builtins {
    HelperFn map_lookup_elem = nullptr;
    HelperFn get_smp_processor_id = nullptr;
    HelperFn csum_diff = nullptr;

    /// Those of HelperTable::defaults().
    [[nodiscard]] static const Builtins& all();
};

/// Immutable and shared between threads. Keeps alive all that its slots point to.
struct Code {
    Program program;
    std::vector<Slot> slots;
    std::vector<std::uint32_t> subprogs; ///< first slots, ascending: where calls may go
    std::vector<std::uint32_t> stacks;   ///< by subprogram: bytes below r10 that it may touch
    /// Slots that call bpf_loop(), ascending: each calls a copy of kLoopCall, in the same order.
    std::vector<std::uint32_t> loop_calls;
    std::deque<Helper> helpers; ///< those it calls by number or name; slots point into it
    std::map<std::uint32_t, Helper> callx_helpers; ///< those callx can reach; empty without callx
    std::vector<std::shared_ptr<Map>> maps;        ///< those it refers to (core references)
    std::vector<MapRegion> map_regions;            ///< ascending
    std::vector<maps::MapOfMaps*> maps_of_maps;    ///< among `maps`
    std::vector<Region> frozen;                    ///< map values that nobody can change any more
    std::vector<Region> variables;                 ///< host variables it refers to
    std::deque<ArrayLookup> array_lookups;         ///< slots point into it
    std::deque<HashLookup> hash_lookups;           ///< slots point into it
    std::shared_ptr<const CtxLayout> ctx;
    Builtins builtins{};
    bool needs_cpu = false;        ///< may see per-cpu memory or the CPU's number
    bool clears_stack = true;      ///< frames must be zero when they are entered
    bool is_verified = false;      ///< made by resolve_verified(): runs without checks
    bool blinds_constants = false; ///< machine code must not show the program's constants
    const void* native = nullptr;  ///< machine code of its entry, if a JIT has made any
    /// Machine code of the whole program as a C function of the host's context object; null if it
    /// needs the state of a run (for calls out of it, or checks).
    std::uint64_t (*native_leaf)(void* ctx) = nullptr;
    std::shared_ptr<const void> native_owner{};

    /// The insn of the program that a slot belongs to.
    [[nodiscard]] std::size_t insn_of(std::size_t slot) const;
    /// What a load of 1, 2, 4 or 8 bytes at `address` gets, if it can be nothing else.
    [[nodiscard]] std::optional<std::uint64_t> frozen_bytes(std::uint64_t address,
                                                            unsigned size) const;
};

/// What a program refers to, already looked up.
struct Bindings {
    std::shared_ptr<const CtxLayout> ctx;
    /// By map index of the object; entries the program does not use may be null.
    std::span<const std::shared_ptr<Map>> maps;
    const HelperTable* helpers = nullptr;
    /// By extern index: host memory of a variable (begin 0: a weak one that is absent).
    std::span<const Region> variables;
    std::span<const Extern> externs;
    Builtins builtins{};
    std::uint32_t cpus = 1; ///< virtual CPUs that runs may be on
};

/// Decodes and resolves `program`. Errors: those of isa::decode_program(), Errc::Unresolved for a
/// helper or function that bindings.helpers lacks, Errc::Unsupported for an insn without meaning
/// here (raw map descriptors, addr_space_cast).
[[nodiscard]] Expected<std::shared_ptr<Code>> resolve(const Program& program,
                                                      const Bindings& bindings);

/// The same for a program that runs without checks: what it does to its context is rewritten to the
/// host's struct; what no run gets to is gone, and need not be there for it. Further errors:
/// Errc::Unsupported for a field that the host's struct lacks, Errc::InvalidArgument for a helper
/// whose prototype is not the one that was verified.
[[nodiscard]] Expected<std::shared_ptr<Code>> resolve_verified(const prog::VerifiedProgram& program,
                                                               const Bindings& bindings);

} // namespace ebpfvm::exec
