// Each slug asks for the origin of the value that is wrong; the rest is wording.
#include "verifier/explain.hpp"

#include "prog/helper_access.hpp"
#include "verifier/mem.hpp"
#include "verifier/words.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace ebpfvm::verifier {
namespace {

using isa::Shape;

constexpr std::int64_t kMaxOffset = 0xffff; // of a packet, as far as comparisons prove bytes

std::string times(std::uint64_t number, std::string_view what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

class Explainer {
  public:
    Explainer(const History& history, Diagnostic& out)
        : history_(history), env_(history.env()), words_(history), out_(out),
          culprit_(env_.rejection.culprit) {}

    void run() {
        if (!history_.empty()) {
            explain_values();
        }
        explain_program();
        if (!history_.empty()) {
            choose_branches();
        }
    }

  private:
    // What was known when the program was rejected.

    void explain_values() {
        switch (out_.slug) {
        case Slug::NullDeref:
        case Slug::NullArg:
        case Slug::NullArithmetic:
            return explain_null();
        case Slug::UninitReg:
            return explain_origin(culprit_);
        case Slug::ReturnUninit:
            return explain_origin(0);
        case Slug::UnboundedOffset:
        case Slug::PointerArithmetic:
            return explain_arithmetic();
        case Slug::InvalidMem:
        case Slug::BadArg:
        case Slug::CallArg:
        case Slug::ReleaseUnowned:
            return explain_wrong_type();
        case Slug::PacketOob:
            return explain_packet();
        case Slug::MapValueOob:
            return explain_limit(env_.map(reg(culprit_)).value_size, "value");
        case Slug::MemOob:
            return explain_limit(reg(culprit_).type == RegType::MapKey
                                     ? env_.map(reg(culprit_)).key_size
                                     : reg(culprit_).aux,
                                 "memory");
        case Slug::StackOob:
            return explain_stack();
        case Slug::StackUninit:
            return explain_uninit_stack();
        case Slug::Misaligned:
        case Slug::CtxModified:
            explain_pointer(pointer_operand());
            return;
        case Slug::SizeArg:
            return explain_size();
        case Slug::ReadOnly:
            return explain_read_only();
        case Slug::CtxOob:
            return explain_ctx();
        case Slug::ReturnRange:
            return explain_return();
        case Slug::UnreleasedRef:
            return explain_reference();
        case Slug::LockHeld:
        case Slug::CallInLock:
            return explain_lock();
        case Slug::InfiniteLoop:
        case Slug::TooManyInsns:
            return explain_loop();
        default: // the message says it all
            return;
        }
    }

    // What needs no state.
    void explain_program() {
        switch (out_.slug) {
        case Slug::HelperNotAllowed:
            return explain_helper_types();
        case Slug::StackTooLarge:
            return explain_stack_use();
        case Slug::Recursion:
            out_.message = fmt::format("recursive call of {}",
                                       words_.function(env_.code.subprog_at(step().target)));
            return;
        default:
            break;
        }
        if (info(out_.slug).kind == RejectKind::Unsupported) {
            note("this says nothing about safety: Linux may accept the program");
        }
    }

    // Access to what is known.

    const Step& step() const { return env_.code.steps[out_.insn]; }
    const State& state() const { return history_.last(); }
    const Reg& reg(std::uint32_t number) const {
        return state().reg(number < kRegCount ? number : 0);
    }
    Place place(std::uint32_t number) const {
        return {.frame = state().depth() - 1, .index = number};
    }
    Origin origin_of(std::uint32_t number) const {
        return find_origin(history_, place(number), history_.end());
    }
    bool is_call() const {
        return step().shape == Shape::CallHelper || step().shape == Shape::CallKfunc;
    }
    std::uint32_t pointer_operand() const {
        return step().shape == Shape::Load || step().shape == Shape::LoadAcquire ? step().src
               : culprit_ != Rejection::kNoReg                                   ? culprit_
                                                                                 : step().dst;
    }
    // The access that was refused, behind the pointer.
    MemAccess access() const {
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

    void note(std::string text) { out_.notes.push_back({.text = std::move(text)}); }
    void note_at(std::size_t at, std::string text) {
        const std::uint32_t insn = words_.insn_of(at);
        const LineInfo* line = env_.code.program->line_of(insn);
        out_.notes.push_back({.text = std::move(text),
                              .insn = insn,
                              .where = line != nullptr ? std::optional(*line) : std::nullopt});
    }
    void note_origin(const Origin& origin, std::string text) {
        branches_.insert(branches_.end(), origin.branches.begin(), origin.branches.end());
        if (has_insn(origin.kind)) {
            note_at(origin.step, std::move(text));
        } else {
            note(std::move(text));
        }
    }
    static bool has_insn(OriginKind kind) {
        return kind != OriginKind::Unknown && kind != OriginKind::Entry &&
               kind != OriginKind::NeverSet;
    }

    // Null.

    std::string why_null(std::size_t at) const {
        const Step& call = history_.code(at);
        switch (HelperId(call.imm)) {
        case HelperId::map_lookup_elem: {
            const Reg& map = history_.before(at).reg(1);
            return map.type == RegType::ConstMapPtr
                       ? fmt::format("NULL if map \"{}\" has no such key", env_.map(map).name)
                       : std::string("NULL if the map has no such key");
        }
        case HelperId::ringbuf_reserve:
            return "NULL if the ring buffer is full";
        case HelperId::sk_lookup_tcp:
        case HelperId::sk_lookup_udp:
        case HelperId::skc_lookup_tcp:
            return "NULL if there is no such socket";
        default: // any reason
            return "NULL if it fails";
        }
    }

    void explain_null() {
        const Origin origin = origin_of(culprit_);
        if (origin.kind == OriginKind::Result &&
            history_.code(origin.step).shape == Shape::CallHelper) {
            note_origin(origin, fmt::format("r{} is {}: {}", culprit_, words_.source(origin),
                                            why_null(origin.step)));
        } else {
            note_origin(origin,
                        fmt::format("r{} is {}, and may be NULL", culprit_, words_.source(origin)));
        }
        const std::string name =
            has_insn(origin.kind) ? words_.variable(origin.step, "ptr") : "ptr";
        out_.help = fmt::format("check it before it is used: `if (!{}) {}`", name, words_.leave());
    }

    // Registers that are not what they should be.

    void explain_origin(std::uint32_t number) {
        const Origin origin = origin_of(number);
        if (origin.kind == OriginKind::Lost) {
            note_origin(origin,
                        fmt::format("r{} was lost in the call of {} at {}: r1 to r5 do not "
                                    "survive calls",
                                    number, words_.callee(origin.step), words_.at(origin.step)));
            out_.help = "keep the value in r6 to r9, or on the stack, across the call";
            return;
        }
        if (origin.kind == OriginKind::Result) {
            note_origin(origin, fmt::format("{} at {} returns nothing", words_.callee(origin.step),
                                            words_.at(origin.step)));
            return;
        }
        note(fmt::format("r{} is not set by any insn on this path", number));
    }

    void explain_wrong_type() {
        const Origin origin = origin_of(culprit_);
        const auto source = words_.source(origin);
        if (origin.kind == OriginKind::Invalidated) {
            return explain_invalidated(origin);
        }
        const Reg& what = reg(culprit_);
        note_origin(origin, what.is_scalar() && what.var.is_constant()
                                ? fmt::format("r{} is {}", culprit_, source)
                                : fmt::format("r{} is {}, {}", culprit_, describe(what), source));
        if (out_.slug == Slug::InvalidMem && what.is_scalar() &&
            origin.kind == OriginKind::Loaded) {
            out_.help = "if this is an address of kernel memory, read it with "
                        "bpf_probe_read_kernel(); else use a pointer the verifier knows";
        }
        if (is_call() && out_.slug == Slug::BadArg) {
            advise_argument();
        }
    }

    void advise_argument() {
        const HelperProto* proto =
            prototype_of(env_.code.program->type, std::uint32_t(step().imm), env_.options);
        if (proto == nullptr || step().shape != Shape::CallHelper || culprit_ < 1 ||
            culprit_ > kMaxArgs) {
            return;
        }
        switch (proto->args[culprit_ - 1]) {
        case ArgType::ConstMapPtr:
            out_.help =
                fmt::format("pass the address of a map: `bpf_{}(&my_map, ...)`", proto->name);
            return;
        case ArgType::PtrToMapKey:
            out_.help = "pass the address of a variable that holds the key, not the key itself";
            return;
        case ArgType::PtrToMapValue:
            out_.help = "pass the address of a variable that holds the value, not the value itself";
            return;
        case ArgType::PtrToCtx:
            out_.help = "pass the context that the program got as its argument";
            return;
        default:
            return;
        }
    }

    void explain_invalidated(const Origin& origin) {
        const Step& call = history_.code(origin.step);
        const HelperProto* proto =
            call.shape != Shape::CallHelper
                ? nullptr
                : prototype_of(env_.code.program->type, std::uint32_t(call.imm), env_.options);
        const std::string callee = words_.callee(origin.step);
        const bool moves = (proto != nullptr && has(proto->flags, HelperFlags::ChangesPacket)) ||
                           call.shape == Shape::CallLocal;
        if (moves) {
            note_origin(origin,
                        fmt::format("{} at {} may have moved the packet: every pointer into "
                                    "it from before is void",
                                    callee, words_.at(origin.step)));
            out_.help = fmt::format("read data and data_end again after {}, and compare them again",
                                    callee);
            return;
        }
        note_origin(origin, fmt::format("{} at {} took it back: r{} points to nothing since then",
                                        callee, words_.at(origin.step), culprit_));
        out_.help =
            fmt::format("do not use it after {}, and give it back once on every path", callee);
    }

    // Arithmetic.

    void explain_arithmetic() {
        if (step().shape != Shape::AluReg && step().shape != Shape::AluImm) {
            return;
        }
        const bool dst_is_pointer = reg(step().dst).is_pointer();
        const unsigned pointer = dst_is_pointer ? step().dst : step().src;
        const unsigned number = dst_is_pointer ? step().src : step().dst;
        note_type(pointer);
        if (step().shape != Shape::AluReg || !reg(number).is_scalar()) {
            return;
        }
        note_number(history_.end(), place(number), fmt::format("r{}", number));
        if (out_.slug == Slug::UnboundedOffset) {
            advise_bound(number_name_);
        }
    }

    void note_type(std::uint32_t number) {
        const Origin origin = origin_of(number);
        note_origin(origin, fmt::format("r{} is {}, {}", number, describe(reg(number)),
                                        words_.source(origin)));
    }

    void advise_bound(const std::string& name) {
        const Scalar& number = number_;
        if (number.s64.min < 0 && number.s64.max < INT64_MAX) {
            out_.help =
                fmt::format("it may be negative: make `{}` unsigned, or check it from below "
                            "too: `if ({} < 0) {}`",
                            name, name, words_.leave());
        } else {
            out_.help = fmt::format("bound it before it is added: `if ({} > MAX) {}`, with an "
                                    "unsigned comparison",
                                    name, words_.leave());
        }
    }

    // "<what> is 0..65535: read from the packet at insn 7"; remembers its range and name.
    void note_number(std::size_t before, const Place& where, std::string_view what) {
        const Reg* value =
            value_at(before == history_.end() ? state() : history_.before(before), where);
        if (value == nullptr) {
            return;
        }
        number_ = value->var;
        const Origin origin = find_origin(history_, where, before);
        number_name_ = "index";
        if (origin.computed) {
            number_name_ = words_.variable(*origin.computed, "");
        }
        if ((number_name_.empty() || !origin.computed) && has_insn(origin.kind)) {
            number_name_ = words_.variable(origin.step, "index");
        }
        if (number_name_.empty()) {
            number_name_ = "index";
        }
        const std::string range = value->var.is_constant()
                                      ? fmt::format("{} is {}", what, describe(value->var))
                                      : fmt::format("{} may be {}", what, describe(value->var));
        note_origin(origin, fmt::format("{}: {}", range, words_.source(origin)));
    }

    // Pointers with offsets.

    // What the pointer points to, and the numbers added to it.
    Origin explain_pointer(std::uint32_t number) {
        const Origin origin = origin_of(number);
        const Reg& pointer = reg(number);
        if (pointer.type == RegType::MapValue) {
            const MapSpec& map = env_.map(pointer);
            note_origin(origin, fmt::format("r{} points into a value of map \"{}\" ({}): {}",
                                            number, map.name, times(map.value_size, "byte"),
                                            words_.source(origin)));
        } else if (pointer.type == RegType::Stack) {
            branches_.insert(branches_.end(), origin.branches.begin(), origin.branches.end());
        } else {
            note_origin(origin, fmt::format("r{} is {}, {}", number, describe(pointer),
                                            words_.source(origin)));
        }
        for (const Origin::Offset& offset : origin.offsets) {
            note_number(offset.step, offset.place,
                        fmt::format("the number that {} adds", words_.at(offset.step)));
        }
        return origin;
    }

    void explain_packet() {
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

    void note_no_proof(std::string_view end) {
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

    void advise_packet(const Reg& pointer, const Origin& origin, std::string_view end) {
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
        if (pointer.var.u64.max + std::uint64_t(needed) > std::uint64_t(kMaxOffset)) {
            out_.help = fmt::format(
                "bound `{}` first, a comparison proves something only up to {}: `if ({} > {}) {}`; "
                "then compare the sum: `if ({} + {} > {}) {}`",
                number_name_, kMaxOffset, number_name_, 1500, words_.leave(), name, needed, end,
                words_.leave());
            return;
        }
        out_.help = fmt::format("compare after the addition: `if ((void *){} + {} > {}) {}`", name,
                                needed, end, words_.leave());
    }

    // Memory of a fixed size: which indexes fit?
    void explain_limit(std::uint64_t size, std::string_view what) {
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

    bool has_size_arg() const {
        const HelperProto* proto =
            prototype_of(env_.code.program->type, std::uint32_t(step().imm), env_.options);
        return proto != nullptr && step().shape == Shape::CallHelper && culprit_ < kMaxArgs &&
               (proto->args[culprit_] == ArgType::ConstSize ||
                proto->args[culprit_] == ArgType::ConstSizeOrZero);
    }

    // `last`: the largest offset at which the access still fits.
    void advise_index(const Scalar& offset, std::int64_t last) {
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
        if (offset.u64.max / stride == count) {
            note(fmt::format("off by one: 0..{} fit, but {} gets through{}", count - 1, count,
                             unit));
        }
        out_.help = fmt::format("check it before the access: `if ({} >= {}) {}`{}", number_name_,
                                count, words_.leave(), unit);
    }

    void explain_sized_call(std::int64_t available) {
        const std::uint32_t size = culprit_ + 1;
        note_number(history_.end(), place(size), fmt::format("r{}, the size,", size));
        if (available < 0) {
            return;
        }
        out_.help = reg(size).is_constant() ? fmt::format("pass a size of at most {}", available)
                                            : fmt::format("bound the size: `if ({} > {}) {}`",
                                                          number_name_, available, words_.leave());
    }

    void explain_size() {
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
            out_.help =
                fmt::format("a signed number may be negative: make `{0}` unsigned, or check "
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

    // The stack.

    std::uint32_t stack_pointer() const {
        if (culprit_ != Rejection::kNoReg) {
            return culprit_;
        }
        if (!is_call()) {
            return pointer_operand();
        }
        for (std::uint32_t r = 1; r <= kMaxArgs; ++r) { // arguments are judged in order
            if (reg(r).type == RegType::Stack) {
                return r;
            }
        }
        return kFramePointer;
    }

    void explain_stack() {
        const std::uint32_t number = stack_pointer();
        const Reg& pointer = reg(number);
        if (pointer.type != RegType::Stack) {
            return;
        }
        explain_pointer(number);
        const std::int64_t off = offset_range(pointer, is_call() ? 0 : step().off).min;
        if (pointer.var.is_constant() && off < 0 && off < -std::int64_t{env_.options.max_stack}) {
            note(fmt::format("the variables of {} need at least {} bytes of stack",
                             words_.function(state().top().subprog), -off));
            out_.help =
                "move large variables into a map, for example a per-cpu array of one element";
            return;
        }
        if (is_call() && number + 1 < kRegCount && reg(number + 1).is_scalar() && off < 0) {
            culprit_ = number;
            return explain_sized_call(-off);
        }
        if (!pointer.var.is_constant()) {
            out_.help = fmt::format("check it before the access: `if ({} >= COUNT) {}`, with the "
                                    "number of elements of the array",
                                    number_name_, words_.leave());
        }
    }

    void explain_uninit_stack() {
        const std::uint32_t number = stack_pointer();
        const Reg& pointer = reg(number);
        if (pointer.type != RegType::Stack) {
            return;
        }
        const MemAccess range =
            is_call() ? MemAccess{.off = 0, .size = kMaxSlots * kSlotSize} : access();
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
        note(fmt::format("the bytes fp{}..fp{} were never written: a variable that is not set, or "
                         "padding between members",
                         begin, behind - 1));
        out_.help =
            "set all bytes of the variable first: `__builtin_memset(&key, 0, sizeof(key));`";
    }

    static bool is_written(const Frame& frame, std::int64_t off) {
        const std::size_t index = Frame::slot_index(std::int32_t(off));
        return index < frame.stack.size() &&
               frame.stack[index].bytes[std::size_t(off + 512) % kSlotSize] != ByteKind::Invalid;
    }

    void explain_stack_use() {
        for (std::size_t i = 0; i < env_.stack_depth.size(); ++i) {
            if (env_.stack_depth[i] > 0) {
                note(fmt::format("{} uses {} of stack", words_.function(std::uint32_t(i)),
                                 times(env_.stack_depth[i], "byte")));
            }
        }
    }

    // Memory that may not be written, contexts.

    void explain_read_only() {
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

    void explain_ctx() {
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
            const bool is_writable =
                field.access == Access::ReadWrite || field.access == Access::Write;
            note(fmt::format("bytes {} to {} of struct {} are `{}`{}", field.off,
                             field.off + field.size - 1, env_.ctx->name, field.name,
                             is_write && !is_writable ? ", which this program type may only read"
                                                      : ""));
            out_.help =
                is_write && !is_writable
                    ? fmt::format("drop the write to ctx->{}{}", field.name, writable_fields())
                    : fmt::format("access ctx->{} as it is declared, {} at once", field.name,
                                  times(field.size, "byte"));
        }
        if (!is_inside) {
            note(fmt::format("struct {} has {} here; bytes {} to {} are no field of it",
                             env_.ctx->name, times(env_.ctx->size, "byte"), begin, end - 1));
            out_.help =
                fmt::format("access fields of struct {} only, by their names", env_.ctx->name);
        }
    }

    std::string writable_fields() const {
        std::string names;
        for (const CtxField& field : env_.ctx->fields) {
            if (field.access == Access::ReadWrite || field.access == Access::Write) {
                names += (names.empty() ? "" : ", ") + field.name;
            }
        }
        return names.empty() ? std::string() : fmt::format("; it may write {}", names);
    }

    // Ends.

    void explain_return() {
        const Origin origin = origin_of(0);
        if (reg(0).is_scalar()) {
            note_number(history_.end(), place(0), "r0");
        } else {
            note_origin(origin,
                        fmt::format("r0 is {}, {}", describe(reg(0)), words_.source(origin)));
        }
    }

    void explain_reference() {
        if (state().refs.empty()) {
            return;
        }
        const Reference& held = state().refs.back();
        for (std::size_t at = history_.end(); at-- > history_.first();) {
            if (history_.entry(at).insn != held.insn) {
                continue;
            }
            note_at(at, fmt::format("acquired by {} at {}", words_.callee(at), words_.at(at)));
            advise_release(at);
            for (std::size_t i = at; i < history_.end(); ++i) {
                if ((history_.entry(i).flags & TraceEntry::kBranch) != 0) {
                    branches_.push_back(i);
                }
            }
            return;
        }
    }

    void advise_release(std::size_t at) {
        const std::string name = words_.variable(at, "ptr");
        switch (HelperId(history_.code(at).imm)) {
        case HelperId::ringbuf_reserve:
            out_.help =
                fmt::format("give the record back on this path too: `bpf_ringbuf_discard({}, 0);`"
                            " or bpf_ringbuf_submit() before the return",
                            name);
            return;
        case HelperId::sk_lookup_tcp:
        case HelperId::sk_lookup_udp:
        case HelperId::skc_lookup_tcp:
            out_.help =
                fmt::format("release the socket on this path too: `bpf_sk_release({});` before "
                            "the return",
                            name);
            return;
        default:
            return;
        }
    }

    void explain_lock() {
        for (std::size_t at = history_.end(); at-- > history_.first();) {
            const Step& call = history_.code(at);
            if (call.shape == Shape::CallHelper && HelperId(call.imm) == HelperId::spin_lock &&
                state().lock.is_held()) {
                note_at(at, fmt::format("the lock was taken at {}", words_.at(at)));
                out_.help = "call bpf_spin_unlock() before it";
                return;
            }
        }
    }

    // Loops.

    void explain_loop() {
        std::vector<std::uint32_t> visits(env_.code.steps.size());
        for (const TraceEntry& entry : env_.path.trace()) {
            ++visits[entry.insn];
        }
        std::uint32_t head = out_.insn;
        if (out_.slug == Slug::TooManyInsns) {
            for (std::uint32_t i = 0; i < visits.size(); ++i) {
                if (env_.code.steps[i].is_loop_head && visits[i] > visits[head]) {
                    head = i;
                }
            }
        }
        for (std::size_t at = history_.end(); at-- > history_.first();) {
            if (history_.entry(at).insn != head) {
                continue;
            }
            note_at(at, fmt::format("the loop begins at {}, and was gone through {} on this path",
                                    words_.at(at), times(visits[head], "time")));
            return;
        }
    }

    // Helpers.

    void explain_helper_types() {
        const std::uint32_t id = std::uint32_t(step().imm);
        std::string names;
        unsigned count = 0;
        constexpr std::array kTypes = {
#define EBPFVM_PROG_TYPE(name, number, text, ctx) ProgType::name,
#include "ebpfvm/tables/prog_types.def"
        };
        for (const ProgType type : kTypes) {
            if (prog::helper_allowed(type, 0, id)) {
                ++count;
                if (count <= 6) {
                    names += (names.empty() ? "" : ", ") + std::string(name_of(type));
                }
            }
        }
        if (count > 0) {
            note(fmt::format("it is there for programs of type {}{}", names,
                             count > 6 ? fmt::format(" and {} more", count - 6) : ""));
        }
    }

    // The branches that matter to the culprit, else the last ones.
    void choose_branches() {
        constexpr std::size_t kMaxRelevant = 5;
        constexpr std::size_t kMaxLast = 3;
        const bool has_relevant = !branches_.empty();
        std::ranges::sort(branches_);
        const auto again = std::ranges::unique(branches_);
        branches_.erase(again.begin(), again.end());
        if (branches_.size() > kMaxRelevant) {
            branches_.erase(branches_.begin(), branches_.end() - kMaxRelevant);
        }
        for (std::size_t at = history_.end();
             !has_relevant && branches_.size() < kMaxLast && at-- > history_.first();) {
            if ((history_.entry(at).flags & TraceEntry::kBranch) != 0) {
                branches_.push_back(at);
            }
        }
        std::ranges::sort(branches_);
        for (const std::size_t at : branches_) {
            const std::uint32_t insn = history_.entry(at).insn;
            const LineInfo* line = env_.code.program->line_of(insn);
            out_.path.push_back({.insn = insn,
                                 .taken = (history_.entry(at).flags & TraceEntry::kTaken) != 0,
                                 .text = disassemble_at(env_.code.program->insns, insn),
                                 .where = line != nullptr ? std::optional(*line) : std::nullopt});
        }
    }

    const History& history_;
    const Env& env_;
    Words words_;
    Diagnostic& out_;
    std::uint32_t culprit_;
    std::vector<std::size_t> branches_{};
    Scalar number_ = Scalar::unknown(); // of the last note_number()
    std::string number_name_ = "index";
};

} // namespace

void explain(const History& history, Diagnostic& diagnostic) {
    Explainer(history, diagnostic).run();
}

} // namespace ebpfvm::verifier
