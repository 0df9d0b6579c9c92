// Calls: helpers, host functions, subprograms, callbacks, and how they return.
#pragma once

#include "ebpfvm/helper.hpp"
#include "verifier/env.hpp"

#include <utility>

namespace ebpfvm::verifier {

/// What the checks of a helper call found out, for its transfer.
struct CallMeta {
    const HelperProto* proto = nullptr;
    std::uint32_t id = 0;
    Reg map{};                           ///< the ConstMapPtr argument, or NotInit
    std::uint32_t ref = 0;               ///< of the reference-holding argument
    bool releases = false;               ///< the helper takes `ref` back
    std::uint64_t max_size = 0;          ///< largest value of the last size argument
    std::uint64_t alloc_size = 0;        ///< ConstAllocSizeOrZero
    std::uint32_t callback = cfg::kNone; ///< slot of the PtrToFunc argument
    bool key_is_present = false;         ///< a constant index inside an array
    std::uint32_t key_slot = 0;          ///< then: the slot of this frame's stack that holds it
    std::uint32_t key_frame = 0;
};

[[nodiscard]] inline bool is(const CallMeta& meta, HelperId id) {
    return meta.id == std::to_underlying(id);
}

[[nodiscard]] bool check_helper(Env& env, const State& state, const Step& step, CallMeta& meta);
/// The same for `call kfunc`: a host function, by the name of the extern.
[[nodiscard]] bool check_kfunc(Env& env, const State& state, const Step& step, CallMeta& meta);
void transfer_helper(Env& env, State& state, const CallMeta& meta);

/// Fills `meta` with what is known of the call, for calls that have been checked before. False if
/// too little is known to go on.
[[nodiscard]] bool describe_call(const State& state, const Step& step, CallMeta& meta);

/// The access to memory that is passed as such an argument: Write if the helper may write to it.
[[nodiscard]] Access access_to(ArgType type);
/// Arguments r1.. against the prototype; part of check_helper().
[[nodiscard]] bool check_args(Env& env, const State& state, CallMeta& meta);

/// Makes `entered` the state at the start of the callback that the helper calls.
[[nodiscard]] bool check_callback(Env& env, const State& state, const CallMeta& meta);
/// Not if bpf_loop() has made all its calls.
[[nodiscard]] bool may_call_back(Env& env, const State& state, const CallMeta& meta);
void enter_callback(Env& env, State& entered, const CallMeta& meta);

[[nodiscard]] bool check_local_call(Env& env, const State& state, const Step& step);
/// Enters a static function, or steps over a global one. Returns the slot to go on with.
[[nodiscard]] std::uint32_t transfer_local_call(Env& env, State& state, const Step& step);

/// An exit of the current frame.
[[nodiscard]] bool check_exit(Env& env, const State& state);
/// Returns from the current frame, which is not the entry's. The slot to go on with, or kNone if
/// the path ends here.
[[nodiscard]] std::uint32_t transfer_exit(Env& env, State& state);

/// Nothing may be held any more. `what` ends here, in the message.
[[nodiscard]] bool check_nothing_held(Env& env, const State& state, std::string_view what);

[[nodiscard]] bool check_packet_load(Env& env, const State& state, const Step& step);
void transfer_packet_load(State& state);

/// r1..r5 of the current frame are not known after a call.
void clobber_args(State& state);
void forget_packets(State& state);

} // namespace ebpfvm::verifier
