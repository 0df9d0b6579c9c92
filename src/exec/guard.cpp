// The slow path of checked mode: every region a run may touch, in the order of likelihood.
// Tested by interp/checked_mode_test.cpp.
#include "exec/guard.hpp"

#include <algorithm>
#include <optional>

namespace ebpfvm::exec {
namespace {

constexpr std::uint64_t kNear = 4096; // how far outside a region still "belongs" to it in messages

Verdict denied(Access have, Access want, MemoryClass memory_class, Map* map = nullptr) {
    if (allows(have, want)) {
        return {.memory_class = memory_class, .map = map};
    }
    const bool lacks_write = !allows(have, Access::Write) && allows(want, Access::Write);
    return {false, lacks_write ? FaultKind::ReadOnly : FaultKind::WriteOnly, memory_class, map};
}

bool contains(const Region& region, std::uint64_t address, std::uint64_t size) {
    return region.begin != 0 && fits(address - region.begin, size, region.size);
}

std::optional<Verdict> check_stack(const RunState& state, std::uint64_t address,
                                   std::uint64_t size) {
    for (unsigned frame = 0; frame <= state.depth; ++frame) {
        if (fits(address - (state.frame_top(frame) - kStackSize), size, kStackSize)) {
            return Verdict{.memory_class = MemoryClass::Stack};
        }
    }
    return std::nullopt;
}

Region packet_region(const RunState& state) {
    const Packet* packet = state.packet;
    if (packet == nullptr) {
        return {};
    }
    return {reinterpret_cast<std::uintptr_t>(packet->data_meta),
            std::uint64_t(packet->data_end - packet->data_meta), state.code->ctx->packet_access};
}

Region plain_region(const RunState& state) {
    return {state.ctx_address, state.plain_size, state.code->ctx->plain};
}

std::optional<Verdict> check_map(Map& map, MemoryState memory, Access want) {
    switch (memory) {
    case MemoryState::Ok:
        return denied(map.prog_access(), want, MemoryClass::MapValue, &map);
    case MemoryState::OutOfBounds:
        return Verdict{false, FaultKind::OutOfBounds, MemoryClass::MapValue, &map};
    case MemoryState::Stale:
        return Verdict{false, FaultKind::StaleMapValue, MemoryClass::MapValue, &map};
    case MemoryState::NotMine:
        return std::nullopt;
    }
    std::unreachable();
}

// The map in whose memory an address lies.
Map* map_at(const RunState& state, std::uint64_t address) {
    const auto& regions = state.code->map_regions;
    const auto after = std::ranges::upper_bound(regions, address, {}, &MapRegion::begin);
    return after != regions.begin() && address < std::prev(after)->end ? std::prev(after)->map
                                                                       : nullptr;
}

std::optional<Verdict> check_maps(RunState& state, std::uint64_t address, std::uint64_t size,
                                  Access want) {
    const void* at = reinterpret_cast<const void*>(address);
    if (Map* map = map_at(state, address)) {
        return check_map(*map, map->memory_state(at, size, state.user_), want);
    }
    for (const RunState::Entered& entered : state.entered()) {
        Map* inner = nullptr;
        const MemoryState memory =
            entered.outer->inner_memory_state(at, size, state.user_, entered.since, &inner);
        if (memory != MemoryState::NotMine) {
            return check_map(*inner, memory, want);
        }
    }
    return std::nullopt;
}

// A value of a map that the program names.
Reachable reachable_value(const RunState& state, std::uint64_t address) {
    Map* map = map_at(state, address);
    if (map == nullptr) {
        return {};
    }
    const auto value = map->value_at(reinterpret_cast<const void*>(address), state.user_);
    const MapType type = map->spec().type;
    const bool stays = type == MapType::Array || type == MapType::PercpuArray;
    return {{reinterpret_cast<std::uintptr_t>(value.data()), value.size(), map->prog_access()},
            stays ? Lasts::Run : Lasts::Call};
}

Region region_of(const CallContext::Grant& grant) {
    return {reinterpret_cast<std::uintptr_t>(grant.begin), grant.size, grant.access};
}

bool overlap(const Region& a, const Region& b) {
    return a.begin < b.begin + b.size && b.begin < a.begin + a.size;
}

// All memory of the host's, in the order in which the guard looks at it; `visit` returns true at
// the last that it wants to see.
template <class Visit>
void visit_host_memory(const RunState& state, Visit visit) {
    if (visit(packet_region(state), Lasts::Packet) || visit(plain_region(state), Lasts::Run)) {
        return;
    }
    for (const CallContext::Grant& grant : state.grants()) {
        if (visit(region_of(grant), Lasts::Call)) {
            return;
        }
    }
    for (const Region& region : state.code->variables) {
        if (visit(region, Lasts::Run)) {
            return;
        }
    }
}

// Is there memory that the guard looks at before this, and finds some of the same accesses in?
bool is_overlapped(const RunState& state, const Region& region) {
    bool is_overlapped = false;
    visit_host_memory(state, [&](const Region& earlier, Lasts) {
        const bool is_same = earlier.begin == region.begin && earlier.size == region.size;
        is_overlapped = !is_same && earlier.begin != 0 && overlap(earlier, region);
        return is_same || is_overlapped;
    });
    return is_overlapped;
}

std::optional<Verdict> check_handed_out(const RunState& state, std::uint64_t address,
                                        std::uint64_t size, Access want) {
    for (const CallContext::Grant& grant : state.grants()) {
        if (contains(region_of(grant), address, size)) {
            return denied(grant.access, want, MemoryClass::Helper);
        }
    }
    for (const Region& region : state.code->variables) {
        if (contains(region, address, size)) {
            return denied(region.access, want, MemoryClass::Helper);
        }
    }
    return std::nullopt;
}

// How many bytes lie between an address and a region; none inside it.
std::uint64_t distance(const Region& region, std::uint64_t address) {
    if (address < region.begin) {
        return region.begin - address;
    }
    const std::uint64_t past = address - region.begin;
    return past < region.size ? 0 : past - region.size;
}

// Which region a bad address is next to; only for the message.
MemoryClass nearest(const RunState& state, std::uint64_t address) {
    MemoryClass best = MemoryClass::None;
    std::uint64_t best_distance = kNear;
    const auto consider = [&](const Region& region, MemoryClass memory_class) {
        if (region.begin != 0 && distance(region, address) < best_distance) {
            best = memory_class;
            best_distance = distance(region, address);
        }
    };
    for (unsigned frame = 0; frame < kMaxDepth; ++frame) {
        consider({state.frame_top(frame) - kStackSize, kStackSize, {}}, MemoryClass::Stack);
    }
    consider(packet_region(state), MemoryClass::Packet);
    consider(plain_region(state), MemoryClass::Ctx);
    for (const CallContext::Grant& grant : state.grants()) {
        consider({reinterpret_cast<std::uintptr_t>(grant.begin), grant.size, {}},
                 MemoryClass::Helper);
    }
    for (const MapRegion& region : state.code->map_regions) {
        consider({region.begin, region.end - region.begin, {}}, MemoryClass::MapValue);
    }
    return best;
}

} // namespace

Verdict check_memory(RunState& state, std::uint64_t address, std::uint64_t size, Access access) {
    if (contains(state.recent(), address, size) && allows(state.recent().access, access)) {
        return {.memory_class = MemoryClass::MapValue};
    }
    if (const auto stack = check_stack(state, address, size)) {
        return *stack;
    }
    if (const Region packet = packet_region(state); contains(packet, address, size)) {
        return denied(packet.access, access, MemoryClass::Packet);
    }
    if (const Region plain = plain_region(state); contains(plain, address, size)) {
        return denied(plain.access, access, MemoryClass::Ctx);
    }
    // Before maps: a ringbuf's records lie in its memory, but only those handed out are accessible.
    if (const auto handed_out = check_handed_out(state, address, size, access)) {
        return *handed_out;
    }
    if (const auto map = check_maps(state, address, size, access)) {
        return *map;
    }
    return {false, FaultKind::OutOfBounds, nearest(state, address), nullptr};
}

Reachable reachable(const RunState& state, std::uint64_t address, std::uint64_t size) {
    if (contains(state.recent(), address, size)) {
        return {state.recent(), Lasts::Call};
    }
    for (unsigned frame = 0; frame <= state.depth; ++frame) {
        const std::uint64_t bottom = state.frame_top(frame) - kStackSize;
        if (fits(address - bottom, size, kStackSize)) {
            return {{bottom, kStackSize, Access::ReadWrite},
                    frame == 0 ? Lasts::Run : Lasts::Frame};
        }
    }
    Reachable found;
    visit_host_memory(state, [&](const Region& region, Lasts lasts) {
        const bool is_there = contains(region, address, size);
        if (is_there) {
            found = {region, lasts};
        }
        return is_there;
    });
    if (found.region.size == 0) {
        found = reachable_value(state, address);
    }
    return contains(found.region, address, size) && !is_overlapped(state, found.region)
               ? found
               : Reachable{};
}

Reachable reachable_input(const RunState& state) {
    return state.packet != nullptr ? Reachable{packet_region(state), Lasts::Packet}
                                   : Reachable{plain_region(state), Lasts::Run};
}

Map* find_map(const RunState& state, std::uint64_t address) {
    Map* map = reinterpret_cast<Map*>(address); // not dereferenced unless it is known
    const auto same = [map](const std::shared_ptr<Map>& known) { return known.get() == map; };
    if (std::ranges::any_of(state.code->maps, same)) {
        return map;
    }
    const auto holds = [map](const RunState::Entered& entered) {
        return entered.outer->is_inner_map(map, entered.since);
    };
    return std::ranges::any_of(state.entered(), holds) ? map : nullptr;
}

} // namespace ebpfvm::exec
