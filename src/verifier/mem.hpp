// Loads, stores and atomic operations.
#pragma once

#include "verifier/env.hpp"

namespace ebpfvm::verifier {

/// Bytes from `off` behind what a register points to.
struct MemAccess {
    std::int32_t off = 0;
    std::uint32_t size = 0;
    Access access = Access::Read;
    /// A load whose result is sign extended, an atomic one...: only plain memory allows those.
    bool is_plain = true;
};

/// May `reg` of the current frame be accessed so? Stack is judged by stack.hpp.
[[nodiscard]] bool check_access(Env& env, const State& state, unsigned reg,
                                const MemAccess& access);

/// [min, max] that off + var of a pointer can be, given a further offset.
struct OffsetRange {
    std::int64_t min = 0;
    std::int64_t max = 0;
};
[[nodiscard]] OffsetRange offset_range(const Reg& pointer, std::int64_t off);

/// Is every position it can have, given a further offset, a multiple of `size`, a power of two?
[[nodiscard]] inline bool is_aligned(const Reg& pointer, std::int64_t off, std::uint32_t size) {
    const Tnum& position = pointer.var.bits;
    const auto fixed = std::uint64_t(pointer.off + off);
    return ((position.mask | (position.value + fixed)) & (size - 1U)) == 0;
}

/// Do all possible positions of [off, off + size) lie inside memory of `limit` bytes?
[[nodiscard]] bool check_map_value(Env& env, unsigned number, const Reg& reg,
                                   const MemAccess& access);
[[nodiscard]] bool check_mem(Env& env, unsigned number, const Reg& reg, const MemAccess& access);
[[nodiscard]] bool check_packet(Env& env, unsigned number, const Reg& reg, const MemAccess& access);

[[nodiscard]] bool check_load(Env& env, const State& state, const Step& step);
void transfer_load(Env& env, State& state, const Step& step);
[[nodiscard]] bool check_store(Env& env, const State& state, const Step& step);
void transfer_store(Env& env, State& state, const Step& step);
[[nodiscard]] bool check_atomic(Env& env, const State& state, const Step& step);
void transfer_atomic(Env& env, State& state, const Step& step);

/// Size in bytes of a special field of a map value ("spin_lock", "timer"...).
[[nodiscard]] std::uint32_t size_of_field(std::string_view kind);

} // namespace ebpfvm::verifier
