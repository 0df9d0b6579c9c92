// How the loop goes from one slot to the next: computed goto where the compiler has it, else a
// switch. The loop declares `const Slot* pc` and `kPairs` (are pairs one step?), and is written
// with VM_CASE, VM_CASE_EXTRA (what is no insn), VM_NEXT and VM_AT alone. VM_BEFORE is what the
// loop does before each insn besides executing it.
#pragma once

#if defined(__GNUC__) && !defined(EBPFVM_NO_COMPUTED_GOTO)
#define EBPFVM_COMPUTED_GOTO 1
#else
#define EBPFVM_COMPUTED_GOTO 0
#endif

#define VM_STEP (kPairs ? pc->step : pc->op)

#if EBPFVM_COMPUTED_GOTO

#define VM_LOOP VM_AT(pc);
#define VM_CASE(name) op_##name:
#define VM_CASE_EXTRA(number, label)                                                               \
    label:
/// Goes on at a slot.
#define VM_AT(slot)                                                                                \
    pc = (slot);                                                                                   \
    VM_BEFORE                                                                                      \
    goto* kLabels[VM_STEP]

#else

#define VM_LOOP                                                                                    \
    dispatch:                                                                                      \
    switch (VM_STEP)
#define VM_CASE(name) case std::to_underlying(isa::Op::name):
#define VM_CASE_EXTRA(number, label) case number:
#define VM_AT(slot)                                                                                \
    pc = (slot);                                                                                   \
    VM_BEFORE                                                                                      \
    goto dispatch

#endif

/// Goes on at the next slot.
#define VM_NEXT VM_AT(pc + 1)
