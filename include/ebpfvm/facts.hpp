// What the verifier found out about an accepted program, insn by insn: for compilers and tools.
#pragma once

#include "ebpfvm/insn.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ebpfvm {

/// What a value is on every path that reaches an insn.
enum class ValueKind : std::uint8_t {
    Unknown, ///< not the same on all paths, or not set
    Number,
    Ctx,
    Stack,
    MapPtr,
    MapValue,
    MapKey,
    Packet,
    PacketMeta,
    PacketEnd,
    Memory, ///< granted by a helper
    Object, ///< a socket or another struct the program reaches through the context
    Function,
};

/// "number", "map_value"...
[[nodiscard]] std::string_view name_of(ValueKind kind);

/// A value at one insn. For numbers the bounds are of the value, for pointers of the distance in bytes
/// from what they point into (stack: r10 of the frame; packet: its first byte).
struct ValueFact {
    ValueKind kind = ValueKind::Unknown;
    bool may_be_null = false;  ///< pointers
    std::uint8_t frame = 0;    ///< Stack: 0 is the frame that executes the insn, 1 its caller's...
    std::uint32_t map = 0;     ///< MapPtr, MapValue, MapKey: index into Object::maps()
    std::uint32_t proved = 0;  ///< Packet: bytes from its start that are known to exist
    std::uint64_t known_value = 0; ///< bits outside unknown_mask are these
    std::uint64_t unknown_mask = ~std::uint64_t{0};
    std::uint64_t umin = 0;
    std::uint64_t umax = ~std::uint64_t{0};
    std::int64_t smin = INT64_MIN;
    std::int64_t smax = INT64_MAX;

    [[nodiscard]] bool is_constant() const { return unknown_mask == 0; }
    bool operator==(const ValueFact&) const = default;
};

/// A stack slot that holds a value when the insn is reached.
struct SlotFact {
    std::int32_t off = 0; ///< from r10, a multiple of 8
    std::uint8_t size = 8;
    ValueFact value{};
};

struct InsnFacts {
    bool is_reachable = false;
    bool may_fall_through = false; ///< conditional jumps
    bool may_jump = false;
    std::uint16_t live = 0; ///< registers (bits) that are read from here on before they are written
    std::uint8_t depth = 0; ///< frames, if it is the same on all paths; else 0
    std::array<ValueFact, kRegCount> regs{}; ///< before the insn
    std::vector<SlotFact> slots{};           ///< of the frame that executes the insn
};

struct Facts {
    std::vector<InsnFacts> insns{};            ///< by slot
    std::vector<std::uint32_t> stack_bytes{};  ///< by subprogram, ascending by first insn
    std::vector<std::uint32_t> maps{};         ///< indices of maps that are used
    std::vector<std::uint32_t> helpers{};      ///< numbers of helpers that are called
    std::vector<std::string> ctx_fields{};     ///< of the context, read or written
};

} // namespace ebpfvm
