// From a program to Code: decoding, control flow, and per insn what its op means.
#include "verifier/code.hpp"

#include "prog/helper_access.hpp"
#include "prog/helper_protos.hpp"
#include "prog/verify_ctx.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <array>

namespace ebpfvm::verifier {
namespace {

using isa::Op;
using isa::Shape;
using isa::Width;

// What the op says beyond its shape; one case per row of the table.
void describe(Op op, Step& step) {
    switch (op) {
#define EBPFVM_ALU(name, ...)                                                                      \
    case Op::name##32Imm:                                                                          \
    case Op::name##32Reg:                                                                          \
        step.alu = isa::AluOp::name;                                                               \
        step.width = Width::W32;                                                                   \
        return;                                                                                    \
    case Op::name##64Imm:                                                                          \
    case Op::name##64Reg:                                                                          \
        step.alu = isa::AluOp::name;                                                               \
        return;
#define EBPFVM_JMP(name, ...)                                                                      \
    case Op::name##32Imm:                                                                          \
    case Op::name##32Reg:                                                                          \
        step.jmp = isa::JmpOp::name;                                                               \
        step.width = Width::W32;                                                                   \
        return;                                                                                    \
    case Op::name##64Imm:                                                                          \
    case Op::name##64Reg:                                                                          \
        step.jmp = isa::JmpOp::name;                                                               \
        return;
#define EBPFVM_NEG(name, ...)                                                                      \
    case Op::name##32:                                                                             \
        step.width = Width::W32;                                                                   \
        return;                                                                                    \
    case Op::name##64:                                                                             \
        return;
#define EBPFVM_MOVSX(name, cls, bits, text)                                                        \
    case Op::name:                                                                                 \
        step.width = (cls) == 4 ? Width::W32 : Width::W64;                                         \
        step.size = (bits) / 8;                                                                    \
        step.sign_extends = true;                                                                  \
        return;
#define EBPFVM_SWAP(name, code, bits, text)                                                        \
    case Op::name:                                                                                 \
        step.size = (bits) / 8;                                                                    \
        step.swaps = (code) != 0xd4;                                                               \
        return;
#define EBPFVM_LOAD(name, code, type, text)                                                        \
    case Op::name:                                                                                 \
        step.sign_extends = std::is_signed_v<type>;                                                \
        return;
#define EBPFVM_STORE(name, ...)                                                                    \
    case Op::name##Imm:                                                                            \
    case Op::name##Reg:                                                                            \
        return;
#define EBPFVM_ATOMIC(name, ...)                                                                   \
    case Op::name##32:                                                                             \
    case Op::name##64:                                                                             \
        return;
#define EBPFVM_ATOMIC_FETCH EBPFVM_ATOMIC
#define EBPFVM_LOAD_ACQUIRE EBPFVM_LOAD
#define EBPFVM_STORE_RELEASE EBPFVM_LDDW
#define EBPFVM_LDPKT(name, code, shape, type, text)                                                \
    case Op::name:                                                                                 \
        step.size = sizeof(type);                                                                  \
        return;
#define EBPFVM_LDDW(name, ...)                                                                     \
    case Op::name:                                                                                 \
        return;
#define EBPFVM_CONTROL EBPFVM_LDDW
#include "ebpfvm/tables/insn.def"
    }
    std::unreachable();
}

// What is the same for every insn of an op.
const Step& common_step(Op op) {
    static const auto kSteps = [] {
        std::array<Step, isa::kOpCount> steps;
        for (unsigned i = 0; i < isa::kOpCount; ++i) {
            steps[i].op = Op(i);
            steps[i].shape = isa::shape_of(Op(i));
            steps[i].size = isa::access_bytes(Op(i));
            describe(Op(i), steps[i]);
        }
        return steps;
    }();
    return kSteps[unsigned(op)];
}

// The kernel's, else the host's; nullptr if there is none.
const HelperProto* prototype_of(ProgType type, std::uint32_t id, const VerifierOptions& options) {
    if (const HelperProto* proto = prog::helper_proto(type, id)) {
        return proto;
    }
    const Helper* helper = options.helpers != nullptr ? options.helpers->find(id) : nullptr;
    return helper != nullptr ? &helper->proto : nullptr;
}

unsigned arity_of(const HelperProto* proto) {
    if (proto == nullptr) {
        return kMaxArgs;
    }
    unsigned count = 0;
    while (count < kMaxArgs && proto->args[count] != ArgType::None) {
        ++count;
    }
    return count;
}

std::vector<std::uint32_t> function_entries(const Program& program) {
    std::vector<std::uint32_t> entries;
    for (const Subprog& subprog : program.subprogs) {
        entries.push_back(subprog.insn);
    }
    return entries;
}

bool names_ctx(const Program& program, std::string_view pointee) {
    switch (program.type) {
    case ProgType::Kprobe:
    case ProgType::PerfEvent:
        if (pointee == "pt_regs" || pointee == "bpf_user_pt_regs_t") {
            return true;
        }
        break;
    case ProgType::RawTracepoint:
    case ProgType::RawTracepointWritable:
        return pointee == "bpf_raw_tracepoint_args";
    default: // the layout has the name
        break;
    }
    const auto layout = prog::ctx_layout(program.type, program.attach_type);
    return layout != nullptr && layout->name == pointee;
}

void add_subprogs(const isa::DecodedProgram& decoded, const Program& program, Code& code) {
    for (std::size_t i = 0; i < decoded.subprogs.size(); ++i) {
        SubprogInfo info{.first = decoded.subprogs[i]};
        info.end = i + 1 < decoded.subprogs.size() ? decoded.subprogs[i + 1]
                                                   : std::uint32_t(decoded.insns.size());
        const auto source = std::ranges::find(program.subprogs, info.first, &Subprog::insn);
        if (source != program.subprogs.end()) {
            info.source = &*source;
            info.is_global = source->is_global && i > 0;
            info.params = source->params;
            for (SubprogParam& param : info.params) {
                param.is_ctx |= param.is_pointer && names_ctx(program, param.pointee);
            }
        }
        code.subprogs.push_back(info);
    }
}

void add_maps(const Object& object, Code& code) {
    for (const MapSpec& spec : object.maps()) {
        code.maps.push_back(&spec);
    }
    code.inner.assign(code.maps.size(), cfg::kNone);
    for (std::size_t i = 0; i < object.maps().size(); ++i) {
        if (const MapSpec* inner = object.maps()[i].inner.get()) {
            code.inner[i] = std::uint32_t(code.maps.size());
            code.maps.push_back(inner);
            code.inner.push_back(cfg::kNone);
        }
    }
}

void find_callee(const Code& code, const VerifierOptions& options, Step& step) {
    const Program& program = *code.program;
    if (step.shape == Shape::CallHelper) {
        const auto id = std::uint32_t(step.imm);
        step.proto = prototype_of(program.type, id, options);
        step.is_offered = uapi_helper(id) == nullptr || // the host's
                          prog::helper_allowed(program.type, program.attach_type, id);
    } else if (step.shape == Shape::CallKfunc && options.helpers != nullptr) {
        const Helper* host = options.helpers->find(code.extern_name(step));
        step.proto = host != nullptr ? &host->proto : nullptr;
    }
}

void add_steps(const isa::DecodedProgram& decoded, const VerifierOptions& options, Code& code) {
    code.steps.resize(decoded.insns.size());
    for (std::uint32_t at = 0; at < decoded.insns.size(); at += decoded.insns[at].slots) {
        const isa::Decoded& insn = decoded.insns[at];
        const cfg::BasicBlock& block = code.cfg.block(at);
        Step& step = code.steps[at];
        step = common_step(insn.op);
        step.dst = insn.dst;
        step.src = insn.src;
        step.off = insn.off;
        step.next = at + insn.slots;
        step.live = code.cfg.live[at];
        step.imm = step.shape == Shape::Lddw ? insn.imm64() : std::uint64_t(std::int64_t(insn.imm));
        if (isa::is_jump(step.shape) || step.shape == Shape::CallLocal || insn.op == Op::LddwFunc) {
            step.target = std::uint32_t(isa::target_of(insn, at));
        }
        if (block.first == at) {
            step.is_prune_point = true;
            step.is_loop_head = block.is_loop_head;
            step.is_merge = block.predecessors > 1 || block.is_loop_head;
        }
        find_callee(code, options, step);
    }
    for (const std::uint32_t at : decoded.frame_pointer_writes) {
        code.steps[at].writes_frame_pointer = true;
    }
}

bool calls_back(const Step& step) {
    return step.shape == Shape::CallHelper && step.proto != nullptr &&
           std::ranges::find(step.proto->args, ArgType::PtrToFunc) != step.proto->args.end();
}

// Where a called function returns to, paths meet that went through it differently.
void mark_returns(Code& code) {
    for (std::uint32_t at = 0; at < code.steps.size(); ++at) {
        const Step& step = code.steps[at];
        if (step.next == 0) {
            continue;
        }
        if (step.shape == Shape::CallLocal && step.next < code.steps.size()) {
            code.steps[step.next].is_prune_point = true;
            code.steps[step.next].is_merge = true;
        }
        if (step.shape == Shape::MayGoto || calls_back(step)) {
            code.steps[at].is_prune_point = true;
            code.steps[at].is_merge = true;
            code.steps[at].ends_by_itself = true;
        }
    }
}

// Subprograms that may move the packet, themselves or by what they call.
void find_packet_changes(Code& code) {
    for (bool changed = true; changed;) {
        changed = false;
        for (SubprogInfo& subprog : code.subprogs) {
            for (std::uint32_t at = subprog.first; at < subprog.end && !subprog.changes_packet;
                 ++at) {
                const Step& step = code.steps[at];
                bool changes = false;
                if (step.proto != nullptr) {
                    const bool is_tail_call =
                        step.shape == Shape::CallHelper && step.imm == kTailCallId;
                    changes = is_tail_call || // what it runs may
                              has(step.proto->flags, HelperFlags::ChangesPacket);
                } else if (step.next != 0 &&
                           (step.shape == Shape::CallLocal || step.op == Op::LddwFunc)) {
                    changes = code.subprogs[code.subprog_at(step.target)].changes_packet;
                }
                if (changes) {
                    subprog.changes_packet = changed = true;
                }
            }
        }
    }
}

} // namespace

std::string_view Code::extern_name(const Step& step) const {
    const auto& externs = object->externs();
    const std::size_t index = std::uint32_t(step.imm);
    return index < externs.size() ? std::string_view(externs[index].name) : "";
}

Expected<Code> prepare(const Object& object, const Program& program,
                       const VerifierOptions& options) {
    TRY_ASSIGN(const isa::DecodedProgram decoded,
               isa::decode_program(program.insns, function_entries(program)));
    Code code;
    code.object = &object;
    code.program = &program;
    code.allow_uninit_stack = options.allow_uninit_stack;
    code.cfg = cfg::build_cfg(decoded, [&](const isa::Decoded& insn) {
        return insn.op == Op::CallHelper
                   ? arity_of(prototype_of(program.type, std::uint32_t(insn.imm), options))
                   : kMaxArgs;
    });
    add_subprogs(decoded, program, code);
    add_maps(object, code);
    add_steps(decoded, options, code);
    mark_returns(code);
    find_packet_changes(code);
    for (Step& step : code.steps) {
        if (step.is_prune_point) {
            step.prune_index = code.prune_points++;
        }
    }
    return code;
}

} // namespace ebpfvm::verifier
