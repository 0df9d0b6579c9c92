// For every program type, attach type and helper: may it be called? The table's answer and the
// running kernel's.
#include "ebpfvm/helper.hpp"
#include "kernel/ask_verifier.hpp"
#include "prog/helper_access.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

// Helpers that a kernel may lack: other build options, or locked down.
bool is_optional(std::uint32_t id) {
    constexpr HelperId kOptional[] = {
        HelperId::override_return,      // CONFIG_BPF_KPROBE_OVERRIDE
        HelperId::probe_write_user,     // not when locked down
        HelperId::skb_get_xfrm_state,   // CONFIG_XFRM
        HelperId::lwt_seg6_store_bytes, // CONFIG_IPV6_SEG6_BPF
        HelperId::lwt_seg6_adjust_srh,  HelperId::lwt_seg6_action,
        HelperId::get_branch_snapshot, // CONFIG_PERF_EVENTS
    };
    return std::ranges::find(kOptional, HelperId(id)) != std::end(kOptional);
}

bool kernel_allows(ProgType type, std::uint32_t attach, std::uint32_t id) {
    std::vector<Insn> insns;
    for (unsigned reg = 2; reg <= 5; ++reg) {
        insns.push_back(mov_imm(reg, 0));
    }
    insns.insert(insns.end(), {call_helper(id), mov_imm(0, 1), exit_insn()});
    const Answer answer = ask_verifier({.type = type,
                                        .attach_type = attach,
                                        .insns = std::move(insns),
                                        .flags = required_flags(type)});
    return !answer.says("cannot use helper") && !answer.says("unknown func") &&
           !answer.says("not supported for program type") &&
           !answer.says("helper call is not allowed");
}

TEST(HelperAccess, IsWhatTheKernelAllows) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    std::size_t compared = 0;
    for (const ProgType type : loadable_types()) {
        for (const std::uint32_t attach : attach_types_of(type)) {
            for (std::uint32_t id = 1; uapi_helper(id) != nullptr; ++id) {
                const bool theirs = kernel_allows(type, attach, id);
                const bool ours = prog::helper_allowed(type, attach, id);
                ++compared;
                EXPECT_TRUE(ours == theirs || (ours && is_optional(id)))
                    << fmt::format("{} attach type {}: {} #{}: kernel {}, table {}", name_of(type),
                                   attach, helper_name(id), id, theirs, ours);
            }
        }
    }
    fmt::print("{} combinations\n", compared);
}

} // namespace
} // namespace ebpfvm::test
