// Each slug asks for the origin of the value that is wrong; the rest is wording. Memory is
// explained in explain_memory.cpp, what ends paths and programs in explain_control.cpp.
#include "verifier/explain.hpp"

#include "verifier/explainer.hpp"

#include <algorithm>

namespace ebpfvm::verifier {

using isa::Shape;

std::string times(std::uint64_t number, std::string_view what) {
    return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

void Explainer::run() {
    if (!history_.empty()) {
        explain_values();
    }
    explain_program();
    if (!history_.empty()) {
        choose_branches();
    }
    if (is_joined()) {
        note("states of all paths were joined, so that there is no single path to show; --strategy "
             "prune "
             "shows one");
    }
}

void Explainer::explain_values() {
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
        explain_pointer(is_call() ? stack_pointer() : pointer_operand());
        return;
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
void Explainer::explain_program() {
    switch (out_.slug) {
    case Slug::HelperNotAllowed:
        return explain_helper_types();
    case Slug::StackTooLarge:
        return explain_stack_use();
    case Slug::CallDepth:
        return explain_depth();
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

const Reg& Explainer::reg(std::uint32_t number) const {
    return state().reg(number < kRegCount ? number : 0);
}

Place Explainer::place(std::uint32_t number) const {
    return {.frame = state().depth() - 1, .index = number};
}

Origin Explainer::origin_of(std::uint32_t number) const {
    return find_origin(history_, place(number), history_.end());
}

bool Explainer::is_call() const {
    return step().shape == Shape::CallHelper || step().shape == Shape::CallKfunc;
}

std::uint32_t Explainer::pointer_operand() const {
    return step().shape == Shape::Load || step().shape == Shape::LoadAcquire ? step().src
           : culprit_ != Rejection::kNoReg                                   ? culprit_
                                                                             : step().dst;
}

void Explainer::note_at(std::size_t at, std::string text) {
    const std::uint32_t insn = words_.insn_of(at);
    const LineInfo* line = env_.code.program->line_of(insn);
    out_.notes.push_back({.text = std::move(text),
                          .insn = insn,
                          .where = line != nullptr ? std::optional(*line) : std::nullopt});
}

void Explainer::note_origin(const Origin& origin, std::string text) {
    if (is_joined() && origin.kind == OriginKind::Unknown) {
        return;
    }
    branches_.insert(branches_.end(), origin.branches.begin(), origin.branches.end());
    if (has_insn(origin.kind)) {
        note_at(origin.step, std::move(text));
    } else {
        note(std::move(text));
    }
}

bool Explainer::has_insn(OriginKind kind) {
    return kind != OriginKind::Unknown && kind != OriginKind::Entry && kind != OriginKind::NeverSet;
}

std::string Explainer::why_null(std::size_t at) const {
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

void Explainer::explain_null() {
    const Origin origin = origin_of(culprit_);
    if (origin.kind == OriginKind::Result &&
        history_.code(origin.step).shape == Shape::CallHelper) {
        note_origin(origin, fmt::format("r{} is {}: {}", culprit_, words_.source(origin),
                                        why_null(origin.step)));
    } else {
        note_origin(origin,
                    fmt::format("r{} is {}, and may be NULL", culprit_, words_.source(origin)));
    }
    const std::string name = has_insn(origin.kind) ? words_.variable(origin.step, "ptr") : "ptr";
    out_.help = fmt::format("check it before it is used: `if (!{}) {}`", name, words_.leave());
}

void Explainer::explain_origin(std::uint32_t number) {
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

void Explainer::explain_wrong_type() {
    const Origin origin = origin_of(culprit_);
    const auto source = words_.source(origin);
    if (origin.kind == OriginKind::Invalidated) {
        return explain_invalidated(origin);
    }
    const Reg& what = reg(culprit_);
    note_origin(origin, what.is_scalar() && what.var.is_constant()
                            ? fmt::format("r{} is {}", culprit_, source)
                            : fmt::format("r{} is {}, {}", culprit_, describe(what), source));
    if (out_.slug == Slug::InvalidMem && what.is_scalar() && origin.kind == OriginKind::Loaded) {
        out_.help = "if this is an address of kernel memory, read it with "
                    "bpf_probe_read_kernel(); else use a pointer the verifier knows";
    }
    if (is_call() && out_.slug == Slug::BadArg) {
        advise_argument();
    }
}

void Explainer::advise_argument() {
    const HelperProto* proto = step().proto;
    if (proto == nullptr || step().shape != Shape::CallHelper || culprit_ < 1 ||
        culprit_ > kMaxArgs) {
        return;
    }
    switch (proto->args[culprit_ - 1]) {
    case ArgType::ConstMapPtr:
        out_.help = fmt::format("pass the address of a map: `bpf_{}(&my_map, ...)`", proto->name);
        return;
    case ArgType::PtrToMapKey:
        out_.help = "pass the address of a variable that holds the key, not the key itself";
        return;
    case ArgType::PtrToMapValue:
        out_.help = "pass the address of a variable that holds the value, not the value itself";
        return;
    case ArgType::PtrToConstStr:
        out_.help = "pass a constant: `static const char text[] = \"...\";`";
        return;
    case ArgType::PtrToCtx:
        out_.help = "pass the context that the program got as its argument";
        return;
    default:
        return;
    }
}

void Explainer::explain_invalidated(const Origin& origin) {
    const Step& call = history_.code(origin.step);
    const std::string callee = words_.callee(origin.step);
    const bool moves =
        (call.proto != nullptr && has(call.proto->flags, HelperFlags::ChangesPacket)) ||
        call.shape == Shape::CallLocal;
    if (moves) {
        note_origin(origin, fmt::format("{} at {} may have moved the packet: every pointer into "
                                        "it from before is void",
                                        callee, words_.at(origin.step)));
        out_.help =
            fmt::format("read data and data_end again after {}, and compare them again", callee);
        return;
    }
    note_origin(origin, fmt::format("{} at {} took it back: r{} points to nothing since then",
                                    callee, words_.at(origin.step), culprit_));
    out_.help = fmt::format("do not use it after {}, and give it back once on every path", callee);
}

void Explainer::explain_arithmetic() {
    if (step().shape != Shape::AluReg && step().shape != Shape::AluImm) {
        return;
    }
    const bool dst_is_pointer = reg(step().dst).is_pointer();
    const unsigned pointer = dst_is_pointer ? step().dst : step().src;
    const unsigned number = dst_is_pointer ? step().src : step().dst;
    note_type(pointer);
    if (step().shape == Shape::AluReg && reg(number).is_pointer() && number != pointer) {
        note_type(number);
        out_.help = "only numbers can be added to a pointer";
    }
    if (step().shape != Shape::AluReg || !reg(number).is_scalar()) {
        return;
    }
    note_number(history_.end(), place(number), fmt::format("r{}", number));
    if (out_.slug == Slug::UnboundedOffset && reg(number).is_constant()) {
        out_.help = "pointers are moved by less than 2^29 bytes";
    } else if (out_.slug == Slug::UnboundedOffset) {
        advise_bound(number_name_);
    }
}

void Explainer::note_type(std::uint32_t number) {
    const Origin origin = origin_of(number);
    note_origin(origin,
                fmt::format("r{} is {}, {}", number, describe(reg(number)), words_.source(origin)));
}

void Explainer::advise_bound(const std::string& name) {
    const Scalar& number = number_;
    if (number.s64.min < 0 && number.s64.max < INT64_MAX) {
        out_.help = fmt::format("it may be negative: make `{}` unsigned, or check it from below "
                                "too: `if ({} < 0) {}`",
                                name, name, words_.leave());
    } else {
        out_.help = fmt::format("bound it before it is added: `if ({} > MAX) {}`, with an "
                                "unsigned comparison",
                                name, words_.leave());
    }
}

// "<what> is 0..65535: read from the packet at insn 7"; remembers its range and name.
void Explainer::note_number(std::size_t before, const Place& where, std::string_view what) {
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
    if (is_call() && before == history_.end() && !where.is_slot) {
        const std::string argument = words_.argument(out_.insn, where.index);
        number_name_ = argument.empty() ? "size" : argument;
    }
    if (number_name_.empty()) {
        number_name_ = "index";
    }
    const std::string range = value->var.is_constant()
                                  ? fmt::format("{} is {}", what, describe(value->var))
                                  : fmt::format("{} may be {}", what, describe(value->var));
    note_origin(origin, fmt::format("{}: {}", range, words_.source(origin)));
}

// The branches that matter to the culprit, else the last ones.
void Explainer::choose_branches() {
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

void explain(const History& history, Diagnostic& diagnostic) {
    Explainer(history, diagnostic).run();
}

} // namespace ebpfvm::verifier
