// What section names say: the expectations are libbpf's (its table of sections).
#include "ebpfvm/prog_type.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace ebpfvm {
namespace {

ProgSection info(ProgType type, AttachType attach, std::uint32_t flags = 0) {
    return {.type = type, .attach_type = std::to_underlying(attach), .flags = flags};
}

TEST(Sections, NameTypeAttachTypeAndFlags) {
    using enum ProgType;
    const std::pair<std::string_view, ProgSection> expected[] = {
        {"xdp", info(Xdp, AttachType::Xdp)},
        {"xdp/anything", info(Xdp, AttachType::Xdp)},
        {"xdp.frags", info(Xdp, AttachType::Xdp, prog_flags::kXdpHasFrags)},
        {"xdp/devmap", info(Xdp, AttachType::XdpDevmap)},
        {"xdp.frags/cpumap", info(Xdp, AttachType::XdpCpumap, prog_flags::kXdpHasFrags)},
        {"tc", {.type = SchedCls}},
        {"tc/ingress", info(SchedCls, AttachType::TcxIngress)},
        {"tcx/egress", info(SchedCls, AttachType::TcxEgress)},
        {"socket", {.type = SocketFilter}},
        {"sk_reuseport", info(SkReuseport, AttachType::SkReuseportSelect)},
        {"sk_reuseport/migrate", info(SkReuseport, AttachType::SkReuseportSelectOrMigrate)},
        {"sk_skb", {.type = SkSkb}},
        {"sk_skb/stream_verdict", info(SkSkb, AttachType::SkSkbStreamVerdict)},
        {"cgroup_skb/egress", info(CgroupSkb, AttachType::CgroupInetEgress)},
        {"cgroup/connect4", info(CgroupSockAddr, AttachType::CgroupInet4Connect)},
        {"cgroup/sendmsg6", info(CgroupSockAddr, AttachType::CgroupUdp6Sendmsg)},
        {"cgroup/recvmsg_unix", info(CgroupSockAddr, AttachType::CgroupUnixRecvmsg)},
        {"cgroup/sock_release", info(CgroupSock, AttachType::CgroupInetSockRelease)},
        {"cgroup/connect4/more", {}},
        {"raw_tp/sys_enter", {.type = RawTracepoint}},
        {"raw_tp.w/nbd", {.type = RawTracepointWritable}},
        {"kprobe/do_unlinkat", {.type = Kprobe}},
        {"kprobe.multi/tcp_*", info(Kprobe, AttachType::TraceKprobeMulti)},
        {"uprobe.s//bin/sh:main",
         {.type = Kprobe, .attach_type = 0, .flags = prog_flags::kSleepable}},
        {"fentry/x", info(Tracing, AttachType::TraceFentry)},
        {"fentry.s/x", info(Tracing, AttachType::TraceFentry, prog_flags::kSleepable)},
        {"lsm_cgroup/socket_bind", info(Lsm, AttachType::LsmCgroup)},
        {"lsm.s/file_open", info(Lsm, AttachType::LsmMac, prog_flags::kSleepable)},
        {"syscall", {.type = Syscall, .attach_type = 0, .flags = prog_flags::kSleepable}},
        {"sk_lookup", info(SkLookup, AttachType::SkLookup)},
        {"netfilter", info(Netfilter, AttachType::Netfilter)},
        {"xdpdump", {}},
        {"", {}},
    };
    const ProgTypeTable table;
    for (const auto& [name, wanted] : expected) {
        EXPECT_EQ(table.section(name), wanted) << name;
    }
}

TEST(Sections, OfTheHostDoNotTakeNamesOfTheKernel) {
    ProgTypeTable table;
    ProgTypeInfo mine{.type = ProgType(kFirstHostProgType), .name = "mine"};
    mine.sections = {"cgroup"};
    ASSERT_TRUE(table.add(mine));
    EXPECT_EQ(table.section("cgroup/dev").type, ProgType::CgroupDevice);
    EXPECT_EQ(table.section("cgroup/mine").type, mine.type);
    ProgTypeInfo other{.type = ProgType(kFirstHostProgType + 1), .name = "other"};
    other.sections = {"xdp/mine"};
    EXPECT_FALSE(table.add(other));
}

} // namespace
} // namespace ebpfvm
