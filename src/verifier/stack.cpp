// The byte kinds of stack slots follow the kernel's check_stack_{read,write}_*(), except where more
// can be known: spills of part of a slot stay known as long as nothing overlaps them.
#include "verifier/stack.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

struct SlotRange {
    std::size_t first; // the nearest to r10
    std::size_t last;
};

SlotRange slots_of(std::int64_t lowest, std::int64_t end) {
    return {Frame::slot_index(std::int32_t(end - 1)), Frame::slot_index(std::int32_t(lowest))};
}

// Position of byte `off` of the stack in its slot.
unsigned byte_in_slot(std::int64_t off) {
    return unsigned(off + 8 * 64) % kSlotSize;
}

ByteKind kind_at(const Frame& frame, std::int64_t off) {
    const auto index = Frame::slot_index(std::int32_t(off));
    return index < frame.stack.size() ? frame.stack[index].bytes[byte_in_slot(off)]
                                      : ByteKind::Invalid;
}

bool check_range(Env& env, const Reg& reg, const MemAccess& access) {
    const OffsetRange range = offset_range(reg, access.off);
    const std::int64_t limit = std::min<std::int64_t>(env.options.max_stack, kMaxSlots * kSlotSize);
    if (range.min < -limit || range.max > 0 || range.max + access.size > 0) {
        if (reg.var.is_constant()) {
            return env.reject<Slug::StackOob>(range.min, access.size, limit);
        }
        return env.reject<Slug::StackOob>(fmt::format("{}..{}", range.min, range.max), access.size,
                                          limit);
    }
    return true;
}

bool check_initialised(Env& env, const Frame& frame, const OffsetRange& range, std::uint32_t size) {
    if (env.options.allow_uninit_stack) {
        return true;
    }
    for (std::int64_t off = range.min; off < range.max + size; ++off) {
        if (kind_at(frame, off) == ByteKind::Invalid) {
            return env.reject<Slug::StackUninit>(range.min, size);
        }
    }
    return true;
}

// A pointer on the stack is filled whole or not at all.
bool check_fill(Env& env, const Frame& frame, std::int64_t off, std::uint32_t size) {
    const auto index = Frame::slot_index(std::int32_t(off));
    if (index >= frame.stack.size()) {
        return true;
    }
    const StackSlot& slot = frame.stack[index];
    if (slot.has_spill() && slot.spilled.is_pointer() &&
        (size != kSlotSize || slot.spill_size() != kSlotSize)) {
        return env.reject<Slug::StackSpill>(
            fmt::format("invalid size of register fill: {} of 8 bytes of {}", size,
                        name_of(slot.spilled.type)));
    }
    return true;
}

// What has been judged lies inside; what is only followed need not.
OffsetRange clamped(const OffsetRange& range, std::uint32_t size) {
    constexpr std::int64_t kLowest = -std::int64_t{kMaxSlots * kSlotSize};
    if (range.min >= kLowest && range.max + size <= 0) {
        return range;
    }
    return {kLowest, -std::int64_t{size}};
}

void note_depth(Env& env, const Frame& frame, std::int64_t lowest) {
    std::uint32_t& depth = env.stack_depth[frame.subprog];
    depth = std::max(depth, std::uint32_t(-lowest));
}

// Bytes of a slot as a value: a spill, perhaps only part of it, perhaps with zeros above it.
Reg value_of(const StackSlot& slot, unsigned first, unsigned size) {
    unsigned spilled = 0;
    const unsigned spill_end = slot.spill_size();
    while (spilled < size && first + spilled < spill_end) {
        ++spilled;
    }
    unsigned zeros = 0;
    while (spilled + zeros < size && slot.bytes[first + spilled + zeros] == ByteKind::Zero) {
        ++zeros;
    }
    if (spilled + zeros < size) {
        return Reg::scalar(Scalar::of_bits(size * 8));
    }
    if (spilled == 0) {
        return Reg::scalar(Scalar::constant(0));
    }
    const Reg& value = slot.spilled;
    if (first == 0 && (spilled == kSlotSize || value.var.u64.max >> (spilled * 8 - 1) >> 1 == 0)) {
        return value;
    }
    return Reg::scalar(bytes_of(value.var, first, spilled));
}

