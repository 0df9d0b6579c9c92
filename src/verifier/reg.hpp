// What the verifier knows about one register, or about the value spilled to one stack slot.
#pragma once

#include "verifier/domains/scalar.hpp"

#include <cstdint>
#include <string_view>

namespace ebpfvm::verifier {

enum class RegType : std::uint8_t {
    NotInit,
    Scalar,
    Ctx,
    Stack,
    ConstMapPtr,
    MapValue,
    MapKey,
    Packet,
    PacketMeta,
    PacketEnd,
    FlowKeys,
    Socket,
    SockCommon,
    TcpSock,
    XdpSock,
    TpBuffer,
    Mem,
    Func,
};

/// "scalar", "map_value", "packet"...
[[nodiscard]] std::string_view name_of(RegType type);

namespace reg_flags {
inline constexpr std::uint8_t kMaybeNull = 1;
inline constexpr std::uint8_t kReadOnly = 2;
inline constexpr std::uint8_t kRingbuf = 4; ///< Mem from ringbuf_reserve
inline constexpr std::uint8_t kUntrusted = 8;
} // namespace reg_flags

/// Pointers stay nearer to their origin than this, and sizes below it (BPF_MAX_VAR_OFF,
/// BPF_MAX_VAR_SIZ).
inline constexpr std::int64_t kMaxOffset = std::int64_t{1} << 29;

/// How far a variable offset may reach into a packet for a comparison to prove bytes
/// (MAX_PACKET_OFF).
inline constexpr std::int64_t kMaxPacketOffset = 0xffff;

/// Values of Reg::aux of a Packet pointer that is known to lie at or behind the end.
inline constexpr std::uint32_t kAtPacketEnd = ~std::uint32_t{0};
inline constexpr std::uint32_t kBeyondPacketEnd = ~std::uint32_t{1};

/// A value: a type, a number, and what ties it to other values.
///
/// A scalar is `var` alone. A pointer points to (start of what it points into) + off + var, where
/// `off` is what constant additions made and `var` everything else; so two packet pointers with
/// one id differ by a constant although neither distance is known.
struct Reg {
    Scalar var{};
    RegType type = RegType::NotInit;
    std::uint8_t flags = 0;
    std::uint8_t frame = 0; ///< Stack: whose
    /// Pointers: fixed part of the offset. Scalars with an id: distance from the value that the id
    /// stands for.
    std::int32_t off = 0;
    /// Values of one origin: scalars copied from each other, packet pointers of one variable
    /// part, pointers whose null check is one. 0: of none.
    std::uint32_t id = 0;
    std::uint32_t ref = 0; ///< reference that must be released; 0: none
    /// Packet: proved bytes behind (start + var). Mem: its size. MapValue, ConstMapPtr, MapKey:
    /// index of the map. Func: its first slot.
    std::uint32_t aux = 0;
    std::uint32_t map_uid = 0; ///< tells values of different inner maps apart

    [[nodiscard]] static Reg scalar(const Scalar& value) {
        return {.var = value, .type = RegType::Scalar};
    }
    [[nodiscard]] static Reg unknown() { return scalar(Scalar::unknown()); }
    [[nodiscard]] static Reg pointer(RegType type, std::uint32_t aux = 0) {
        return {.var = Scalar::constant(0), .type = type, .aux = aux};
    }
    /// Until a comparison with null decides for all values of this id.
    [[nodiscard]] static Reg pointer_or_null(RegType type, std::uint32_t id) {
        Reg reg = pointer(type);
        reg.flags = reg_flags::kMaybeNull;
        reg.id = id;
        return reg;
    }
    [[nodiscard]] bool is_scalar() const { return type == RegType::Scalar; }
    [[nodiscard]] bool is_pointer() const { return type > RegType::Scalar; }
    [[nodiscard]] bool is_constant() const { return is_scalar() && var.is_constant(); }
    [[nodiscard]] bool is_null() const { return is_constant() && var.value() == 0; }
    [[nodiscard]] bool may_be_null() const { return (flags & reg_flags::kMaybeNull) != 0; }
    [[nodiscard]] bool is_read_only() const { return (flags & reg_flags::kReadOnly) != 0; }
    [[nodiscard]] bool is_packet() const {
        return type == RegType::Packet || type == RegType::PacketMeta;
    }
    bool operator==(const Reg&) const = default;
};

} // namespace ebpfvm::verifier
