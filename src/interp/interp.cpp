// The loop: one case per row of tables/insn.def, each no more than its row of semantics.hpp, and
// one per row of exec/pairs.def. Tested by tests/data/run/ and the kernel's lib/test_bpf.c.
#include "interp/interp.hpp"

#include "exec/calls.hpp"
#include "exec/memory.hpp"
#include "exec/pairs.hpp"
#include "interp/compute.hpp"
#include "interp/dispatch.hpp"
#include "isa/semantics.hpp"
#include "support/assert.hpp"

#include <algorithm>
#include <limits>

namespace ebpfvm::interp {
namespace {

using namespace exec;

namespace semantics = isa::semantics;

template <class Operation>
inline constexpr bool kOldValueInR0 = std::is_same_v<Operation, semantics::Cmpxchg>;

bool is_in_program(const Code& code, const Slot* pc) {
    return std::size_t(pc - code.slots.data()) < code.program.insns.size();
}

// What is behind the program is not to be seen.
void watch(const RunState& state, const RunInput& input, const Slot* pc, const std::uint64_t* r) {
    if (!is_in_program(*state.code, pc)) {
        return;
    }
    const auto frames = std::span(state.frames).first(state.depth);
    const auto depth = std::ranges::count_if(
        frames, [](const Frame& frame) { return is_in_program(*frame.code, frame.return_to); });
    const InsnView view{.program = state.code->program,
                        .insn = std::size_t(pc - state.code->slots.data()),
                        .depth = unsigned(depth),
                        .regs = std::span<const std::uint64_t, kRegCount>(r, kRegCount)};
    (*input.watch)(view);
}

// The verifier has counted frames, but not those of kLoopCall.
template <Mode kMode>
unsigned max_depth(const RunState& state) {
    return kMode.checks ? kMaxFrames + state.tail_calls : kMaxDepth;
}

constexpr std::uint64_t kMaxBudget = std::numeric_limits<std::uint64_t>::max() / sizeof(Slot);

std::uint64_t address_of(const Slot* slot) {
    return reinterpret_cast<std::uintptr_t>(slot);
}

template <Mode kMode>
EBPFVM_PROGRAM_MEMORY RunResult run_as(const Code& entry, const RunInput& input) {
#if EBPFVM_COMPUTED_GOTO
    // clang-format off
    static const void* const kLabels[kSlotOpCount + kPairCount] = {
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
        &&op_tail_call, &&op_packet_len, &&op_store_widened, &&op_array_lookup,
        &&op_hash_lookup,
#define EBPFVM_PAIR(first, second, link) &&pair_##first##_##second##_##link,
#define EBPFVM_PAIR_STORE EBPFVM_PAIR
#define EBPFVM_PAIR_JUMP EBPFVM_PAIR
#include "exec/pairs.def"
    };
    // clang-format on
#endif
    constexpr bool kPairs = !kMode.checks && !kMode.watches;
    RunState state(entry, input);
    RunResult result;
    std::uint64_t r[kSlotRegCount] = {};
    const Slot* pc = entry.slots.data();
    // Insns are counted in bytes, as pc is: address_of(pc) + ran is what was executed before pc. On
    // a straight line that needs nothing to be done; see VM_GO.
    std::uint64_t ran = 0 - address_of(pc);
    const std::uint64_t budget = std::min(state.budget, kMaxBudget) * sizeof(Slot);
    std::uint64_t frame_top = 0; // r10, for the guard
    std::uint64_t address = 0;   // of the access that faults
    std::uint64_t made = 0;      // by the first insn of a pair
    std::uint64_t size = 0;
    Access access = Access::Read;
    std::int32_t packet_off = 0;   // of a LD_ABS or LD_IND
    const Slot* callee = nullptr;  // first slot of the subprogram being called
    std::uint64_t clear_bytes = 0; // of its frame
    std::uint32_t may_goto_left = kMaxMayGoto;

    r[1] = state.ctx_address;
    r[2] = state.plain_size;
    r[10] = frame_top = state.frame_top(0);
    r[kHostCtxReg] = reinterpret_cast<std::uintptr_t>(state.ctx_);
    r[kPacketReg] = reinterpret_cast<std::uintptr_t>(state.packet);
    state.clear_frame(0, entry.clears_stack ? entry.stacks.front() : 0);

// Goes on at `slot`, wherever that is; pc counts as executed.
#define VM_GO(slot)                                                                                \
    ran += address_of(pc + 1);                                                                     \
    pc = (slot);                                                                                   \
    ran -= address_of(pc);                                                                         \
    VM_AT(pc)

// Faults if pc uses the budget up, while pc and code still belong together.
#define VM_CHECK_BUDGET                                                                            \
    if (address_of(pc + 1) + ran >= budget) [[unlikely]] {                                         \
        goto budget_exhausted;                                                                     \
    }
#define VM_JUMP(slot)                                                                              \
    VM_CHECK_BUDGET                                                                                \
    VM_GO(slot)

// What happens before each insn, besides it.
#define VM_BEFORE                                                                                  \
    if constexpr (kMode.watches) {                                                                 \
        watch(state, input, pc, r);                                                                \
    }

// Faults unless the memory may be accessed; for atomics, which have no context fields.
#define VM_REQUIRE(T, base, want)                                                                  \
    address = r[base] + std::uint64_t(std::int64_t(pc->off));                                      \
    if constexpr (kMode.checks) {                                                                  \
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
#define VM_COMPUTE(op)                                                                             \
    VM_CASE(op) r[pc->dst] = compute<isa::Op::op>(*pc, r[pc->dst], r[pc->src]); VM_NEXT;
#define EBPFVM_ALU(name, ...) VM_COMPUTE(name##32Imm) VM_COMPUTE(name##32Reg) VM_COMPUTE(name##64Imm) VM_COMPUTE(name##64Reg)
#define EBPFVM_NEG(name, ...) VM_COMPUTE(name##32) VM_COMPUTE(name##64)
#define EBPFVM_MOVSX(name, ...) VM_COMPUTE(name)
#define EBPFVM_SWAP(name, ...) VM_COMPUTE(name)
#define VM_JUMP_IF(op, dst, src)                                                                   \
    if (jumps<isa::Op::op>(*pc, dst, src)) { VM_JUMP(pc + 1 + pc->off); } VM_NEXT;
#define EBPFVM_JMP_CASE(op) VM_CASE(op) VM_JUMP_IF(op, r[pc->dst], r[pc->src])
#define EBPFVM_JMP(name, ...) EBPFVM_JMP_CASE(name##32Imm) EBPFVM_JMP_CASE(name##32Reg) EBPFVM_JMP_CASE(name##64Imm) EBPFVM_JMP_CASE(name##64Reg)
#define EBPFVM_LOAD(name, code, T, text)                                                           \
    VM_CASE(name)                                                                                  \
        address = r[pc->src] + std::uint64_t(std::int64_t(pc->off));                               \
        if constexpr (kMode.checks) {                                                    \
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
        if constexpr (kMode.checks) {                                                    \
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
        ran -= sizeof(Slot); // two slots, one insn
        VM_AT(pc + 2);

#define EBPFVM_LDPKT(name, code, shape, T, text)                                                   \
    VM_CASE(name)                                                                                  \
        packet_off = std::int32_t(isa::Shape::shape == isa::Shape::LdInd                           \
                                      ? r[pc->src] + std::uint64_t(pc->imm) : std::uint64_t(pc->imm)); \
        if constexpr (kMode.checks) {                                                    \
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

// The first of a pair; `made` is its value.
#define VM_FIRST(first, second, link)                                                              \
    VM_CASE_EXTRA(step_of(Pair::first##_##second##_##link), pair_##first##_##second##_##link)      \
        EBPFVM_ASSERT(kPairs);                                                                     \
        made = compute<isa::Op::first>(*pc, r[pc->dst], r[pc->src]);                               \
        r[pc->dst] = made;                                                                         \
        ++pc;
// What the second reads.
#define VM_DST(link) (Link::link == Link::Dst ? made : r[pc->dst])
#define VM_SRC(link) (Link::link == Link::Src ? made : r[pc->src])
#define EBPFVM_PAIR(first, second, link)                                                           \
    VM_FIRST(first, second, link)                                                                  \
        r[pc->dst] = compute<isa::Op::second>(*pc, VM_DST(link), VM_SRC(link));                    \
        VM_NEXT;
#define EBPFVM_PAIR_STORE(first, second, link)                                                     \
    VM_FIRST(first, second, link) store<isa::Op::second>(*pc, VM_DST(link), VM_SRC(link)); VM_NEXT;
#define EBPFVM_PAIR_JUMP(first, second, link)                                                      \
    VM_FIRST(first, second, link) VM_JUMP_IF(second, VM_DST(link), VM_SRC(link))
#include "exec/pairs.def"
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
            clear_bytes = kStackSize;
            goto enter_frame;
        }

        VM_CASE(CallLocal)
        callee = pc + 1 + pc->off;
        clear_bytes = std::uint64_t(pc->imm);
    enter_frame:
        if (state.depth + 1 >= max_depth<kMode>(state)) [[unlikely]] {
            result.fault =
                make_fault(state, pc, FaultKind::CallDepth,
                           fmt::format("call would open frame {}, at most {} are allowed",
                                       state.depth + 2, max_depth<kMode>(state)));
            goto faulted;
        }
        state.frames[state.depth] = {state.code, pc + 1, {r[6], r[7], r[8], r[9]}, may_goto_left};
        ++state.depth;
        may_goto_left = kMaxMayGoto;
        r[10] = frame_top = state.frame_top(state.depth);
        state.clear_frame(state.depth, clear_bytes);
        VM_JUMP(callee);

        VM_CASE_EXTRA(kOpPacketLen, op_packet_len)
        r[pc->dst] = (std::uint64_t(state.packet->data_end - state.packet->data) >> pc->off) &
                     std::uint64_t(pc->imm);
        VM_NEXT;

        VM_CASE_EXTRA(kOpStoreWidened, op_store_widened)
        address = r[pc->src] & std::uint64_t(pc->imm);
        std::memcpy(static_cast<std::byte*>(state.ctx_) + pc->off, &address, pc->dst);
        VM_NEXT;

        VM_CASE_EXTRA(kOpArrayLookup, op_array_lookup) {
            const auto& array = *reinterpret_cast<const ArrayLookup*>(pc->imm);
            const std::uint64_t key = load_as<std::uint32_t>(r[2]);
            const std::uint64_t copy = std::uint64_t{state.cpu()} * array.cpu_stride;
            r[0] = key < array.count ? array.begin + copy + key * array.stride : 0;
            VM_NEXT;
        }

        VM_CASE_EXTRA(kOpHashLookup, op_hash_lookup) {
            const auto& hash = *reinterpret_cast<const HashLookup*>(pc->imm);
            r[0] = reinterpret_cast<std::uintptr_t>(
                hash.view.lookup(*hash.map, reinterpret_cast<const void*>(r[2]), state.user_));
            VM_NEXT;
        }

        VM_CASE_EXTRA(kOpTailCall, op_tail_call) {
            if constexpr (kMode.checks) {
                result.fault = check_tail_call(state, pc, r);
                if (result.fault) [[unlikely]] {
                    goto faulted;
                }
            }
            const Code* target = tail_call_target(state, r);
            if (target == nullptr) {
                if constexpr (kMode.checks) {
                    std::fill_n(r, kMaxArgs + 1, 0);
                }
                VM_NEXT;
            }
            VM_CHECK_BUDGET
            state.code = target;
            state.forget();
            may_goto_left = kMaxMayGoto;
            if constexpr (kMode.checks) {
                std::fill_n(r, kFramePointer, 0);
            }
            state.clear_frame(state.depth, target->clears_stack ? target->stacks.front() : 0);
            r[1] = state.ctx_address;
            VM_GO(target->slots.data());
        }

        // Replaced by exec::resolve().
        VM_CASE(CallKfunc)
        VM_CASE(CallxImm)
        VM_CASE(AddrSpaceCast)
        EBPFVM_ASSERT(false);

        VM_CASE(Exit)
    leave_frame:
        if (state.depth > 0) {
            const Frame& frame = state.frames[--state.depth];
            if (state.code != frame.code) {
                state.forget(); // what a tail-called program looked up is not its caller's
                state.code = frame.code;
            }
            std::copy(frame.r6_to_r9.begin(), frame.r6_to_r9.end(), r + 6);
            may_goto_left = frame.may_goto_left;
            r[10] = frame_top = state.frame_top(state.depth);
            if constexpr (kMode.checks) {
                std::fill_n(r + 1, kMaxArgs, 0);
            }
            VM_GO(frame.return_to);
        }
        result.insns_executed = (address_of(pc + 1) + ran) / sizeof(Slot);
        if (state.release_refs()) [[unlikely]] {
            result.fault = unreleased_fault(state, pc);
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
    result.insns_executed = (address_of(pc + 1) + ran) / sizeof(Slot);
    result.fault = make_fault(
        state, pc, FaultKind::BudgetExhausted,
        fmt::format("{} insns executed, the budget is {}", result.insns_executed, state.budget));
    state.release_refs();
    return result;
faulted:
    result.insns_executed = (address_of(pc) + ran) / sizeof(Slot);
    state.release_refs();
    return result;
}

} // namespace

RunResult run(const Code& code, const RunInput& input) {
    if (input.watch != nullptr) {
        return code.is_verified ? run_as<Mode{.checks = false, .watches = true}>(code, input)
                                : run_as<Mode{.checks = true, .watches = true}>(code, input);
    }
    return code.is_verified ? run_as<Mode{.checks = false, .watches = false}>(code, input)
                            : run_as<Mode{.checks = true, .watches = false}>(code, input);
}

} // namespace ebpfvm::interp