void write_bytes(Frame& frame, std::int64_t off, std::uint32_t size, ByteKind kind) {
    for (std::uint32_t i = 0; i < size; ++i) {
        StackSlot& slot = frame.slot(std::int32_t(off + i));
        const unsigned byte = byte_in_slot(off + i);
        if (slot.bytes[byte] == ByteKind::Spill) {
            slot.forget_spill();
        }
        slot.bytes[byte] = kind;
    }
}

// Whole slots that [off, off + size) covers are overwritten as far as later reads are concerned.
void note_overwritten(Env& env, unsigned frame, std::int64_t off, std::uint32_t size) {
    const std::int64_t end = off + size;
    for (std::int64_t start = off + (8 - byte_in_slot(off)) % 8; start + 8 <= end; start += 8) {
        env.path.write_slot(frame, unsigned(Frame::slot_index(std::int32_t(start))));
    }
}

void store_variable(Env& env, State& state, const Reg& pointer, const OffsetRange& range,
                    const MemAccess& access, bool is_zero) {
    Frame& frame = state.own(pointer.frame);
    note_depth(env, frame, range.min);
    for (std::int64_t off = range.min; off < range.max + access.size; ++off) {
        StackSlot& slot = frame.slot(std::int32_t(off));
        if (is_zero && slot.has_spill() && slot.spilled.is_null()) {
            continue; // zero over zero
        }
        const unsigned byte = byte_in_slot(off);
        const bool stays_zero = is_zero && slot.bytes[byte] == ByteKind::Zero;
        slot.forget_spill();
        slot.bytes[byte] = stays_zero ? ByteKind::Zero : ByteKind::Misc;
    }
}

bool is_whole_spill(std::int64_t off, const MemAccess& access, const Reg& value) {
    return byte_in_slot(off) == 0 && value.type != RegType::NotInit &&
           (access.size == kSlotSize || value.is_scalar());
}

void spill(Env& env, State& state, const Reg& pointer, std::int64_t off, std::uint32_t size,
           unsigned src, const Reg& given) {
    Reg value = given;
    const bool fits = size == kSlotSize || value.var.u64.max >> (size * 8) == 0;
    if (value.is_scalar() && !fits) {
        value = Reg::scalar(truncate(size * 8, value.var));
    } else if (value.is_scalar() && value.id == 0 && !value.var.is_constant() && src != kNoReg) {
        Reg& reg = state.own_top().regs[src]; // from now on they are known to be equal
        reg.id = env.fresh_id();
        reg.off = 0;
        value = reg;
    }
    Frame& frame = state.own(pointer.frame);
    StackSlot& slot = frame.slot(std::int32_t(off));
    slot.forget_spill();
    for (unsigned i = 0; i < size; ++i) {
        slot.bytes[i] = ByteKind::Spill;
    }
    slot.spilled = value;
    env.path.note_slot(pointer.frame, unsigned(Frame::slot_index(std::int32_t(off))));
}

} // namespace

bool check_stack(Env& env, const State& state, unsigned number, const MemAccess& access) {
    const Reg& reg = state.reg(number);
    if (!check_range(env, reg, access)) {
        return false;
    }
    const OffsetRange range = offset_range(reg, access.off);
    if (!is_aligned(reg, access.off, access.size)) {
        return env.reject<Slug::Misaligned>("stack", range.min, access.size);
    }
    const Frame& frame = state.frame(reg.frame);
    if (access.access == Access::Write) { // at an unknown place, it leaves most bytes as they are
        return range.min == range.max || check_initialised(env, frame, range, access.size);
    }
    if (range.min == range.max && !check_fill(env, frame, range.min, access.size)) {
        return false;
    }
    return check_initialised(env, frame, range, access.size);
}

bool check_stack_region(Env& env, const State& state, unsigned number, const MemAccess& access) {
    const Reg& reg = state.reg(number);
    if (!check_range(env, reg, access)) {
        return false;
    }
    const OffsetRange range = offset_range(reg, access.off);
    if (access.access == Access::Write && range.min == range.max) {
        return true;
    }
    return check_initialised(env, state.frame(reg.frame), range, access.size);
}

