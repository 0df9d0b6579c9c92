// ringbuf_output, ringbuf_reserve, ringbuf_submit, ringbuf_discard.
#include "helpers/helpers.hpp"
#include "maps/ringbuf_map.hpp"

#include <cerrno>

namespace ebpfvm::helpers {
namespace {

// Wake-ups (BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP) are accepted, but nobody sleeps on a ring here.
constexpr std::uint64_t kWakeupFlags = 3;

// nullptr if the program passed a map of another type.
maps::RingbufMap* ringbuf(std::uint64_t map) {
    return as_pointer<Map>(map)->spec().type == MapType::Ringbuf
               ? static_cast<maps::RingbufMap*>(as_pointer<Map>(map))
               : nullptr;
}

} // namespace

std::uint64_t ringbuf_output(CallContext&, std::uint64_t map, std::uint64_t data,
                             std::uint64_t size, std::uint64_t flags, std::uint64_t) {
    maps::RingbufMap* ring = ringbuf(map);
    if (ring == nullptr || (flags & ~kWakeupFlags) != 0) {
        return as_r0(-EINVAL);
    }
    return as_r0(ring->output(as_pointer<const void>(data), size) ? 0 : -EAGAIN);
}

std::uint64_t ringbuf_reserve(CallContext& call, std::uint64_t map, std::uint64_t size,
                              std::uint64_t flags, std::uint64_t, std::uint64_t) {
    maps::RingbufMap* ring = ringbuf(map);
    std::byte* record = ring != nullptr && flags == 0 ? ring->reserve(size) : nullptr;
    if (record == nullptr) {
        return 0;
    }
    const std::span<std::byte> memory(record, static_cast<std::size_t>(size));
    if (!call.grant_ref(memory, Access::ReadWrite, &maps::RingbufMap::discard)) {
        maps::RingbufMap::discard(record);
        return 0;
    }
    return reinterpret_cast<std::uint64_t>(record);
}

std::uint64_t ringbuf_submit(CallContext& call, std::uint64_t record, std::uint64_t, std::uint64_t,
                             std::uint64_t, std::uint64_t) {
    call.revoke(as_pointer<const void>(record));
    maps::RingbufMap::submit(as_pointer<std::byte>(record));
    return 0;
}

std::uint64_t ringbuf_discard(CallContext& call, std::uint64_t record, std::uint64_t, std::uint64_t,
                              std::uint64_t, std::uint64_t) {
    call.revoke(as_pointer<const void>(record));
    maps::RingbufMap::discard(as_pointer<std::byte>(record));
    return 0;
}

} // namespace ebpfvm::helpers
