// Run-time checks for programs that no verifier has passed: may this run touch these bytes, and
// with which right?
#pragma once

#include "exec/run_state.hpp"

namespace ebpfvm::exec {

/// Answer of the guard. `kind` matters only if `ok` is false.
struct Verdict {
    bool ok = true;
    FaultKind kind = FaultKind::OutOfBounds;
    MemoryClass memory_class = MemoryClass::None;
    Map* map = nullptr; ///< the map whose memory it is, if any
};

/// May the run access [address, address + size) with `access` (Read, Write, or both)? Context
/// fields are not memory: see ctx_access.hpp.
[[nodiscard]] Verdict check_memory(RunState& state, std::uint64_t address, std::uint64_t size,
                                   Access access);

/// Memory in which all accesses that region.access allows are allowed.
struct Reachable {
    Region region{}; ///< empty: no such memory is known
    Lasts lasts = Lasts::Call;
};

/// The memory around [address, address + size), found without asking for a right. Where memory of
/// the host's overlaps, with perhaps other rights, nothing is found.
[[nodiscard]] Reachable reachable(const RunState& state, std::uint64_t address, std::uint64_t size);

/// What a program reaches first: its packet, or its plain context.
[[nodiscard]] Reachable reachable_input(const RunState& state);

/// True if the address lies in the window that stands for a context with fields, or near it: no
/// memory is there, so an access can only mean the context.
[[nodiscard]] inline bool is_ctx_field(const RunState& state, std::uint64_t address) {
    return address - (state.ctx_address - kMaxCtxSize) < 2 * kMaxCtxSize &&
           state.code->ctx->plain == Access::None;
}

/// The fast answer for the two regions most accesses go to: the current frame, and the packet or
/// plain context if it may be written.
[[nodiscard]] inline bool is_frame_or_window(const RunState& state, std::uint64_t frame_top,
                                             std::uint64_t address, std::uint64_t size) {
    if (address - (frame_top - kStackSize) <= kStackSize - size) {
        return true;
    }
    const auto begin = reinterpret_cast<std::uintptr_t>(state.window->data_meta);
    const auto end = reinterpret_cast<std::uintptr_t>(state.window->data_end);
    return address >= begin && address <= end && size <= end - address;
}

/// The map at `address` if it is one that the program may pass to helpers, else nullptr.
[[nodiscard]] Map* find_map(const RunState& state, std::uint64_t address);

} // namespace ebpfvm::exec
