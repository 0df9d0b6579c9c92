// Loads and stores as programs mean them: their own memory, context fields, packets.
#pragma once

#include "exec/ctx_access.hpp"
#include "exec/guard.hpp"

#include <cstring>
#include <type_traits>

// Programs in several threads may race on map values; that is theirs to settle with atomics.
#define EBPFVM_PROGRAM_MEMORY __attribute__((no_sanitize("thread")))

namespace ebpfvm::exec {

template <class T>
EBPFVM_PROGRAM_MEMORY std::uint64_t load_as(std::uint64_t address) {
    T value; // not by load_unaligned(), which the attribute does not reach unless it is inlined
    std::memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
    return std::uint64_t(std::int64_t(value)); // sign extends the signed types alone
}

template <class T>
EBPFVM_PROGRAM_MEMORY void store_as(std::uint64_t address, std::uint64_t value) {
    const T narrow = T(value);
    std::memcpy(reinterpret_cast<void*>(address), &narrow, sizeof narrow);
}

/// Access that is neither to the current frame nor to the packet. False: a fault.
template <class T>
[[nodiscard]] bool load_elsewhere(RunState& state, std::uint64_t address, std::uint64_t& value) {
    if (is_ctx_field(state, address)) {
        const auto field = load_ctx(state, address - state.ctx_address, sizeof(T));
        value = field ? std::uint64_t(std::int64_t(T(*field))) : 0;
        if (field && sizeof(T) == 4 && std::is_unsigned_v<T>) {
            value = *field; // a packet pointer is 4 bytes wide in the uapi struct, 8 here
        }
        return field.has_value();
    }
    if (!check_memory(state, address, sizeof(T), Access::Read).ok) {
        return false;
    }
    value = load_as<T>(address);
    return true;
}

template <class T>
[[nodiscard]] bool store_elsewhere(RunState& state, std::uint64_t address, std::uint64_t value) {
    if (is_ctx_field(state, address)) {
        return store_ctx(state, address - state.ctx_address, sizeof(T), value);
    }
    if (!check_memory(state, address, sizeof(T), Access::Write).ok) {
        return false;
    }
    store_as<T>(address, value);
    return true;
}

/// LD_ABS and LD_IND: `offset` into the packet, or one of the kernel's negative bases.
template <class T>
[[nodiscard]] bool load_packet(const RunState& state, std::int32_t offset, std::uint64_t& value) {
    constexpr std::int32_t kNetOff = -0x100000;  // SKF_NET_OFF: from the network header
    constexpr std::int32_t kLinkOff = -0x200000; // SKF_LL_OFF: from the link-layer header
    constexpr std::int64_t kEthernetHeader = 14;
    std::int64_t at = offset;
    if (offset < 0) {
        at = offset >= kNetOff ? offset - kNetOff + kEthernetHeader
                               : std::int64_t(offset) - kLinkOff;
    }
    const Packet& packet = *state.packet;
    const auto size = std::uint64_t(packet.data_end - packet.data);
    if (at < 0 || !fits(std::uint64_t(at), sizeof(T), size)) {
        return false;
    }
    value = from_big_endian(load_unaligned<T>(packet.data + at));
    return true;
}

} // namespace ebpfvm::exec
