// struct bpf_sock_addr (uapi/linux/bpf.h): which addresses exist depends on the hook's protocol and
// direction. Kernel: sock_addr_is_valid_access. Tested by kernel/verify_ctx_test.cpp.
#include "prog/ctx_layouts.hpp"

#include <algorithm>

namespace ebpfvm::prog {
namespace {

enum class Protocol : std::uint8_t { Ip4, Ip6, Unix };

Protocol protocol_of(AttachType attach) {
    using enum AttachType;
    constexpr AttachType kIp4[] = {CgroupInet4Bind,        CgroupInet4Connect,
                                   CgroupUdp4Sendmsg,      CgroupUdp4Recvmsg,
                                   CgroupInet4Getpeername, CgroupInet4Getsockname};
    constexpr AttachType kIp6[] = {CgroupInet6Bind,        CgroupInet6Connect,
                                   CgroupUdp6Sendmsg,      CgroupUdp6Recvmsg,
                                   CgroupInet6Getpeername, CgroupInet6Getsockname};
    const auto is_in = [attach](const auto& list) {
        return std::ranges::find(list, attach) != std::end(list);
    };
    return is_in(kIp4) ? Protocol::Ip4 : is_in(kIp6) ? Protocol::Ip6 : Protocol::Unix;
}

} // namespace

CtxLayoutPtr make_sock_addr_ctx(AttachType attach) {
    using enum CtxFieldKind;
    const Protocol protocol = protocol_of(attach);
    // clang-format off
    std::vector<CtxField> fields = to_fields({
        // name          off size loads    stores
        {"user_family",  0,  4,  kWord},
        {"user_ip4",     4,  4,  kToWord, kWord},
        {"user_ip6",     8,  16, kToLong, kWord + kLong},
        {"user_port",    24, 4,  kToWord, kWord},
        {"family",       28, 4,  kWord},
        {"type",         32, 4,  kWord},
        {"protocol",     36, 4,  kWord},
        {"msg_src_ip4",  40, 4,  kToWord, kWord},
        {"msg_src_ip6",  44, 16, kToLong, kWord + kLong},
        {"sk",           64, 8,  kLong,   0, Socket},
    });
    // clang-format on
    std::erase_if(fields, [&](const CtxField& field) {
        const bool is_ip4 = field.name == "user_ip4" || field.name == "msg_src_ip4";
        const bool is_ip6 = field.name == "user_ip6" || field.name == "msg_src_ip6";
        const bool is_source = field.name.starts_with("msg_src");
        const bool sends =
            attach == AttachType::CgroupUdp4Sendmsg || attach == AttachType::CgroupUdp6Sendmsg;
        return (is_ip4 && protocol != Protocol::Ip4) || (is_ip6 && protocol != Protocol::Ip6) ||
               (is_source && !sends);
    });
    return share({.name = "bpf_sock_addr", .size = 72, .fields = std::move(fields)});
}

} // namespace ebpfvm::prog
