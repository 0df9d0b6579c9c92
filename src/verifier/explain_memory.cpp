// Accesses outside of memory: where the pointer came from, what was added to it, which values fit.
#include "verifier/explainer.hpp"

#include <algorithm>
#include <bit>

namespace ebpfvm::verifier {

using isa::Shape;

// The access that was refused, behind the pointer.
MemAccess Explainer::access() const {
    if (!is_call()) {
        return {.off = step().off, .size = std::max<std::uint32_t>(step().size, 1)};
    }
    if (culprit_ + 1 < kRegCount && reg(culprit_ + 1).is_scalar()) {
        return {.off = 0,
                .size = std::uint32_t(
                    std::min<std::uint64_t>(reg(culprit_ + 1).var.u64.max, UINT32_MAX))};
    }
    return {.off = 0, .size = 1};
}

// What the pointer points to, and the numbers added to it.
Origin Explainer::explain_pointer(std::uint32_t number) {
    const Origin origin = origin_of(number);
    const Reg& pointer = reg(number);
    if (pointer.type == RegType::MapValue) {
        const MapSpec& map = env_.map(pointer);
        const std::string place = words_.map_place(pointer, pointer.off);
        const bool is_global = place.starts_with("the global");
        note_origin(origin,
                    is_global ? fmt::format("r{} points to {}, in map \"{}\" ({})", number, place,
                                            map.name, times(map.value_size, "byte"))
                              : fmt::format("r{} points into a value of {} ({}): {}", number, place,
                                            times(map.value_size, "byte"), words_.source(origin)));
    } else if (pointer.type == RegType::Stack) {
        branches_.insert(branches_.end(), origin.branches.begin(), origin.branches.end());
    } else if (pointer.is_packet()) {
        note_origin(origin,
                    fmt::format("r{} points into the packet: {}", number, words_.source(origin)));
    } else {
        note_origin(origin,
                    fmt::format("r{} is {}, {}", number, describe(pointer), words_.source(origin)));
    }
    for (const Origin::Offset& offset : origin.offsets) {
        note_number(offset.step, offset.place,
                    fmt::format("the number that {} adds", words_.at(offset.step)));
    }
    return origin;
}

void Explainer::explain_packet() {
    const Reg& pointer = reg(culprit_);
    if (!pointer.is_packet()) {
        return;
    }
    const Origin origin = explain_pointer(culprit_);
    const bool is_meta = pointer.type == RegType::PacketMeta;
    const std::string_view end = is_meta ? "data" : "data_end";
    const bool is_proof_older = !origin.branches.empty() && !origin.offsets.empty() &&
                                origin.branches.front() < origin.offsets.front().step;
    if (origin.branches.empty()) {
        note_no_proof(end);
    } else if (is_proof_older) {
        note_at(origin.branches.front(),
                fmt::format("the comparison at {} is older than the addition at {}: it says "
                            "nothing about where the sum points",
                            words_.at(origin.branches.front()),
                            words_.at(origin.offsets.front().step)));
    } else {
        const std::uint32_t proved = pointer.aux >= kBeyondPacketEnd ? 0 : pointer.aux;
        note_at(origin.branches.front(),
                fmt::format("{} proved by the comparison at {}",
                            proved == 1 ? "1 byte is" : fmt::format("{} bytes are", proved),
                            words_.at(origin.branches.front())));
    }
    advise_packet(pointer, origin, end);
}

void Explainer::note_no_proof(std::string_view end) {
    if (is_joined()) {
        return;
    }
    for (std::size_t at = history_.end(); at-- > history_.first();) {
        const Step& jump = history_.code(at);
        if (jump.shape != Shape::JmpReg) {
            continue;
        }
        const Reg& dst = history_.before(at).reg(jump.dst);
        const Reg& src = history_.before(at).reg(jump.src);
        if ((dst.is_packet() && src.type == RegType::PacketEnd) ||
            (src.is_packet() && dst.type == RegType::PacketEnd)) {
            branches_.push_back(at);
            return note_at(at, fmt::format("the comparison with {} at {} proves no byte behind "
                                           "this pointer, the way it goes here",
                                           end, words_.at(at)));
        }
    }
    note(fmt::format("nothing was compared with {} on this path", end));
}

void Explainer::advise_packet(const Reg& pointer, const Origin& origin, std::string_view end) {
    const MemAccess what = access();
    const std::int64_t needed = std::int64_t{pointer.off} + what.off + what.size;
    if (std::int64_t{pointer.off} + what.off < 0 || pointer.var.s64.min < 0) {
        out_.help = "the access may begin before the packet: make the offset unsigned";
        return;
    }
    const bool is_meta = pointer.type == RegType::PacketMeta;
    if (pointer.var.is_constant()) {
        out_.help = fmt::format("compare first: `if ({} + {} > {}) {}`",
                                is_meta ? "data_meta" : "data", needed, end, words_.leave());
        return;
    }
    const std::string name =
        origin.offsets.empty() ? "ptr" : words_.variable(origin.offsets.front().step, "ptr");
    if (pointer.var.u64.max + std::uint64_t(needed) > std::uint64_t(kMaxPacketOffset)) {
        out_.help = fmt::format(
            "bound `{}` first, a comparison proves something only up to {}: `if ({} > {}) {}`; "
            "then compare the sum: `if ({} + {} > {}) {}`",
            number_name_, kMaxPacketOffset, number_name_, 1500, words_.leave(), name, needed, end,
            words_.leave());
        return;
    }
    out_.help = fmt::format("compare after the addition: `if ((void *){} + {} > {}) {}`", name,
                            needed, end, words_.leave());
}

// Memory of a fixed size: which indexes fit?
void Explainer::explain_limit(std::uint64_t size, std::string_view what) {
    explain_pointer(culprit_);
    const Reg& pointer = reg(culprit_);
    const MemAccess range = access();
    const std::int64_t fixed = std::int64_t{pointer.off} + range.off;
    const std::int64_t last = std::int64_t(size) - range.size - fixed;
    if (is_call() && culprit_ + 1 < kRegCount && has_size_arg()) {
        return explain_sized_call(std::int64_t(size) - pointer.off);
    }
    if (pointer.var.is_constant() || last < 0) {
        out_.help = fmt::format("the {} has {}: stay below that, or make it larger", what,
                                times(size, "byte"));
        return;
    }
    advise_index(pointer.var, last);
}

bool Explainer::has_size_arg() const {
    return step().shape == Shape::CallHelper && step().proto != nullptr &&
           step().proto->has_size_arg(culprit_ - 1);
}

// `last`: the largest offset at which the access still fits.
void Explainer::advise_index(const Scalar& offset, std::int64_t last) {
    const auto stride = std::uint64_t{1} << std::min(
                            std::countr_zero(offset.bits.mask | (std::uint64_t{1} << 62)), 62);
    const std::uint64_t count = std::uint64_t(last) / stride + 1;
    const std::string unit =
        stride == 1 ? std::string() : fmt::format(" (counted in steps of {} bytes)", stride);
    if (offset.s64.min < 0) {
        out_.help = fmt::format("it may be negative: make `{0}` unsigned, and check "
                                "`if ({0} >= {1}) {2}`{3}",
                                number_name_, count, words_.leave(), unit);
        return;
    }
    if (count == 1) { // the numbers lie too far apart for an index
        out_.help = fmt::format("see to it that at most {} is added", last);
        return;
    }
    if (offset.u64.max / stride == count) {
        note(fmt::format("off by one: 0..{} fit, but {} gets through{}", count - 1, count, unit));
    }
    out_.help = fmt::format("check it before the access: `if ({} >= {}) {}`{}", number_name_, count,
                            words_.leave(), unit);
}

void Explainer::explain_sized_call(std::int64_t available) {
    const std::uint32_t size = culprit_ + 1;
    note_number(history_.end(), place(size), fmt::format("r{}, the size,", size));
    if (available < 0) {
        return;
    }
    out_.help = reg(size).is_constant() ? fmt::format("pass a size of at most {}", available)
                                        : fmt::format("bound the size: `if ({} > {}) {}`",
                                                      number_name_, available, words_.leave());
}

void Explainer::explain_size() {
    note_number(history_.end(), place(culprit_), fmt::format("r{}", culprit_));
    const Reg& memory = reg(culprit_ - 1);
    const Scalar& size = reg(culprit_).var;
    std::string limit = "sizeof(buf)";
    if (memory.type == RegType::Stack && memory.var.is_constant()) {
        limit = fmt::format("{}", -memory.off);
    } else if (memory.type == RegType::MapValue && memory.var.is_constant()) {
        limit = fmt::format("{}", std::int64_t{env_.map(memory).value_size} - memory.off);
    }
    if (size.s64.min < 0 && size.s64.max < INT64_MAX) {
        out_.help = fmt::format("a signed number may be negative: make `{0}` unsigned, or check "
                                "`if ({0} < 0) {1}` as well",
                                number_name_, words_.leave());
    } else if (size.u64.min == 0 && size.s64.min >= 0 && size.u64.max <= 65536) {
        out_.help = fmt::format("this helper takes no empty memory: `if ({} == 0) {}`",
                                number_name_, words_.leave());
    } else {
        out_.help = fmt::format("bound it, unsigned: `if ({} > {}) {}`", number_name_, limit,
                                words_.leave());
    }
}

std::uint32_t Explainer::stack_pointer() const {
    if (culprit_ != Rejection::kNoReg) {
        return culprit_;
    }
    if (!is_call() && step().shape != Shape::CallLocal) {
        return pointer_operand();
    }
    for (std::uint32_t r = 1; r <= kMaxArgs; ++r) { // arguments are judged in order
        if (reg(r).type == RegType::Stack) {
            return r;
        }
    }
    return kFramePointer;
}

void Explainer::explain_stack() {
    const std::uint32_t number = stack_pointer();
    const Reg& pointer = reg(number);
    if (pointer.type != RegType::Stack) {
        return;
    }
    explain_pointer(number);
    const std::int64_t off =
        offset_range(pointer, is_call() || step().shape == Shape::CallLocal ? 0 : step().off).min;
    if (pointer.var.is_constant() && off < 0 && off < -std::int64_t{env_.options.max_stack}) {
        note(fmt::format("the variables of {} need at least {} bytes of stack",
                         words_.function(state().top().subprog), -off));
        out_.help = "move large variables into a map, for example a per-cpu array of one element";
        return;
    }
    if (is_call() && number + 1 < kRegCount && reg(number + 1).is_scalar() && off < 0) {
        culprit_ = number;
        return explain_sized_call(-off);
    }
    if (pointer.var.is_constant()) {
        out_.help = off < 0
                        ? fmt::format("only {} are left there: make the variable larger, or access "
                                      "less of it",
                                      times(std::uint64_t(-off), "byte"))
                        : std::string("the stack lies below r10: use negative offsets");
    } else {
        out_.help = fmt::format("check it before the access: `if ({} >= COUNT) {}`, with the "
                                "number of elements of the array",
                                number_name_, words_.leave());
    }
}

void Explainer::explain_uninit_stack() {
    if (!is_call()) {
        (void)explain_unwritten(stack_pointer(), access());
        return;
    }
    for (std::uint32_t r = 1; r <= kMaxArgs; ++r) { // which argument was it?
        if (explain_unwritten(r, {.off = 0, .size = kMaxSlots * kSlotSize})) {
            return;
        }
    }
}

// Names the first bytes behind the pointer that were never written, if there are any.
bool Explainer::explain_unwritten(std::uint32_t number, const MemAccess& range) {
    const Reg& pointer = reg(number);
    if (pointer.type != RegType::Stack) {
        return false;
    }
    const Frame& frame = state().frame(pointer.frame);
    const std::int64_t first = offset_range(pointer, range.off).min;
    std::int64_t begin = first;
    const std::int64_t end = std::min<std::int64_t>(first + range.size, 0);
    while (begin < end && is_written(frame, begin)) {
        ++begin;
    }
    std::int64_t behind = begin;
    while (behind < end && !is_written(frame, behind)) {
        ++behind;
    }
    if (begin >= end) {
        return false;
    }
    note(fmt::format("the bytes fp{}..fp{} were never written: a variable that is not set, or "
                     "padding between members",
                     begin, behind - 1));
    out_.help = "set all bytes of the variable first: `__builtin_memset(&key, 0, sizeof(key));`";
    return true;
}

bool Explainer::is_written(const Frame& frame, std::int64_t off) {
    const std::size_t index = Frame::slot_index(std::int32_t(off));
    return index < frame.stack.size() &&
           frame.stack[index].bytes[std::size_t(off + 512) % kSlotSize] != ByteKind::Invalid;
}

void Explainer::explain_read_only() {
    const std::uint32_t number = pointer_operand();
    if (is_call() || reg(number).type != RegType::MapValue) {
        return;
    }
    const Reg& pointer = reg(number);
    note(fmt::format("r{} points to {}, in a map that programs may only read", number,
                     words_.map_place(pointer, offset_range(pointer, step().off).min)));
    if (env_.map(pointer).frozen) {
        out_.help = "const variables keep the value they have when the program is loaded: drop "
                    "`const`, or change a copy";
    }
}

void Explainer::explain_ctx() {
    if (env_.ctx == nullptr || is_call()) {
        return;
    }
    const bool is_write = step().shape != Shape::Load;
    const std::int64_t begin = step().off;
    const std::int64_t end = begin + step().size;
    bool is_inside = false;
    for (const CtxField& field : env_.ctx->fields) {
        if (field.off >= end || std::int64_t{field.off} + field.size <= begin) {
            continue;
        }
        is_inside = true;
        const bool is_writable = field.access == Access::ReadWrite || field.access == Access::Write;
        note(
            fmt::format("bytes {} to {} of struct {} are `{}`{}", field.off,
                        field.off + field.size - 1, env_.ctx->name, field.name,
                        is_write && !is_writable ? ", which this program type may only read" : ""));
        out_.help = is_write && !is_writable
                        ? fmt::format("drop the write to ctx->{}{}", field.name, writable_fields())
                        : fmt::format("access ctx->{} as it is declared, {} at once", field.name,
                                      times(field.size, "byte"));
    }
    if (!is_inside) {
        note(fmt::format("struct {} has {}; programs of type {} have no field at {} to {}",
                         env_.ctx->name, times(env_.ctx->size, "byte"),
                         name_of(env_.code.program->type), begin, end - 1));
        out_.help = fmt::format("access fields of struct {} only, by their names", env_.ctx->name);
    }
}

std::string Explainer::writable_fields() const {
    std::string names;
    for (const CtxField& field : env_.ctx->fields) {
        if (field.access == Access::ReadWrite || field.access == Access::Write) {
            names += (names.empty() ? "" : ", ") + field.name;
        }
    }
    return names.empty() ? std::string() : fmt::format("; it may write {}", names);
}

} // namespace ebpfvm::verifier
