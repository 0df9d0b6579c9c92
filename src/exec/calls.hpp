// Calls that leave the current function: to helpers, through pointers, to other programs.
#pragma once

#include "exec/fault.hpp"
#include "exec/helper_args.hpp"
#include "exec/mode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <optional>

namespace ebpfvm::exec {

/// What a callx may call; neither: nothing.
struct Callee {
    const Slot* subprog = nullptr;
    const Helper* helper = nullptr;
};
[[nodiscard]] Callee resolve_callx(const Code& code, std::uint64_t value);

/// A lookup in a map of maps must be announced, so that what it finds stays alive. False: there are
/// too many.
[[nodiscard]] bool enter_map_of_maps(RunState& state, const Helper& helper,
                                     std::uint64_t map_address);

/// The program in slot r3 of the prog_array in r2, kept alive until the run ends; nullptr: no tail
/// call happens (RFC 9669 has none; kernel: bpf_tail_call).
[[nodiscard]] const Code* tail_call_target(RunState& state, const std::uint64_t* r);

/// What is wrong with the arguments of a tail call.
[[nodiscard]] FaultPtr check_tail_call(RunState& state, const Slot* pc, const std::uint64_t* r);

/// Calls a helper; false with `fault` set if it aborts the run or, with checks, if its arguments
/// are wrong.
template <Mode kMode>
bool call_helper(RunState& state, const Helper& helper, std::uint64_t* r, const Slot* pc,
                 FaultPtr& fault) {
    std::uint64_t copy[kMaxArgs];
    std::uint64_t* const args =
        kMode.checks ? r + 1 : std::copy_n(r + 1, kMaxArgs, copy) - kMaxArgs;
    if constexpr (kMode.checks) { // nobody reads r1..r5 after that
        if (const auto bad = check_args(state, helper.proto, args)) {
            fault = make_fault(state, pc, bad->kind,
                               fmt::format("{}: {}", helper.proto.name, bad->reason),
                               bad->memory_class);
            return false;
        }
    }
    if constexpr (!kMode.checks) {
        for (unsigned bits = pc->dst; bits != 0; bits &= bits - 1) {
            std::uint64_t& ctx = args[std::countr_zero(bits)];
            ctx = ctx != 0 ? reinterpret_cast<std::uintptr_t>(state.ctx_) : 0;
        }
    }
    if (!state.code->maps_of_maps.empty() && !enter_map_of_maps(state, helper, args[0])) {
        fault = make_fault(state, pc, FaultKind::HelperAbort,
                           "the run uses more maps of maps than can be kept alive");
        return false;
    }
    state.data_ = helper.data.get();
    r[0] = helper.fn(state, args[0], args[1], args[2], args[3], args[4]);
    if (state.abort_reason_ != nullptr) {
        fault = make_fault(state, pc, FaultKind::HelperAbort,
                           fmt::format("{}: {}", helper.proto.name, state.abort_reason_));
        return false;
    }
    if constexpr (kMode.checks) {
        state.forget(); // it may have deleted an element
        if (helper.proto.ret == RetType::PtrToMapValueOrNull && r[0] != 0) {
            const Map& map = *reinterpret_cast<const Map*>(args[0]);
            if (!maps::is_map_of_maps(map.spec().type)) {
                state.remember({r[0], map.spec().value_size, map.prog_access()});
            }
        }
        std::fill_n(r + 1, kMaxArgs, 0); // callee-clobbered; a verifier would refuse to read them
    }
    return true;
}

} // namespace ebpfvm::exec
