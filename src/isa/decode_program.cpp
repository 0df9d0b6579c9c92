// The structure of a whole program: jump targets, subprograms, how each subprogram ends.
#include "isa/decode.hpp"
#include "support/try.hpp"

#include <algorithm>

namespace ebpfvm::isa {
namespace {

bool writes_dst(Shape shape) {
    switch (shape) {
    case Shape::AluImm:
    case Shape::AluReg:
    case Shape::Neg:
    case Shape::Movsx:
    case Shape::Swap:
    case Shape::Load:
    case Shape::LoadAcquire:
    case Shape::Lddw:
    case Shape::AddrSpaceCast:
        return true;
    case Shape::JmpImm:
    case Shape::JmpReg:
    case Shape::StoreImm:
    case Shape::StoreReg:
    case Shape::Atomic:
    case Shape::AtomicFetch:
    case Shape::StoreRelease:
    case Shape::LdAbs:
    case Shape::LdInd:
    case Shape::Ja:
    case Shape::Jal:
    case Shape::MayGoto:
    case Shape::CallHelper:
    case Shape::CallLocal:
    case Shape::CallKfunc:
    case Shape::Callx:
    case Shape::CallxImm:
    case Shape::Exit:
        return false;
    }
    std::unreachable();
}

bool writes_frame_pointer(const Decoded& insn) {
    const Shape shape = shape_of(insn.op);
    if (shape == Shape::AtomicFetch) { // the old value comes back in src; cmpxchg's in r0
        return insn.src == kFramePointer && !is_cmpxchg(insn.op);
    }
    return writes_dst(shape) && insn.dst == kFramePointer;
}

// Where each insn starts: false for the second slot of an lddw.
using Starts = std::vector<bool>;

Expected<Starts> decode_all(std::span<const Insn> insns, DecodedProgram& program) {
    Starts starts(insns.size(), true);
    std::vector<Decoded>& out = program.insns;
    out.reserve(insns.size());
    for (std::size_t i = 0; i < insns.size(); ++i) {
        TRY_ASSIGN(const Decoded insn, decode(insns, i));
        if (writes_frame_pointer(insn)) {
            program.frame_pointer_writes.push_back(std::uint32_t(i));
        }
        out.push_back(insn);
        if (insn.slots == 2) {
            starts[++i] = false;
            out.push_back(insn);
        }
    }
    return starts;
}

Expected<std::uint32_t> check_target(std::int64_t target, std::size_t from, const Starts& starts,
                                     std::string_view what) {
    if (target < 0 || std::uint64_t(target) >= starts.size()) {
        return fail(Errc::InvalidInsn, "insn {}: {} to {} is outside the program (0 to {})", from,
                    what, target, starts.size() - 1);
    }
    if (!starts[std::size_t(target)]) {
        return fail(Errc::InvalidInsn, "insn {}: {} to {} lands in the middle of a lddw", from,
                    what, target);
    }
    return std::uint32_t(target);
}

Expected<std::vector<std::uint32_t>> find_subprogs(const DecodedProgram& program,
                                                   const Starts& starts,
                                                   std::span<const std::uint32_t> extra) {
    std::vector<std::uint32_t> entries{0};
    for (const std::uint32_t entry : extra) {
        TRY_ASSIGN(const auto target, check_target(entry, entry, starts, "subprogram entry"));
        entries.push_back(target);
    }
    for (std::size_t i = 0; i < program.insns.size(); ++i) {
        const Decoded& insn = program.insns[i];
        if (!starts[i] || (insn.op != Op::CallLocal && insn.op != Op::LddwFunc)) {
            continue;
        }
        const auto what = insn.op == Op::CallLocal ? "call" : "function address";
        TRY_ASSIGN(const auto target, check_target(target_of(insn, i), i, starts, what));
        entries.push_back(target);
    }
    std::ranges::sort(entries);
    entries.erase(std::ranges::unique(entries).begin(), entries.end());
    return entries;
}

// Can control get from `begin` to `wanted`? All jump targets of the subprogram are known to be
// good.
bool is_reachable(const DecodedProgram& program, std::size_t begin, std::size_t wanted) {
    std::vector<bool> seen(wanted + 1, false); // nothing behind the last insn matters
    std::vector<std::size_t> open{begin};
    while (!open.empty()) {
        const std::size_t at = open.back();
        open.pop_back();
        if (seen[at - begin]) {
            continue;
        }
        seen[at - begin] = true;
        const Decoded& insn = program.insns[at];
        const bool goes_on = insn.op != Op::Exit && insn.op != Op::Ja && insn.op != Op::Jal;
        if (goes_on && at < wanted) {
            open.push_back(at + insn.slots);
        }
        if (is_jump(shape_of(insn.op))) {
            open.push_back(std::size_t(target_of(insn, at)));
        }
    }
    return seen[wanted - begin];
}

Expected<void> check_subprog(const DecodedProgram& program, const Starts& starts,
                             std::uint32_t begin, std::uint32_t end) {
    std::size_t last = begin;
    for (std::size_t i = begin; i < end; ++i) {
        if (!starts[i]) {
            continue;
        }
        last = i;
        const Decoded& insn = program.insns[i];
        if (!is_jump(shape_of(insn.op))) {
            continue;
        }
        TRY_ASSIGN(const auto target, check_target(target_of(insn, i), i, starts, "jump"));
        if (target < begin || target >= end) {
            return fail(Errc::InvalidInsn, "insn {}: jump to {} leaves its subprogram ({} to {})",
                        i, target, begin, end - 1);
        }
    }
    const Op op = program.insns[last].op;
    if (op != Op::Exit && op != Op::Ja && op != Op::Jal && is_reachable(program, begin, last)) {
        return fail(Errc::InvalidInsn, "insn {}: last insn is not an exit or jump", last);
    }
    return {};
}

} // namespace

Expected<DecodedProgram> decode_program(std::span<const Insn> insns,
                                        std::span<const std::uint32_t> extra_entries) {
    if (insns.empty()) {
        return fail(Errc::InvalidInsn, "program has no insns");
    }
    if (insns.size() > kMaxInsns) {
        return fail(Errc::LimitExceeded, "program has {} insns, at most {} are allowed",
                    insns.size(), kMaxInsns);
    }
    DecodedProgram program;
    TRY_ASSIGN(const Starts starts, decode_all(insns, program));
    TRY_ASSIGN(program.subprogs, find_subprogs(program, starts, extra_entries));
    for (std::size_t i = 0; i < program.subprogs.size(); ++i) {
        const auto end =
            i + 1 < program.subprogs.size() ? program.subprogs[i + 1] : std::uint32_t(insns.size());
        TRY(check_subprog(program, starts, program.subprogs[i], end));
    }
    return program;
}

} // namespace ebpfvm::isa
