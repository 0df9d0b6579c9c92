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

bool is_insn(const exec::Slot& slot) {
    return slot.op < isa::kOpCount;
}

Shape insn_shape(const exec::Slot& slot) {
    return isa::shape_of(Op(slot.op));
}

unsigned slots_of(const exec::Slot& slot) {
    return is_insn(slot) && insn_shape(slot) == Shape::Lddw ? 2 : 1;
}

bool is_jump(const exec::Slot& slot) {
    return is_insn(slot) && isa::is_jump(insn_shape(slot));
}

// Does control come back here from elsewhere, or not at all?
bool ends_block(const exec::Slot& slot) {
    if (!is_insn(slot)) {
        return slot.op == exec::kOpTailCall;
    }
    const Shape shape = insn_shape(slot);
    return isa::is_jump(shape) || shape == Shape::Exit || shape == Shape::CallLocal ||
           shape == Shape::Callx;
}

// Does it need the state of the run: for calling anything outside the program, through a pointer,
// or by a thunk, or for the CPU's number?
bool needs_state(const exec::Slot& slot) {
    if (slot.op == exec::kOpArrayLookup) {
        return reinterpret_cast<const exec::ArrayLookup*>(slot.imm)->cpu_stride != 0;
    }
    if (!is_insn(slot)) {
        return slot.op == exec::kOpTailCall;
    }
    const Shape shape = insn_shape(slot);
    return shape == Shape::CallHelper || shape == Shape::Callx || shape == Shape::LdAbs ||
           shape == Shape::LdInd;
}

// Are dst and src of the slot registers?
bool names_regs(const exec::Slot& slot) {
    return is_insn(slot) && insn_shape(slot) != Shape::CallHelper;
}

class ErrorKeeper : public asmjit::ErrorHandler {
  public:
    void handleError(asmjit::Error error, const char*, asmjit::BaseEmitter*) override {
        if (error_ == asmjit::kErrorOk) {
            error_ = error;
        }
    }
    [[nodiscard]] asmjit::Error error() const { return error_; }

  private:
    asmjit::Error error_ = asmjit::kErrorOk;
};

} // namespace

Emitter::Emitter(const exec::Code& code, asmjit::CodeHolder& holder, const Cpu& cpu)
    : code_(code), as_(&holder), checks_(!code.is_verified), cpu_(cpu), labels_(code.slots.size()),
      leads_(code.slots.size() + 1, false), leave_(as_.newLabel()), rare_call_(as_.newLabel()) {}

void Emitter::run() {
    find_labels();
    for (std::size_t i = 0; i < code_.subprogs.size(); ++i) {
        emit_subprog(i);
    }
    note(code_.slots.size());
    emit_leaf_entries();
    emit_rare();
}

void Emitter::find_labels() {
    const auto& slots = code_.slots;
    is_leaf_ = !checks_ && std::ranges::none_of(slots, needs_state);
    for (at_ = 0; at_ < slots.size(); at_ += slots_of(slots[at_])) {
        const Slot& slot = slots[at_];
        has_tail_calls_ |= slot.op == exec::kOpTailCall;
        if (ends_block(slot)) {
            leads_[at_ + 1] = true;
        }
        const std::size_t target = at_ + 1 + std::size_t(std::int64_t(slot.off));
        if (is_jump(slot)) {
            leads_[target] = true;
            if (!labels_[target].isValid()) {
                labels_[target] = as_.newLabel();
            }
        } else if (is_insn(slot) && insn_shape(slot) == Shape::CallLocal) {
            calls_entry_ |= target == 0;
        }
    }
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
            as_.push(kRegs[i]);
        }
    }
    if (checks_) {
        as_.sub(kFp, exec::RunState::kPitch);
    } else if (frame_.saves[kFramePointer]) {
        as_.mov(kFp, x86::rsp);
    }
    if (frame_.room > 0) {
        as_.sub(x86::rsp, frame_.room);
    }
    clear_stack();
    if (frame_.has_counter) {
        as_.mov(x86::dword_ptr(x86::rsp), exec::kMaxMayGoto);
    }
    if (checks_ && is_entry) { // all but r1, r2 and r10 begin as 0
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
    std::uint32_t done = 0;
    for (; done + 16 <= bytes; done += 16) {
        as_.movups(x86::ptr(kFp, -std::int32_t(done + 16)), x86::xmm0);
    }
    for (; done < bytes; done += 8) {
        as_.mov(x86::qword_ptr(kFp, -std::int32_t(done + 8)), 0);
    }
}

void Emitter::epilogue() {
    if (frame_.room > 0) {
        as_.add(x86::rsp, frame_.room);
    }
    for (unsigned i = kRegCount; i-- > 6;) {
        if (frame_.saves[i]) {
            as_.pop(kRegs[i]);
        }
    }
}

void Emitter::emit_subprog(std::size_t index) {
    end_ = index + 1 < code_.subprogs.size() ? code_.subprogs[index + 1] : code_.slots.size();
    frame_ = shape_of(index);
    exit_ = as_.newLabel();
    note(code_.subprogs[index]);
    const Label body = as_.newLabel();
    if (index == 0 && checks_ && calls_entry_) {
        as_.bind(inner_entry_);
        prologue(false);
        as_.jmp(body);
    }
    as_.bind(entries_[index]);
    prologue(index == 0);
    as_.bind(body);
    for (at_ = code_.subprogs[index]; at_ < end_; at_ += slots_of(code_.slots[at_])) {
        note(at_);
        if (labels_[at_].isValid()) {
            as_.bind(labels_[at_]);
        }
        if (leads_[at_]) {
            begin_block();
        }
        emit(code_.slots[at_]);
        --insns_behind_;
    }
    as_.bind(exit_);
    epilogue();
    as_.ret();
}