Reg load_stack(Env& env, State& state, const Reg& pointer, const MemAccess& access,
               bool sign_extends) {
    const OffsetRange range = clamped(offset_range(pointer, access.off), access.size);
    const Frame& frame = state.frame(pointer.frame);
    const std::int64_t end = range.max + access.size;
    const SlotRange slots = slots_of(range.min, end);
    for (std::size_t i = slots.first; i <= slots.last; ++i) {
        env.path.read_slot(pointer.frame, unsigned(i));
    }
    note_depth(env, frame, range.min);
    Reg value = Reg::scalar(Scalar::of_bits(access.size * 8));
    if (range.min == range.max) {
        if (slots.first < frame.stack.size()) {
            value = value_of(frame.stack[slots.first], byte_in_slot(range.min), access.size);
            env.path.note_slot(pointer.frame, unsigned(slots.first));
        }
    } else {
        bool is_zero = true;
        for (std::int64_t off = range.min; off < end && is_zero; ++off) {
            is_zero = kind_at(frame, off) == ByteKind::Zero;
        }
        if (is_zero) {
            value = Reg::scalar(Scalar::constant(0));
        }
    }
    if (sign_extends) {
        value = Reg::scalar(sign_extend(access.size * 8, isa::Width::W64, value.var));
    }
    return value;
}

void store_stack(Env& env, State& state, const Reg& pointer, const MemAccess& access, unsigned src,
                 const Reg& value) {
    const Reg where = pointer; // may be about to change
    const Reg stored = value;
    const OffsetRange range = clamped(offset_range(where, access.off), access.size);
    const bool is_zero = stored.is_null();
    if (range.min != range.max) {
        if (is_zero && src != kNoReg) {
            env.demand(state, src);
        }
        return store_variable(env, state, where, range, access, is_zero);
    }
    note_depth(env, state.frame(where.frame), range.min);
    note_overwritten(env, where.frame, range.min, access.size);
    if (is_whole_spill(range.min, access, stored)) {
        return spill(env, state, where, range.min, access.size, src, stored);
    }
    if (is_zero && src != kNoReg) {
        env.demand(state, src);
    }
    write_bytes(state.own(where.frame), range.min, access.size,
                is_zero ? ByteKind::Zero : ByteKind::Misc);
}

void read_stack_region(Env& env, const State& state, const Reg& pointer, std::uint32_t size) {
    if (size == 0) {
        return;
    }
    const OffsetRange range = clamped(offset_range(pointer, 0), size);
    note_depth(env, state.frame(pointer.frame), range.min);
    const SlotRange slots = slots_of(range.min, range.max + size);
    SlotMasks mask{};
    for (std::size_t i = slots.first; i <= slots.last; ++i) {
        mask[pointer.frame] |= std::uint64_t{1} << i;
    }
    env.path.read_slots(mask);
}

void clobber_stack(Env& env, State& state, const Reg& pointer, std::uint32_t size) {
    if (size == 0) {
        return;
    }
    const Reg where = pointer;
    const OffsetRange range = clamped(offset_range(where, 0), size);
    Frame& frame = state.own(where.frame);
    note_depth(env, frame, range.min);
    for (std::int64_t off = range.min; off < range.max + size; ++off) {
        StackSlot& slot = frame.slot(std::int32_t(off));
        const unsigned byte = byte_in_slot(off);
        if (slot.bytes[byte] == ByteKind::Spill) {
            slot.forget_spill();
        }
        slot.bytes[byte] = ByteKind::Misc;
    }
}

void clobber_all(Env& env, State& state) {
    for (unsigned f = 0; f < state.depth(); ++f) {
        Reg bottom = Reg::pointer(RegType::Stack);
        bottom.frame = std::uint8_t(f);
        bottom.off = -std::int32_t(state.frame(f).stack.size() * kSlotSize);
        clobber_stack(env, state, bottom, std::uint32_t(-bottom.off));
    }
}

} // namespace ebpfvm::verifier
