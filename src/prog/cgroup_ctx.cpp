// struct bpf_sockopt, bpf_sysctl and bpf_cgroup_dev_ctx (uapi/linux/bpf.h). Kernel:
// cg_sockopt_is_valid_access, sysctl_is_valid_access, cgroup_dev_is_valid_access. Tested by
// kernel/verify_ctx_test.cpp.
#include "prog/ctx_layouts.hpp"

namespace ebpfvm::prog {

using enum CtxFieldKind;

// Before the kernel's setsockopt, programs change the request; after its getsockopt, the answer.
CtxLayoutPtr make_sockopt_ctx(AttachType attach) {
    const bool sets = attach == AttachType::CgroupSetsockopt;
    const std::uint8_t of_request = sets ? kWord : 0;
    const std::uint8_t of_answer = sets ? 0 : kWord;
    std::vector<CtxField> fields = to_fields({{"sk", 0, 8, kLong, 0, Socket},
                                              {"optval", 8, 8, kLong, 0, Packet},
                                              {"optval_end", 16, 8, kLong, 0, PacketEnd},
                                              {"level", 24, 4, kWord, of_request},
                                              {"optname", 28, 4, kWord, of_request},
                                              {"optlen", 32, 4, kWord, kWord}});
    if (!sets) {
        fields.push_back(to_field({"retval", 36, 4, kWord, of_answer}));
    }
    return share({.name = "bpf_sockopt",
                  .size = 40,
                  .fields = std::move(fields),
                  .has_packet = true,
                  .packet_access = Access::ReadWrite});
}

CtxLayoutPtr make_sysctl_ctx() {
    return share(
        {.name = "bpf_sysctl",
         .size = 8,
         .fields = to_fields({{"write", 0, 4, kToWord}, {"file_pos", 4, 4, kToWord, kWord}})});
}

CtxLayoutPtr make_cgroup_device_ctx() {
    return share(
        {.name = "bpf_cgroup_dev_ctx",
         .size = 12,
         .fields = to_fields(
             {{"access_type", 0, 4, kToWord}, {"major", 4, 4, kWord}, {"minor", 8, 4, kWord}})});
}

} // namespace ebpfvm::prog