void Emitter::begin_block() {
    insns_behind_ = 0;
    std::size_t i = at_;
    do {
        ++insns_behind_;
        i += slots_of(code_.slots[i]);
    } while (i < end_ && !leads_[i]);
    if (checks_) {
        as_.sub(state_field(offsets::kInsnsLeft), insns_behind_);
    }
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
    case Op::name: return load_imm(kRegs[slot.dst], std::uint64_t(slot.imm));
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
        if (checks_) {
            as_.mov(kScratch0, address_of(&slot));
            as_.mov(state_field(offsets::kEnd), kScratch0);
        }
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
    as_.mov(kRegs[1], x86::rdi);
    if (!uses_ctx_) {
        as_.jmp(entries_.front());
        return;
    }
    as_.push(kState);
    as_.mov(kState, x86::rdi);
    as_.call(entries_.front());
    as_.pop(kState);
    as_.ret();
    // From a run, or from a tail call of another program: kState holds the RunState.
    run_entry_ = as_.newLabel();
    as_.bind(run_entry_);
    as_.push(kState);
    as_.mov(kState, state_field(offsets::kCtx));
    as_.call(entries_.front());
    as_.pop(kState);
    as_.ret();
}

void Emitter::emit_rare() {
    for (const Rare& rare : rare_) {
        as_.bind(rare.begin);
        if (rare.kind == Rare::Kind::Fail) {
            as_.add(state_field(offsets::kInsnsLeft), rare.insns_behind);
            if (rare.thunk != kNoReason) {
                call_thunk(rare.thunk, *rare.slot);
            }
            as_.jmp(leave_);
            continue;
        }
        if (rare.kind == Rare::Kind::Store) {
            if (rare.value.isValid()) {
                as_.mov(state_field(offsets::kValue), rare.value);
            } else {
                as_.mov(kScratch1, rare.slot->imm);
                as_.mov(state_field(offsets::kValue), kScratch1);
            }
        }
        as_.mov(kScratch2, address_of(rare.slot));
        as_.mov(kScratch1, rare.thunk);
        as_.call(rare_call_);
        const Label failed = as_.newLabel();
        as_.jz(failed);
        if (rare.kind == Rare::Kind::Load) {
            as_.mov(kRegs[rare.slot->dst], state_field(offsets::kValue));
        }
        as_.jmp(rare.back);
        as_.bind(failed);
        as_.add(state_field(offsets::kInsnsLeft), rare.insns_behind);
        as_.jmp(leave_);
    }
    if (is_leaf_) {
        return; // nothing is rare
    }
    // thunk(state, kScratch0, kScratch2), all registers kept; ZF: it returned false.
    constexpr x86::Gp kKept[] = {x86::rax, x86::rsi, x86::rdx, x86::rcx,
                                 x86::r8,  x86::r9,  kScratch0};
    as_.bind(rare_call_);
    for (const x86::Gp& kept : kKept) {
        as_.push(kept);
    }
    as_.mov(x86::rsi, kScratch0);
    as_.mov(x86::rdx, kScratch2);
    as_.mov(x86::rdi, kState);
    as_.call(kScratch1);
    as_.mov(kScratch2.r32(), x86::eax);
    for (std::size_t i = std::size(kKept); i-- > 0;) {
        as_.pop(kKept[i]);
    }
    as_.test(kScratch2.r8(), kScratch2.r8());
    as_.ret();

    as_.bind(leave_);
    as_.mov(x86::rsp, state_field(offsets::kStackPointer));
    as_.ret();
}

Expected<std::vector<SlotCode>> list_baseline(const exec::Code& code, const Cpu& cpu) {
    asmjit::CodeHolder holder;
    asmjit::StringLogger logger;
    logger.addFlags(asmjit::FormatFlags::kHexImms | asmjit::FormatFlags::kHexOffsets);
    holder.init(asmjit::Environment::host());
    holder.setLogger(&logger);
    Emitter emitter(code, holder, cpu);
    std::vector<SlotCode> listing;
    emitter.watch([&](std::size_t slot) {
        if (!listing.empty()) {
            listing.back().text.assign(logger.data(), logger.dataSize());
        }
        logger.clear();
        listing.push_back({std::uint32_t(slot), {}});
    });
    emitter.run();
    if (!listing.empty()) {
        listing.back().text.assign(logger.data(), logger.dataSize());
    }
    return listing;
}

Expected<void> compile_baseline(exec::Code& code, const std::shared_ptr<CodeMemory>& memory,
                                const Cpu& cpu) {
    asmjit::CodeHolder holder;
    ErrorKeeper errors;
    holder.init(memory->runtime().environment());
    holder.setErrorHandler(&errors);
    Emitter emitter(code, holder, cpu);
    emitter.run();
    void* base = nullptr;
    if (errors.error() == asmjit::kErrorOk) {
        (void)memory->runtime().add(&base, &holder);
    }
    if (base == nullptr) {
        return fail(Errc::LimitExceeded, "no machine code: {}",
                    asmjit::DebugUtils::errorAsString(errors.error()));
    }
    auto native = std::make_shared<NativeCode>(memory, base);
    native->size = holder.codeSize();
    const auto place_of = [&](const asmjit::Label& label) {
        return static_cast<std::byte*>(base) + holder.labelOffset(label);
    };
    for (const asmjit::Label& entry : emitter.entries()) {
        native->subprogs.push_back(place_of(entry));
    }
    code.native = place_of(emitter.run_entry());
    if (emitter.leaf_entry().isValid()) {
        code.native_leaf =
            reinterpret_cast<std::uint64_t (*)(void*)>(place_of(emitter.leaf_entry()));
    }
    code.native_owner = std::move(native);
    return {};
}

} // namespace ebpfvm::jit
