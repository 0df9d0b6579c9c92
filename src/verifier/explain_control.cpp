// What must be done before a path ends, loops, calls, and the program as a whole.
#include "prog/helper_access.hpp"
#include "verifier/explainer.hpp"

#include <algorithm>
#include <array>

namespace ebpfvm::verifier {

using isa::Shape;

void Explainer::explain_stack_use() {
    for (std::size_t i = 0; i < env_.stack_depth.size(); ++i) {
        if (env_.stack_depth[i] > 0) {
            note(fmt::format("{} uses {} of stack", words_.function(std::uint32_t(i)),
                             times(env_.stack_depth[i], "byte")));
        }
    }
}

void Explainer::explain_return() {
    const Origin origin = origin_of(0);
    const ProgType type = env_.code.program->type;
    if (type == ProgType::CgroupSkb || type == ProgType::CgroupSock ||
        type == ProgType::CgroupSockAddr || type == ProgType::CgroupDevice ||
        type == ProgType::CgroupSysctl || type == ProgType::CgroupSockopt) {
        out_.help = "return 1 to allow, 0 to deny";
    }
    if (reg(0).is_scalar()) {
        note_number(history_.end(), place(0), "r0");
        const std::uint64_t value = reg(0).var.u64.max;
        if (reg(0).is_constant() && value <= UINT32_MAX && value > INT32_MAX) {
            note(fmt::format("as a 32-bit number that is {}", std::int32_t(std::uint32_t(value))));
        }
    } else {
        note_origin(origin, fmt::format("r0 is {}, {}", describe(reg(0)), words_.source(origin)));
    }
}

void Explainer::explain_reference() {
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

void Explainer::advise_release(std::size_t at) {
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
        out_.help = fmt::format("release the socket on this path too: `bpf_sk_release({});` before "
                                "the return",
                                name);
        return;
    default:
        return;
    }
}

void Explainer::explain_lock() {
    for (std::size_t at = history_.end(); at-- > history_.first();) {
        const Step& call = history_.code(at);
        if (call.shape == Shape::CallHelper && HelperId(call.imm) == HelperId::spin_lock &&
            state().lock.is_held()) {
            note_at(at, fmt::format("the lock was taken at {}", words_.at(at)));
            out_.help = out_.slug == Slug::CallInLock
                            ? "do it before bpf_spin_lock() or after bpf_spin_unlock()"
                            : "call bpf_spin_unlock() on this path too";
            return;
        }
    }
}

void Explainer::explain_loop() {
    std::vector<std::uint32_t> visits(env_.code.steps.size());
    for (const TraceEntry& entry : env_.path.trace()) {
        ++visits[entry.insn];
    }
    std::uint32_t head = out_.insn;
    if (out_.slug == Slug::TooManyInsns) {
        head = 0;
        for (std::uint32_t i = 0; i < visits.size(); ++i) {
            if (env_.code.steps[i].is_loop_head && visits[i] > visits[head]) {
                head = i;
            }
        }
    }
    if (visits[head] < 2 && out_.slug == Slug::TooManyInsns) {
        return;
    }
    const std::uint32_t end = back_edge(head);
    const LineInfo* line = env_.code.program->line_of(end);
    const auto where = line != nullptr ? std::optional(*line) : std::nullopt;
    out_.notes.push_back(
        {.text =
             fmt::format("the loop from {} to {} was gone through {} on this path",
                         words_.at_insn(head), words_.at_insn(end), times(visits[head], "time")),
         .insn = end,
         .where = where});
    if (out_.slug == Slug::TooManyInsns) { // where the budget ran out is chance
        out_.insn = end;
        out_.where = where;
        out_.insn_text = disassemble_at(env_.code.program->insns, end);
    }
    explain_condition(end);
    keep_branches_of(head, end);
}

// The insn that jumped back to the head last; the head itself if none did.
std::uint32_t Explainer::back_edge(std::uint32_t head) const {
    const auto& trace = env_.path.trace();
    for (std::size_t i = trace.size(); i-- > 1;) {
        if (trace[i].insn == head && trace[i - 1].insn >= head) {
            return trace[i - 1].insn;
        }
    }
    return trace.empty() ? head : std::max(head, trace.back().insn);
}

// What the loop's end depends on, if it is compared with something unbounded.
void Explainer::explain_condition(std::uint32_t insn) {
    if (env_.code.steps[insn].shape != Shape::JmpReg) {
        return;
    }
    for (std::size_t at = history_.first(); at < history_.end(); ++at) { // as it began
        if (history_.entry(at).insn != insn) {
            continue;
        }
        const unsigned limit = history_.code(at).src;
        const Reg& value = history_.before(at).reg(limit);
        if (!value.is_scalar() || value.var.is_constant()) {
            return;
        }
        note_number(at, {.frame = history_.before(at).depth() - 1, .index = limit},
                    fmt::format("it goes on until r{}, which", limit));
        out_.help = fmt::format("bound the number of turns: `if ({} > MAX) {}`, or use bpf_loop()",
                                number_name_, words_.leave());
        branches_.clear();
        return;
    }
}

// The last decision at each branch of the loop.
void Explainer::keep_branches_of(std::uint32_t head, std::uint32_t end) {
    std::vector<std::uint32_t> seen;
    for (std::size_t at = history_.end(); at-- > history_.first();) {
        const TraceEntry& entry = history_.entry(at);
        if ((entry.flags & TraceEntry::kBranch) != 0 && entry.insn >= head && entry.insn <= end &&
            std::ranges::find(seen, entry.insn) == seen.end()) {
            seen.push_back(entry.insn);
            branches_.push_back(at);
        }
    }
}

void Explainer::explain_depth() {
    if (history_.empty() || step().shape != Shape::CallLocal) {
        return;
    }
    const std::uint32_t callee = env_.code.subprog_at(step().target);
    for (unsigned i = 0; i < state().depth(); ++i) {
        if (state().frame(i).subprog == callee) {
            note(fmt::format("{} is being executed already: this is recursion, which is never "
                             "allowed, however deep",
                             words_.function(callee)));
            out_.help = "rewrite the recursion as a loop with a limit";
            return;
        }
    }
}

void Explainer::explain_helper_types() {
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

} // namespace ebpfvm::verifier
