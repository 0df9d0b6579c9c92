// The structure of a program in machine code: blocks, frames, and what lies behind the program.
#include "jit/emitter.hpp"
#include "jit/jit.hpp"
#include "jit/native_code.hpp"
#include "jit/thunks.hpp"
#include "support/assert.hpp"
#include "support/try.hpp"

#include <algorithm>

namespace ebpfvm::jit {

using isa::AluOp;
using isa::JmpOp;
using isa::Op;
using isa::Shape;
using isa::Width;

namespace {

using exec::is_insn;
using exec::is_jump;
using exec::slots_of;

// Does control come back here from elsewhere, or not at all?
bool ends_block(const exec::Slot& slot) {
    if (!is_insn(slot)) {
        return slot.op == exec::kOpTailCall;
    }
    const Shape shape = exec::shape_of(slot);
    return isa::is_jump(shape) || shape == Shape::Exit || shape == Shape::CallLocal ||
           shape == Shape::Callx;
}

// Does it need the state of the run: for calling anything outside the program, through a pointer,
// or by a thunk, or for the CPU's number?
bool needs_state(const exec::Code& code, const exec::Slot& slot) {
    if (slot.op == exec::kOpArrayLookup) {
        return reinterpret_cast<const exec::ArrayLookup*>(slot.imm)->cpu_stride != 0;
    }
    if (!is_insn(slot)) {
        return slot.op == exec::kOpTailCall || slot.op == exec::kOpHashLookup;
    }
    const Shape shape = exec::shape_of(slot);
    if (shape == Shape::CallHelper) {
        return slot.dst != 0 || needs_run(code, slot);
    }
    return shape == Shape::Callx || shape == Shape::LdAbs || shape == Shape::LdInd;
}

// Are dst and src of the slot registers?
bool names_regs(const exec::Slot& slot) {
    return is_insn(slot) && exec::shape_of(slot) != Shape::CallHelper;
}

} // namespace

Emitter::Emitter(const exec::Code& code, asmjit::CodeHolder& holder, const Cpu& cpu, CodeMap* map)
    : code_(code), as_(&holder), map_(map), stack_(as_, map), checks_(!code.is_verified), cpu_(cpu),
      labels_(code.slots.size()), leads_(code.slots.size() + 1, false),
      reaches_(checks_ ? code.slots.size() : 0), shared_{as_.newLabel(), as_.newLabel(),
                                                         as_.newLabel(), as_.newLabel(),
                                                         as_.newLabel()} {}

void Emitter::run() {
    find_labels();
    for (std::size_t i = 0; i < code_.subprogs.size(); ++i) {
        emit_subprog(i);
    }
    note(code_.slots.size());
    emit_leaf_entries();
    emit_rare();
    if (!is_leaf_) {
        emit_shared();
    }
    if (map_ != nullptr) {
        map_->end(here());
    }
}

void Emitter::find_labels() {
    const auto& slots = code_.slots;
    is_leaf_ = !checks_ && std::ranges::none_of(slots, [this](const Slot& slot) {
        return needs_state(code_, slot);
    });
    for (at_ = 0; at_ < slots.size(); at_ += slots_of(slots[at_])) {
        const Slot& slot = slots[at_];
        has_tail_calls_ |= slot.op == exec::kOpTailCall;
        if (ends_block(slot)) {
            leads_[at_ + 1] = true;
        }
        const std::size_t target = at_ + 1 + std::size_t(std::int64_t(slot.off));
        if (is_jump(slot)) {
            leads_[target] = true;
            if (target < slots.size() && !labels_[target].isValid()) {
                labels_[target] = as_.newLabel();
            }
        } else if (is_insn(slot) && exec::shape_of(slot) == Shape::CallLocal) {
            calls_entry_ |= target == 0;
        }
    }
    leaves_data_ = has_tail_calls_ || has_data(code_); // another program's, too
    leads_.back() = true;
    for (const std::uint32_t first : code_.subprogs) {
        leads_[first] = true;
        entries_.push_back(as_.newLabel());
    }
    run_entry_ = entries_.front();
    inner_entry_ = checks_ && calls_entry_ ? as_.newLabel() : entries_.front();
}

Emitter::FrameShape Emitter::shape_of(std::size_t index) const {
    FrameShape shape;
    for (std::size_t i = code_.subprogs[index]; i < end_; i += slots_of(code_.slots[i])) {
        const Slot& slot = code_.slots[i];
        shape.has_counter |= is_insn(slot) && Op(slot.op) == Op::MayGoto;
        if (names_regs(slot)) {
            shape.saves[std::min<unsigned>(slot.dst, kFramePointer)] = true;
            shape.saves[std::min<unsigned>(slot.src, kFramePointer)] = true;
        } else if (slot.op == exec::kOpPacketLen) {
            shape.saves[slot.dst] = true;
        } else if (slot.op == exec::kOpStoreWidened) {
            shape.saves[slot.src] = true;
        }
    }
    if (checks_) { // frames lie in the RunState; every register survives
        std::fill(shape.saves + 6, shape.saves + kRegCount, true);
    } else {
        shape.stack = code_.stacks[index];
        shape.saves[kFramePointer] |= shape.stack > 0;
    }
    const auto saved = std::uint32_t(std::count(shape.saves + 6, shape.saves + kRegCount, true));
    shape.room = shape.stack + (shape.has_counter ? 8 : 0);
    const std::uint32_t used = 8 + 8 * saved + shape.room; // with the return address
    shape.room += (16 - used % 16) % 16;
    return shape;
}

void Emitter::prologue(bool is_entry) {
    for (unsigned i = 6; i < kRegCount; ++i) {
        if (frame_.saves[i]) {
            stack_.push(kRegs[i]);
        }
    }
    if (checks_) {
        as_.sub(kFp, exec::RunState::kPitch);
    } else if (frame_.saves[kFramePointer]) {
        as_.mov(kFp, x86::rsp);
    }
    if (frame_.room > 0) {
        stack_.grow(frame_.room);
    }
    clear_stack();
    if (frame_.has_counter) {
        as_.mov(x86::dword_ptr(x86::rsp), exec::kMaxMayGoto);
    }
    if (checks_ && is_entry) { // all but r1, r2 and r10 begin as 0
        load_count();
        for (const unsigned i : {0U, 3U, 4U, 5U, 6U, 7U, 8U, 9U}) {
            as_.xor_(kRegs[i].r32(), kRegs[i].r32());
        }
    }
}

// Programs never see what was there.
void Emitter::clear_stack() {
    if (!code_.clears_stack) {
        return;
    }
    const std::uint32_t bytes = checks_ ? std::uint32_t(exec::kStackSize) : frame_.stack;
    if (bytes >= 16) {
        as_.xorps(x86::xmm0, x86::xmm0);
    }
    constexpr std::uint32_t kLarge = 256; // a loop has less code
    if (bytes >= kLarge) {
        return clear_in_loop(bytes);
    }
    std::uint32_t done = 0;
    for (; done + 16 <= bytes; done += 16) {
        as_.movups(x86::ptr(kFp, -std::int32_t(done + 16)), x86::xmm0);
    }
    for (; done < bytes; done += 8) {
        as_.mov(x86::qword_ptr(kFp, -std::int32_t(done + 8)), 0);
    }
}

void Emitter::clear_in_loop(std::uint32_t bytes) {
    constexpr std::uint32_t kTurn = 64;
    const std::uint32_t rest = bytes % kTurn;
    for (std::uint32_t at = 0; at < rest; at += 8) {
        as_.mov(x86::qword_ptr(kFp, -std::int32_t(at + 8)), 0);
    }
    const Label again = as_.newLabel();
    as_.mov(kScratch0, -std::int64_t(bytes));
    as_.bind(again);
    for (std::uint32_t at = 0; at < kTurn; at += 16) {
        as_.movups(x86::ptr(kFp, kScratch0, 0, std::int32_t(at)), x86::xmm0);
    }
    as_.add(kScratch0, kTurn);
    as_.cmp(kScratch0, -std::int32_t(rest));
    as_.jne(again);
}

void Emitter::epilogue() {
    if (frame_.room > 0) {
        stack_.shrink(frame_.room);
    }
    for (unsigned i = kRegCount; i-- > 6;) {
        if (frame_.saves[i]) {
            stack_.pop(kRegs[i]);
        }
    }
}

void Emitter::emit_subprog(std::size_t index) {
    end_ = index + 1 < code_.subprogs.size() ? code_.subprogs[index + 1] : code_.slots.size();
    frame_ = shape_of(index);
    is_entry_ = index == 0;
    std::ranges::fill(reach_of_, kNoReach);
    exit_ = as_.newLabel();
    note(code_.subprogs[index]);
    const Label body = as_.newLabel();
    if (index == 0 && checks_ && calls_entry_) {
        as_.bind(inner_entry_);
        begin_subprog(index);
        prologue(false);
        as_.jmp(body);
    }
    as_.bind(entries_[index]);
    begin_subprog(index);
    prologue(index == 0);
    as_.bind(body);
    begin_body();
    for (at_ = code_.subprogs[index]; at_ < end_; at_ += slots_of(code_.slots[at_])) {
        note(at_);
        place(at_);
        if (labels_[at_].isValid()) {
            as_.bind(labels_[at_]);
        }
        if (checks_ && leads_[at_]) {
            begin_block();
        }
        emit(code_.slots[at_]);
        if (checks_) {
            follow_pointers(code_.slots[at_]);
        }
        --insns_behind_;
    }
    as_.bind(exit_);
    if (is_entry_) {
        store_count();
    }
    epilogue();
    as_.ret();
}

// Which pointers are likely to point into the same memory: those computed from the same one. It is
// no more than a guess, so the order of the program will do for the order of execution.
void Emitter::follow_pointers(const Slot& slot) {
    if (!is_insn(slot)) {
        return;
    }
    switch (exec::shape_of(slot)) {
    case Shape::AluReg:
        if (Op(slot.op) == Op::Mov64Reg) {
            reach_of_[slot.dst] = reach_of_[slot.src];
        }
        return;
    case Shape::Load:
    case Shape::Lddw:
        reach_of_[slot.dst] = kNoReach;
        return;
    case Shape::CallHelper:
    case Shape::CallLocal:
    case Shape::Callx:
        std::ranges::fill(std::span(reach_of_).first(kMaxArgs + 1), kNoReach);
        if (exec::shape_of(slot) == Shape::CallHelper) {
            reaches_[at_] = std::uint8_t(reach_of(0));
        }
        return;
    default: // no new pointer
        return;
    }
}

// The reach of a register; a new one if it has none.
unsigned Emitter::reach_of(unsigned reg) {
    if (reach_of_[reg] == kNoReach) {
        reach_of_[reg] = std::uint8_t(next_reach_);
        next_reach_ = (next_reach_ + 1) % exec::ReachTable::kCount;
        reach_count_ = std::max(reach_count_, reach_of_[reg] + 1U);
    }
    return reach_of_[reg];
}

void Emitter::begin_block() {
    insns_behind_ = 0;
    std::size_t i = at_;
    do {
        ++insns_behind_;
        i += slots_of(code_.slots[i]);
    } while (!leads_[i]);
    as_.sub(kInsnsLeft, insns_behind_);
}

void Emitter::emit(const Slot& slot) {
    if (slot.op == exec::kOpTailCall) {
        return tail_call(slot);
    }
    if (slot.op == exec::kOpPacketLen) {
        return packet_len(slot);
    }
    if (slot.op == exec::kOpStoreWidened) {
        return store_widened(slot);
    }
    if (slot.op == exec::kOpArrayLookup) {
        return array_lookup(slot);
    }
    if (slot.op == exec::kOpHashLookup) {
        return hash_lookup(slot);
    }
    switch (Op(slot.op)) {
        // clang-format off
#define EBPFVM_ALU(name, ...)                                                                      \
    case Op::name##32Imm: return alu(AluOp::name, Width::W32, slot, true);                         \
    case Op::name##32Reg: return alu(AluOp::name, Width::W32, slot, false);                        \
    case Op::name##64Imm: return alu(AluOp::name, Width::W64, slot, true);                         \
    case Op::name##64Reg: return alu(AluOp::name, Width::W64, slot, false);
#define EBPFVM_NEG(name, ...)                                                                      \
    case Op::name##32: return negate(Width::W32, slot);                                            \
    case Op::name##64: return negate(Width::W64, slot);
#define EBPFVM_MOVSX(name, cls, bits, text)                                                        \
    case Op::name: return sign_extend(bits, (cls) == 7 ? Width::W64 : Width::W32, slot);
#define EBPFVM_SWAP(name, code, bits, text)                                                        \
    case Op::name: return swap(bits, (code) != 0xd4, slot);
#define EBPFVM_JMP(name, ...)                                                                      \
    case Op::name##32Imm: return jump(JmpOp::name, Width::W32, slot, true);                        \
    case Op::name##32Reg: return jump(JmpOp::name, Width::W32, slot, false);                       \
    case Op::name##64Imm: return jump(JmpOp::name, Width::W64, slot, true);                        \
    case Op::name##64Reg: return jump(JmpOp::name, Width::W64, slot, false);
#define EBPFVM_LOAD(name, code, T, text)                                                           \
    case Op::name: return load(sizeof(T), std::is_signed_v<T>, slot);
#define EBPFVM_STORE(name, size, T, text)                                                          \
    case Op::name##Imm: return store(sizeof(T), slot, true);                                       \
    case Op::name##Reg: return store(sizeof(T), slot, false);
#define EBPFVM_LDDW(name, ...)                                                                     \
    case Op::name: return lddw(Op::name, slot);
#define EBPFVM_LDPKT(name, code, shape, T, text)                                                   \
    case Op::name: return load_packet(slot, Shape::shape == Shape::LdInd);
#include "ebpfvm/tables/insn.def"
        // clang-format on
    case Op::AtomicAdd32:
        return atomic(AluOp::Add, Width::W32, slot);
    case Op::AtomicAdd64:
        return atomic(AluOp::Add, Width::W64, slot);
    case Op::AtomicOr32:
        return atomic(AluOp::Or, Width::W32, slot);
    case Op::AtomicOr64:
        return atomic(AluOp::Or, Width::W64, slot);
    case Op::AtomicAnd32:
        return atomic(AluOp::And, Width::W32, slot);
    case Op::AtomicAnd64:
        return atomic(AluOp::And, Width::W64, slot);
    case Op::AtomicXor32:
        return atomic(AluOp::Xor, Width::W32, slot);
    case Op::AtomicXor64:
        return atomic(AluOp::Xor, Width::W64, slot);
    case Op::FetchAdd32:
        return fetch(AluOp::Add, Width::W32, slot);
    case Op::FetchAdd64:
        return fetch(AluOp::Add, Width::W64, slot);
    case Op::FetchOr32:
        return fetch(AluOp::Or, Width::W32, slot);
    case Op::FetchOr64:
        return fetch(AluOp::Or, Width::W64, slot);
    case Op::FetchAnd32:
        return fetch(AluOp::And, Width::W32, slot);
    case Op::FetchAnd64:
        return fetch(AluOp::And, Width::W64, slot);
    case Op::FetchXor32:
        return fetch(AluOp::Xor, Width::W32, slot);
    case Op::FetchXor64:
        return fetch(AluOp::Xor, Width::W64, slot);
    case Op::Xchg32:
        return exchange(Width::W32, slot);
    case Op::Xchg64:
        return exchange(Width::W64, slot);
    case Op::Cmpxchg32:
        return compare_exchange(Width::W32, slot);
    case Op::Cmpxchg64:
        return compare_exchange(Width::W64, slot);
#define EBPFVM_LOAD_ACQUIRE(name, code, T, text)                                                   \
    case Op::name:                                                                                 \
        return ordered_load(sizeof(T), slot);
#define EBPFVM_STORE_RELEASE(name, code, T, text)                                                  \
    case Op::name:                                                                                 \
        return ordered_store(sizeof(T), slot);
#include "ebpfvm/tables/insn.def"
    case Op::Ja:
    case Op::Jal:
        return jump_to(slot);
    case Op::MayGoto:
        return may_goto(slot);
    case Op::CallHelper:
        return call_helper(slot);
    case Op::CallLocal:
        return call_local(slot);
    case Op::Callx:
        return callx(slot);
    case Op::Exit:
        note_end();
        if (at_ + 1 != end_) {
            as_.jmp(exit_);
        }
        return;
    case Op::CallKfunc: // replaced by exec::resolve()
    case Op::CallxImm:
    case Op::AddrSpaceCast:
        EBPFVM_ASSERT(false);
    }
}

// kState survives C functions, so it has to be put back. All other registers that C functions keep
// are r6..r10, which every subprogram saves.
void Emitter::emit_leaf_entries() {
    if (!is_leaf_) {
        return;
    }
    leaf_entry_ = as_.newLabel();
    as_.align(asmjit::AlignMode::kCode, 16);
    as_.bind(leaf_entry_);
    begin_function("ebpfvm_enter_leaf");
    as_.mov(kRegs[1], x86::rdi);
    if (!uses_ctx_) {
        as_.jmp(entries_.front());
        return;
    }
    stack_.push(kState);
    as_.mov(kState, x86::rdi);
    as_.call(entries_.front());
    stack_.pop(kState);
    as_.ret();
    // From a run, or from a tail call of another program: kState holds the RunState.
    run_entry_ = as_.newLabel();
    as_.bind(run_entry_);
    begin_function("ebpfvm_enter_leaf");
    stack_.push(kState);
    as_.mov(kState, state_field(offsets::kCtx));
    as_.call(entries_.front());
    stack_.pop(kState);
    as_.ret();
}

void Emitter::emit_rare() {
    for (const Rare& rare : rare_) {
        begin_cold(rare);
        as_.bind(rare.begin);
        as_.mov(kScratch0.r32(), rare.slot);
        if (rare.back.isValid()) {
            as_.call(shared_.access);
            as_.jmp(rare.back);
        } else {
            as_.mov(kScratch2.r32(), std::uint32_t(rare.why));
            as_.jmp(shared_.stop);
        }
    }
}

// They get the slot in kScratch0.
void Emitter::emit_shared() {
    begin_leaving("ebpfvm_stop");
    as_.bind(shared_.stop); // why: kScratch2
    store_count();
    as_.mov(x86::edx, kScratch2.r32());
    as_.mov(x86::rdi, kState);
    as_.mov(x86::esi, kScratch0.r32());
    call_address(address_of(stop_run));
    begin_leaving("ebpfvm_leave");
    as_.bind(shared_.leave);
    as_.mov(x86::rsp, state_field(offsets::kStackPointer));
    stack_.resume(CodeMap::kReturnAddress);
    as_.ret();
    if (!checks_) {
        return;
    }
    begin_function("ebpfvm_access");
    as_.bind(shared_.access);
    store_count();
    for (unsigned i = kRegCount; i-- > 0;) {
        stack_.push(kRegs[i]);
    }
    as_.mov(x86::rdi, kState);
    as_.mov(x86::esi, kScratch0.r32());
    as_.mov(x86::rdx, x86::rsp);
    call_address(address_of(access_memory));
    as_.test(x86::al, x86::al);
    as_.jz(shared_.leave);
    for (const x86::Gp& reg : kRegs) {
        stack_.pop(reg);
    }
    load_count();
    as_.ret();

    begin_function("ebpfvm_call_helper");
    as_.bind(shared_.call);
    store_count();
    save_call_regs(kMaxArgs);
    stack_.grow(8);
    as_.mov(x86::rdi, kState);
    as_.mov(x86::esi, kScratch0.r32());
    call_address(address_of(call_helper_checked));
    as_.test(x86::al, x86::al);
    as_.jz(shared_.leave);
    stack_.shrink(8);
    as_.mov(kRegs[0], state_field(offsets::kCallRegs));
    clear_call_regs();
    load_count();
    as_.ret();

    begin_function("ebpfvm_forget_frames");
    as_.bind(shared_.forget_frames);
    store_count();
    stack_.push(kRegs[0]);
    as_.mov(x86::rdi, kState);
    call_address(address_of(forget_frames));
    stack_.pop(kRegs[0]);
    load_count();
    as_.ret();
}

// Code that belongs to no insn.
void Emitter::begin_function(const char* name) {
    if (map_ != nullptr) {
        map_->begin(here(), name);
    }
}

void Emitter::begin_leaving(const char* name) {
    if (map_ != nullptr) {
        map_->begin_leaving(here(), name);
    }
}

void Emitter::begin_subprog(std::size_t index) {
    if (map_ == nullptr) {
        return;
    }
    described_.resize(index + 1);
    described_[index] = map_->functions().size();
    map_->begin(here(), function_name(code_.program, code_.subprogs[index]));
    map_->place(here(), code_.insn_of(code_.subprogs[index]));
}

// Rare code is in the order of the subprograms that it belongs to.
void Emitter::begin_cold(const Rare& rare) {
    if (map_ == nullptr) {
        return;
    }
    const std::uint32_t slot = rare.slot;
    const auto behind = std::ranges::upper_bound(code_.subprogs, slot);
    const auto index = std::size_t(behind - code_.subprogs.begin() - 1);
    if (index != cold_subprog_) {
        map_->begin_cold(here(), described_[index]);
        cold_subprog_ = index;
    }
    map_->place(here(), code_.insn_of(slot));
}

void Emitter::begin_body() {
    if (map_ != nullptr) {
        map_->begin_body(here());
    }
}

void Emitter::place(std::size_t slot) {
    if (map_ != nullptr) {
        map_->place(here(), code_.insn_of(slot));
    }
}

Expected<std::vector<SlotCode>> list_baseline(const exec::Code& code, const Cpu& cpu) {
    Listing listing;
    Emitter emitter(code, listing.holder(), cpu);
    emitter.watch([&](std::size_t slot) { listing.note(slot); });
    emitter.run();
    return listing.take();
}

Expected<void> compile_baseline(exec::Code& code, const std::shared_ptr<CodeMemory>& memory,
                                const Cpu& cpu) {
    Assembling assembling(*memory);
    // Most programs need no more: growing would copy.
    constexpr std::size_t kBytesPerInsn = 8;
    asmjit::CodeHolder& holder = assembling.holder();
    (void)holder.reserveBuffer(&holder.textSection()->buffer(), kBytesPerInsn * code.slots.size());
    Emitter emitter(code, holder, cpu, assembling.map());
    emitter.run();
    if (emitter.lacks_keys()) {
        return fail(Errc::Unsupported, "no machine code: the host has no random numbers to blind "
                                       "constants with");
    }
    TRY_ASSIGN(const auto native, assembling.install(code, memory, emitter.entries(),
                                                     emitter.run_entry(), emitter.leaf_entry()));
    native->leads = emitter.leads();
    native->reaches = emitter.reaches();
    native->reach_count = emitter.reach_count();
    return {};
}

} // namespace ebpfvm::jit
