// Contexts of tracing programs: registers, tracepoint records, arguments; and of the few types that
// fit nowhere else. x86-64. Kernel: kprobe_prog_is_valid_access, tp_prog_is_valid_access,
// pe_prog_is_valid_access, bpf_tracing_ctx_access, raw_tp_writable_prog_is_valid_access,
// syscall_prog_is_valid_access, nf_is_valid_access, lirc_mode2_is_valid_access. Tested by
// kernel/verify_ctx_test.cpp.
#include "prog/ctx_layouts.hpp"

namespace ebpfvm::prog {
namespace {

using enum CtxFieldKind;

constexpr std::uint32_t kRegsSize = 21 * 8; // struct pt_regs
constexpr std::uint32_t kMaxRecord = 8192;  // PERF_MAX_TRACE_SIZE
constexpr std::uint32_t kArgsSize = 12 * 8; // MAX_BPF_FUNC_ARGS
constexpr std::uint32_t kMaxSyscallCtx = 0xffff;

} // namespace

CtxLayoutPtr make_kprobe_ctx() {
    return share(bytes_layout("pt_regs", 0, kRegsSize, Access::Read));
}

// The record begins with a pointer that programs may not see.
CtxLayoutPtr make_tracepoint_ctx() {
    return share(bytes_layout("trace record", 8, kMaxRecord, Access::Read));
}

CtxLayoutPtr make_perf_event_ctx() {
    return share({.name = "bpf_perf_event_data",
                  .size = kRegsSize + 16,
                  .fields = to_fields({{"regs", 0, kRegsSize, kLong},
                                       {"sample_period", kRegsSize, 8, kToLong},
                                       {"addr", kRegsSize + 8, 8, kToLong}})});
}

CtxLayoutPtr make_raw_tracepoint_ctx() {
    return share(bytes_layout("bpf_raw_tracepoint_args", 0, kArgsSize, Access::Read));
}

// The kernel looks at loads that begin at 0 alone: the rest of the first argument is a number.
CtxLayoutPtr make_raw_tracepoint_writable_ctx() {
    return share({.name = "bpf_raw_tracepoint_args",
                  .size = kArgsSize,
                  .fields = to_fields({{"args[0]", 0, 8, kLong, 0, TpBuffer},
                                       {"args", 1, kArgsSize - 1, kToLong, 0, Bytes}})});
}

CtxLayoutPtr make_syscall_ctx() {
    return share(bytes_layout("syscall args", 0, kMaxSyscallCtx, Access::ReadWrite));
}

CtxLayoutPtr make_netfilter_ctx() {
    CtxLayout layout{.name = "bpf_nf_ctx",
                     .size = 16,
                     .fields = to_fields({{"state", 0, 8, kLong, 0, BtfObject},
                                          {"skb", 8, 8, kLong, 0, BtfObject}})};
    layout.fields[0].btf = "nf_hook_state";
    layout.fields[1].btf = "sk_buff";
    return share(std::move(layout));
}

CtxLayoutPtr make_lirc_ctx() {
    return share(
        {.name = "lirc sample", .size = 4, .fields = to_fields({{"sample", 0, 4, kWord}})});
}

} // namespace ebpfvm::prog
