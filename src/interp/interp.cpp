// The loop: one case per row of tables/insn.def, each no more than its row of semantics.hpp.
// Tested by tests/data/run/ and the kernel's lib/test_bpf.c.
#include "interp/interp.hpp"

#include "interp/ctx_access.hpp"
#include "interp/dispatch.hpp"
#include "interp/fault.hpp"
#include "interp/guard.hpp"
#include "interp/helper_args.hpp"
#include "isa/semantics.hpp"
#include "maps/prog_array_map.hpp"
#include "support/assert.hpp"

#include <fmt/format.h>

#include <algorithm>

// Programs in several threads may race on map values; that is theirs to settle with atomics.
#define EBPFVM_PROGRAM_MEMORY [[gnu::no_sanitize("thread")]]

namespace ebpfvm::interp {
namespace {

namespace semantics = isa::semantics;

// The operand type of an opcode class: 7 is ALU64, 4 is ALU.
template <int kClass>
using OperandOf = std::conditional_t<kClass == 7, std::uint64_t, std::uint32_t>;

template <class Operation>
inline constexpr bool kOldValueInR0 = std::is_same_v<Operation, semantics::Cmpxchg>;

template <class T>
EBPFVM_PROGRAM_MEMORY std::uint64_t load_as(std::uint64_t address) {
    const T value = load_unaligned<T>(reinterpret_cast<const void*>(address));
    return std::uint64_t(std::int64_t(value)); // sign extends the signed types alone
}

template <class T>
EBPFVM_PROGRAM_MEMORY void store_as(std::uint64_t address, std::uint64_t value) {
    store_unaligned(reinterpret_cast<void*>(address), T(value));
}

// Access that is neither to the current frame nor to the packet. False: a fault.
template <class T>
bool load_elsewhere(RunState& state, std::uint64_t address, std::uint64_t& value) {
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
bool store_elsewhere(RunState& state, std::uint64_t address, std::uint64_t value) {
    if (is_ctx_field(state, address)) {
        return store_ctx(state, address - state.ctx_address, sizeof(T), value);
    }
    if (!check_memory(state, address, sizeof(T), Access::Write).ok) {
        return false;
    }
    store_as<T>(address, value);
    return true;
}

// LD_ABS and LD_IND: `offset` into the packet, or one of the kernel's negative bases.
template <class T>
bool load_packet(const RunState& state, std::int32_t offset, std::uint64_t& value) {
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

// What a callx may call.
struct Callee {
    const Slot* subprog = nullptr;
    const Helper* helper = nullptr;
};

Callee resolve_callx(const Code& code, std::uint64_t value) {
    const auto begin = reinterpret_cast<std::uintptr_t>(code.slots.data());
    if (value >= begin && value < begin + code.slots.size() * sizeof(Slot)) {
        const std::uint64_t index = (value - begin) / sizeof(Slot);
        const bool is_entry =
            (value - begin) % sizeof(Slot) == 0 && std::ranges::binary_search(code.subprogs, index);
        return {is_entry ? code.slots.data() + index : nullptr, nullptr};
    }
    const auto helper = value <= 0xffff'ffff ? code.callx_helpers.find(std::uint32_t(value))
                                             : code.callx_helpers.end();
    return {nullptr, helper == code.callx_helpers.end() ? nullptr : &helper->second};
}

bool is_map_of_maps(MapType type) {
    return type == MapType::ArrayOfMaps || type == MapType::HashOfMaps;
}

// A lookup in a map of maps must be announced, so that what it finds stays alive.
bool enter_map_of_maps(RunState& state, const Helper& helper, std::uint64_t map_address) {
    if (helper.proto.ret != RetType::PtrToMapValueOrNull) {
        return true;
    }
    Map& map = *reinterpret_cast<Map*>(map_address);
    return !is_map_of_maps(map.spec().type) || state.enter(static_cast<maps::MapOfMaps&>(map));
}

void watch(const RunState& state, const RunInput& input, const Slot* pc, const std::uint64_t* r) {
    const InsnView view{.program = state.code->program,
                        .insn = std::size_t(pc - state.code->slots.data()),
                        .depth = state.depth,
                        .regs = std::span<const std::uint64_t, kRegCount>(r, kRegCount)};
    (*input.watch)(view);
}

// Calls a helper with checked arguments; false with `fault` set if they are wrong or it aborts.
template <Mode kMode>
bool call_helper(RunState& state, const Helper& helper, std::uint64_t* r, const Slot* pc,
                 std::optional<Fault>& fault) {
    std::uint64_t args[kMaxArgs] = {r[1], r[2], r[3], r[4], r[5]};
    if constexpr (kMode != Mode::Unchecked) {
        if (const auto bad = check_args(state, helper.proto, args)) {
            fault = make_fault(state, pc, bad->kind,
                               fmt::format("{}: {}", helper.proto.name, bad->reason),
                               bad->memory_class);
            return false;
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
    if constexpr (kMode != Mode::Unchecked) {
        state.forget(); // it may have deleted an element
        if (helper.proto.ret == RetType::PtrToMapValueOrNull && r[0] != 0) {
            const Map& map = *reinterpret_cast<const Map*>(args[0]);
            if (!is_map_of_maps(map.spec().type)) {
                state.remember({r[0], map.spec().value_size, map.prog_access()});
            }
        }
        std::fill_n(r + 1, kMaxArgs, 0); // callee-clobbered; a verifier would refuse to read them
    }
    return true;
}

// The program in slot r3 of the prog_array in r2, kept alive until the run ends; nullptr: no tail
// call happens (RFC 9669 has none; kernel: bpf_tail_call).
const Code* tail_call_target(RunState& state, const std::uint64_t* r) {
    auto& map = static_cast<maps::ProgArrayMap&>(*reinterpret_cast<Map*>(r[2]));
    if (state.tail_calls >= kMaxTailCalls) {
        return nullptr;
    }
    auto target = std::static_pointer_cast<const Code>(map.prog(std::uint32_t(r[3])));
    if (target == nullptr || target->ctx != state.code->ctx) {
        return nullptr;
    }
    ++state.tail_calls;
    return state.keep(std::move(target));
}

bool is_prog_array(std::uint64_t map) {
    return reinterpret_cast<Map*>(map)->spec().type == MapType::ProgArray;
}

template <Mode kMode>
EBPFVM_PROGRAM_MEMORY RunResult run(const Code& entry, const RunInput& input) {
#if EBPFVM_COMPUTED_GOTO
    // clang-format off
    static const void* const kLabels[kSlotOpCount] = {
#define EBPFVM_ALU(name, ...) &&op_##name##32Imm, &&op_##name##32Reg, &&op_##name##64Imm, &&op_##name##64Reg,
#define EBPFVM_NEG(name, ...) &&op_##name##32, &&op_##name##64,
#define EBPFVM_MOVSX(name, ...) &&op_##name,
#define EBPFVM_SWAP(name, ...) &&op_##name,
#define EBPFVM_JMP(name, ...) &&op_##name##32Imm, &&op_##name##32Reg, &&op_##name##64Imm, &&op_##name##64Reg,
#define EBPFVM_LOAD(name, ...) &&op_##name,
#define EBPFVM_STORE(name, ...) &&op_##name##Imm, &&op_##name##Reg,
#define EBPFVM_ATOMIC(name, ...) &&op_##name##32, &&op_##name##64,
#define EBPFVM_ATOMIC_FETCH(name, ...) &&op_##name##32, &&op_##name##64,
#define EBPFVM_LOAD_ACQUIRE(name, ...) &&op_##name,
#define EBPFVM_STORE_RELEASE(name, ...) &&op_##name,
#define EBPFVM_LDDW(name, ...) &&op_##name,
#define EBPFVM_LDPKT(name, ...) &&op_##name,
#define EBPFVM_CONTROL(name, ...) &&op_##name,
#include "ebpfvm/tables/insn.def"
        &&op_tail_call};
    // clang-format on
#endif
    RunState state(entry, input);
    RunResult result;
    std::uint64_t r[kRegCount] = {};
    const Slot* pc = entry.slots.data();
    const Slot* segment = pc;    // where the straight line of insns that pc is on began
    std::uint64_t executed = 0;  // before `segment`; wraps below 0 between a lddw and the next jump
    std::uint64_t frame_top = 0; // r10, for the guard
    std::uint64_t address = 0;   // of the access that faults
    std::uint64_t size = 0;
    Access access = Access::Read;
    std::int32_t packet_off = 0;  // of a LD_ABS or LD_IND
    const Slot* callee = nullptr; // first slot of the subprogram being called
    std::uint32_t may_goto_left = kMaxMayGoto;

    r[1] = state.ctx_address;
    r[2] = state.plain_size;
    r[10] = frame_top = state.frame_top(0);
    state.clear_frame(0);

// Transfers control to `slot`, which ends a straight line of insns.
#define VM_JUMP(slot)                                                                              \
    executed += std::uint64_t(pc - segment) + 1;                                                   \
    segment = (slot);                                                                              \
    if (executed >= state.budget) [[unlikely]] {                                                   \
        goto budget_exhausted;                                                                     \
    }                                                                                              \
    VM_AT(segment)

// What happens before each insn, besides it.
#define VM_BEFORE                                                                                  \
    if constexpr (kMode == Mode::Watched) {                                                        \
        watch(state, input, pc, r);                                                                \
    }

// Faults unless the memory may be accessed; for atomics, which have no context fields.
#define VM_REQUIRE(T, base, want)                                                                  \
    address = r[base] + std::uint64_t(std::int64_t(pc->off));                                      \
    if constexpr (kMode != Mode::Unchecked) {                                                        \
        size = sizeof(T);                                                                          \
        access = (want);                                                                           \
        if (address % sizeof(T) != 0) [[unlikely]] {                                               \
            goto misaligned;                                                                       \
        }                                                                                          \
        if (!is_frame_or_window(state, frame_top, address, sizeof(T)) &&                           \
            (is_ctx_field(state, address) || !check_memory(state, address, sizeof(T), access).ok)) \
            [[unlikely]] {                                                                         \
            goto bad_memory;                                                                       \
        }                                                                                          \
    }

    VM_LOOP {
// clang-format off
#define EBPFVM_ALU(name, ...)                                                                      \
    VM_CASE(name##32Imm) r[pc->dst] = semantics::name{}(std::uint32_t(r[pc->dst]), std::uint32_t(pc->imm)); VM_NEXT; \
    VM_CASE(name##32Reg) r[pc->dst] = semantics::name{}(std::uint32_t(r[pc->dst]), std::uint32_t(r[pc->src])); VM_NEXT; \
    VM_CASE(name##64Imm) r[pc->dst] = semantics::name{}(r[pc->dst], std::uint64_t(pc->imm)); VM_NEXT; \
    VM_CASE(name##64Reg) r[pc->dst] = semantics::name{}(r[pc->dst], r[pc->src]); VM_NEXT;
#define EBPFVM_NEG(name, ...)                                                                      \
    VM_CASE(name##32) r[pc->dst] = semantics::name{}(std::uint32_t(r[pc->dst])); VM_NEXT;          \
    VM_CASE(name##64) r[pc->dst] = semantics::name{}(r[pc->dst]); VM_NEXT;
#define EBPFVM_MOVSX(name, cls, bits, text)                                                        \
    VM_CASE(name)                                                                                  \
        r[pc->dst] = semantics::SignExtend<bits>{}(OperandOf<cls>(r[pc->src]));                    \
        VM_NEXT;
#define EBPFVM_SWAP(name, ...)                                                                     \
    VM_CASE(name) r[pc->dst] = semantics::name{}(r[pc->dst]); VM_NEXT;
#define EBPFVM_JMP_CASE(name, condition)                                                           \
    VM_CASE(name) if (condition) { VM_JUMP(pc + 1 + pc->off); } VM_NEXT;
#define EBPFVM_JMP(name, ...)                                                                      \
    EBPFVM_JMP_CASE(name##32Imm, semantics::name{}(std::uint32_t(r[pc->dst]), std::uint32_t(pc->imm))) \
    EBPFVM_JMP_CASE(name##32Reg, semantics::name{}(std::uint32_t(r[pc->dst]), std::uint32_t(r[pc->src]))) \
    EBPFVM_JMP_CASE(name##64Imm, semantics::name{}(r[pc->dst], std::uint64_t(pc->imm)))            \
    EBPFVM_JMP_CASE(name##64Reg, semantics::name{}(r[pc->dst], r[pc->src]))
#define EBPFVM_LOAD(name, code, T, text)                                                           \
    VM_CASE(name)                                                                                  \
        address = r[pc->src] + std::uint64_t(std::int64_t(pc->off));                               \
        if constexpr (kMode != Mode::Unchecked) {                                                    \
            if (!is_frame_or_window(state, frame_top, address, sizeof(T))) {                       \
                if (!load_elsewhere<T>(state, address, r[pc->dst])) [[unlikely]] {                 \
                    size = sizeof(T);                                                              \
                    access = Access::Read;                                                         \
                    goto bad_memory;                                                               \
                }                                                                                  \
                VM_NEXT;                                                                           \
            }                                                                                      \
        }                                                                                          \
        r[pc->dst] = load_as<T>(address);                                                          \
        VM_NEXT;
#define EBPFVM_STORE_CASE(name, T, value)                                                          \
    VM_CASE(name)                                                                                  \
        address = r[pc->dst] + std::uint64_t(std::int64_t(pc->off));                               \
        if constexpr (kMode != Mode::Unchecked) {                                                    \
            if (!is_frame_or_window(state, frame_top, address, sizeof(T))) {                       \
                if (!store_elsewhere<T>(state, address, value)) [[unlikely]] {                     \
                    size = sizeof(T);                                                              \
                    access = Access::Write;                                                        \
                    goto bad_memory;                                                               \
                }                                                                                  \
                VM_NEXT;                                                                           \
            }                                                                                      \
        }                                                                                          \
        store_as<T>(address, value);                                                               \
        VM_NEXT;
#define EBPFVM_STORE(name, size_bits, T, text)                                                     \
    EBPFVM_STORE_CASE(name##Imm, T, std::uint64_t(pc->imm))                                        \
    EBPFVM_STORE_CASE(name##Reg, T, r[pc->src])
#define EBPFVM_ATOMIC_CASE(name, bits)                                                             \
    VM_CASE(name##bits)                                                                            \
        VM_REQUIRE(std::uint##bits##_t, pc->dst, Access::ReadWrite)                                \
        semantics::name{}(reinterpret_cast<std::uint##bits##_t*>(address), std::uint##bits##_t(r[pc->src])); \
        VM_NEXT;
#define EBPFVM_ATOMIC(name, ...) EBPFVM_ATOMIC_CASE(name, 32) EBPFVM_ATOMIC_CASE(name, 64)
#define EBPFVM_ATOMIC_FETCH_CASE(name, bits)                                                       \
    VM_CASE(name##bits)                                                                            \
        VM_REQUIRE(std::uint##bits##_t, pc->dst, Access::ReadWrite)                                \
        r[kOldValueInR0<semantics::name> ? 0 : pc->src] =                                          \
            semantics::name{}(reinterpret_cast<std::uint##bits##_t*>(address),                     \
                              std::uint##bits##_t(r[pc->src]), std::uint##bits##_t(r[0]));         \
        VM_NEXT;
#define EBPFVM_ATOMIC_FETCH(name, ...) EBPFVM_ATOMIC_FETCH_CASE(name, 32) EBPFVM_ATOMIC_FETCH_CASE(name, 64)
#define EBPFVM_LOAD_ACQUIRE(name, code, T, text)                                                   \
    VM_CASE(name)                                                                                  \
        VM_REQUIRE(T, pc->src, Access::Read)                                                       \
        r[pc->dst] = __atomic_load_n(reinterpret_cast<const T*>(address), __ATOMIC_ACQUIRE);       \
        VM_NEXT;
#define EBPFVM_STORE_RELEASE(name, code, T, text)                                                  \
    VM_CASE(name)                                                                                  \
        VM_REQUIRE(T, pc->dst, Access::Write)                                                      \
        __atomic_store_n(reinterpret_cast<T*>(address), T(r[pc->src]), __ATOMIC_RELEASE);          \
        VM_NEXT;
#define EBPFVM_LDDW(name, ...) VM_CASE(name)
#include "ebpfvm/tables/insn.def"
        r[pc->dst] = std::uint64_t(pc->imm);
        --executed; // two slots, one insn
        VM_AT(pc + 2);

#define EBPFVM_LDPKT(name, code, shape, T, text)                                                   \
    VM_CASE(name)                                                                                  \
        packet_off = std::int32_t(isa::Shape::shape == isa::Shape::LdInd                           \
                                      ? r[pc->src] + std::uint64_t(pc->imm) : std::uint64_t(pc->imm)); \
        if constexpr (kMode != Mode::Unchecked) {                                                    \
            if (r[6] != state.ctx_address || state.packet == nullptr) [[unlikely]] {              \
                goto bad_packet_load;                                                              \
            }                                                                                      \
            std::fill_n(r + 1, kMaxArgs, 0);                                                       \
        }                                                                                          \
        if (!load_packet<T>(state, packet_off, r[0])) {                                            \
            r[0] = 0;                                                                              \
            goto leave_frame;                                                                      \
        }                                                                                          \
        VM_NEXT;
#include "ebpfvm/tables/insn.def"
        // clang-format on

        VM_CASE(Ja)
        VM_CASE(Jal)
        VM_JUMP(pc + 1 + pc->off);

        VM_CASE(MayGoto)
        if (may_goto_left == 0) {
            VM_JUMP(pc + 1 + pc->off);
        }
        --may_goto_left;
        VM_NEXT;

        VM_CASE(CallHelper)
        if (!call_helper<kMode>(state, *reinterpret_cast<const Helper*>(pc->imm), r, pc,
                                result.fault)) [[unlikely]] {
            goto faulted;
        }
        VM_NEXT;

        VM_CASE(Callx) {
            const Callee found = resolve_callx(*state.code, r[pc->dst]);
            if (found.helper != nullptr) {
                if (!call_helper<kMode>(state, *found.helper, r, pc, result.fault)) [[unlikely]] {
                    goto faulted;
                }
                VM_NEXT;
            }
            if (found.subprog == nullptr) [[unlikely]] {
                result.fault = make_fault(state, pc, FaultKind::BadCallTarget,
                                          fmt::format("{:#x} is no function", r[pc->dst]));
                goto faulted;
            }
            callee = found.subprog;
            goto enter_frame;
        }

        VM_CASE(CallLocal)
        callee = pc + 1 + pc->off;
    enter_frame:
        if (state.depth + 1 >= kMaxFrames + state.tail_calls) [[unlikely]] {
            result.fault =
                make_fault(state, pc, FaultKind::CallDepth,
                           fmt::format("call would open frame {}, at most {} are allowed",
                                       state.depth + 2, kMaxFrames + state.tail_calls));
            goto faulted;
        }
        state.frames[state.depth] = {state.code, pc + 1, {r[6], r[7], r[8], r[9]}, may_goto_left};
        ++state.depth;
        may_goto_left = kMaxMayGoto;
        r[10] = frame_top = state.frame_top(state.depth);
        if constexpr (kMode != Mode::Unchecked) {
            state.clear_frame(state.depth);
        }
        VM_JUMP(callee);

        VM_CASE_TAIL_CALL {
            if constexpr (kMode != Mode::Unchecked) {
                std::uint64_t args[kMaxArgs] = {r[1], r[2], r[3]};
                auto bad = check_args(state, *uapi_helper(kTailCallId), args);
                if (!bad && !is_prog_array(r[2])) {
                    bad = ArgFault{.reason = "r2 must be a prog_array"};
                }
                if (bad) [[unlikely]] {
                    result.fault = make_fault(state, pc, bad->kind, "tail_call: " + bad->reason);
                    goto faulted;
                }
            }
            const Code* target = tail_call_target(state, r);
            if (target == nullptr) {
                if constexpr (kMode != Mode::Unchecked) {
                    std::fill_n(r, kMaxArgs + 1, 0);
                }
                VM_NEXT;
            }
            executed += std::uint64_t(pc - segment) + 1;
            segment = pc + 1;
            if (executed >= state.budget) [[unlikely]] {
                goto budget_exhausted; // while pc and code still belong together
            }
            state.code = target;
            state.forget();
            may_goto_left = kMaxMayGoto;
            if constexpr (kMode != Mode::Unchecked) {
                std::fill_n(r, kFramePointer, 0);
                state.clear_frame(state.depth);
            }
            r[1] = state.ctx_address;
            segment = target->slots.data();
            VM_AT(segment);
        }

        // Replaced by compile().
        VM_CASE(CallKfunc)
        VM_CASE(CallxImm)
        VM_CASE(AddrSpaceCast)
        EBPFVM_ASSERT(false);

        VM_CASE(Exit)
    leave_frame:
        if (state.depth > 0) {
            const Frame& frame = state.frames[--state.depth];
            executed += std::uint64_t(pc - segment) + 1;
            segment = frame.return_to;
            if (state.code != frame.code) {
                state.forget(); // what a tail-called program looked up is not its caller's
                state.code = frame.code;
            }
            std::copy(frame.r6_to_r9.begin(), frame.r6_to_r9.end(), r + 6);
            may_goto_left = frame.may_goto_left;
            r[10] = frame_top = state.frame_top(state.depth);
            if constexpr (kMode != Mode::Unchecked) {
                std::fill_n(r + 1, kMaxArgs, 0);
            }
            VM_AT(segment);
        }
        result.insns_executed = executed + std::uint64_t(pc - segment) + 1;
        if (state.release_refs()) [[unlikely]] {
            result.fault = make_fault(state, pc, FaultKind::UnreleasedRef,
                                      "the program ends without submitting or discarding a record");
            return result;
        }
        result.r0 = r[0];
        return result;
    }

bad_memory:
    __attribute__((unused));
    result.fault = memory_fault(state, pc, address, size, access);
    goto faulted;
misaligned:
    __attribute__((unused));
    result.fault =
        make_fault(state, pc, FaultKind::Misaligned,
                   fmt::format("atomic access to {:#x} is not aligned to {} bytes", address, size));
    goto faulted;
bad_packet_load:
    __attribute__((unused));
    result.fault = make_fault(state, pc, FaultKind::BadCtxAccess,
                              "r6 must hold the ctx of a packet", MemoryClass::Ctx);
    goto faulted;
budget_exhausted:
    result.fault =
        make_fault(state, pc, FaultKind::BudgetExhausted,
                   fmt::format("{} insns executed, the budget is {}", executed, state.budget));
    result.insns_executed = executed;
    state.release_refs();
    return result;
faulted:
    result.insns_executed = executed + std::uint64_t(pc - segment);
    state.release_refs();
    return result;
}

} // namespace

RunResult run_checked(const Code& code, const RunInput& input) {
    return run<Mode::Checked>(code, input);
}

RunResult run_watched(const Code& code, const RunInput& input) {
    return run<Mode::Watched>(code, input);
}

RunResult run_unchecked(const Code& code, const RunInput& input) {
    return run<Mode::Unchecked>(code, input);
}

} // namespace ebpfvm::interp
