// Every load and store of every size at every offset of the context, for every program type and
// attach type: does the running kernel's verifier accept it, and what does the load give? The same
// for the structs that programs reach by pointer.
#include "kernel/ask_verifier.hpp"
#include "prog/verify_ctx.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

using prog::ObjectKind;

constexpr unsigned kSizes[] = {1, 2, 4, 8};

std::uint8_t opcode(std::uint8_t for_word, unsigned size) {
    const unsigned size_bits = size == 1 ? 0x10U : size == 2 ? 0x08U : size == 4 ? 0x00U : 0x18U;
    return std::uint8_t(for_word | size_bits);
}

Insn load(unsigned dst, unsigned src, unsigned off, unsigned size) {
    return {.code = opcode(0x61, size),
            .dst = std::uint8_t(dst & 0xf),
            .src = std::uint8_t(src & 0xf),
            .off = std::int16_t(off)};
}

Insn store(unsigned dst, unsigned src, unsigned off, unsigned size) {
    Insn insn = load(dst, src, off, size);
    insn.code = opcode(0x63, size);
    return insn;
}

// if reg == 0 { return 1; }
std::vector<Insn> return_if_null(unsigned reg) {
    return {{.code = 0x55, .dst = std::uint8_t(reg & 0xf), .off = 2}, mov_imm(0, 1), exit_insn()};
}

std::vector<Insn> operator+(std::vector<Insn> head, const std::vector<Insn>& tail) {
    head.insert(head.end(), tail.begin(), tail.end());
    return head;
}

// Words in the log that tell what kind of pointer r2 is.
std::string_view kernel_text(CtxFieldKind kind) {
    switch (kind) {
    case CtxFieldKind::Scalar:
    case CtxFieldKind::PacketLen:
    case CtxFieldKind::Bytes:
        return "scalar(";
    case CtxFieldKind::Packet:
        return "pkt(";
    case CtxFieldKind::PacketMeta:
        return "pkt_meta(";
    case CtxFieldKind::PacketEnd:
        return "pkt_end(";
    case CtxFieldKind::SockCommonOrNull:
        return "sock_common_or_null(";
    case CtxFieldKind::SocketOrNull:
        return "sock_or_null(";
    case CtxFieldKind::Socket:
        return "sock(";
    case CtxFieldKind::FlowKeys:
        return "flow_keys(";
    case CtxFieldKind::TpBuffer:
        return "tp_buffer(";
    case CtxFieldKind::BtfObject:
        return "trusted_ptr_";
    }
    std::unreachable();
}

// Asks about accesses through a pointer that `prologue` leaves in register `base`.
struct Subject {
    std::string name;
    ProgType type;
    std::uint32_t attach;
    std::vector<Insn> prologue{};
    unsigned base = 1;

    [[nodiscard]] Answer ask(const std::vector<Insn>& access) const {
        return ask_verifier({.type = type,
                             .attach_type = attach,
                             .insns = prologue + access + std::vector{mov_imm(0, 1), exit_insn()},
                             .flags = required_flags(type),
                             .log_level = 2});
    }
    [[nodiscard]] Answer ask_load(unsigned off, unsigned size) const {
        return ask({load(3, base, off, size)});
    }
    [[nodiscard]] Answer ask_store(unsigned off, unsigned size) const {
        return ask({mov_imm(3, 0), store(base, 3, off, size)});
    }
};

bool accepts(const Answer& answer) {
    return answer.accepted() || answer.says("At program exit the register R0");
}

std::size_t compare(const Subject& subject, const CtxLayout& layout, unsigned end) {
    std::size_t compared = 0;
    for (unsigned off = 0; off < end; ++off) {
        for (const unsigned size : kSizes) {
            const std::string where =
                fmt::format("{} {} attach type {}: {} bytes at {}", subject.name,
                            name_of(subject.type), subject.attach, size, off);
            const Answer loaded = subject.ask_load(off, size);
            const CtxField* field = prog::find_access(layout, off, size, Access::Read);
            EXPECT_EQ(accepts(loaded), field != nullptr) << "load: " << where << "\n" << loaded.log;
            if (accepts(loaded) && field != nullptr) {
                const std::string text = fmt::format("R3={}", kernel_text(field->kind));
                const std::string text_w = fmt::format("R3_w={}", kernel_text(field->kind));
                EXPECT_TRUE(loaded.says(text) || loaded.says(text_w)) << where << loaded.log;
            }
            const bool stored = accepts(subject.ask_store(off, size));
            const bool storable = prog::find_access(layout, off, size, Access::Write) != nullptr;
            EXPECT_EQ(stored, storable) << "store: " << where;
            compared += 2;
        }
    }
    return compared;
}

// Attach types that look different to the table, and one of each group that looks the same: the
// kernel is asked about all only where few differ.
std::vector<std::uint32_t> interesting_attach_types(ProgType type) {
    std::vector<std::uint32_t> all = attach_types_of(type);
    if (all.size() > 20) { // indifferent types take any number
        all = {0, std::to_underlying(AttachType::XdpDevmap)};
    }
    return all;
}

TEST(VerifyCtx, AccessesAreThoseOfTheKernel) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    constexpr unsigned kLargest = 240; // plain contexts are larger, but all the same inside
    std::size_t compared = 0;
    for (const ProgType type : loadable_types()) {
        for (const std::uint32_t attach : interesting_attach_types(type)) {
            const auto layout = prog::ctx_layout(type, attach);
            ASSERT_NE(layout, nullptr) << name_of(type);
            compared += compare({.name = "ctx", .type = type, .attach = attach}, *layout,
                                std::min(layout->size + 8, kLargest));
        }
    }
    fmt::print("{} accesses\n", compared);
}

TEST(VerifyCtx, PlainContextsEndWhereTheKernelsEnd) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    for (const ProgType type : {ProgType::Tracepoint, ProgType::Syscall}) {
        const auto layout = prog::ctx_layout(type, 0);
        const Subject subject{.name = "ctx", .type = type, .attach = 0};
        for (unsigned off = std::min(layout->size, 0x7fffU) - 16; off < 0x7fff; ++off) {
            for (const unsigned size : kSizes) {
                EXPECT_EQ(accepts(subject.ask_load(off, size)),
                          prog::find_access(*layout, off, size, Access::Read) != nullptr)
                    << layout->name << " " << off << " " << size;
            }
            if (off > layout->size + 8) {
                break;
            }
        }
    }
}

TEST(VerifyCtx, ObjectsAreThoseOfTheKernel) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    const auto xskmap = KernelMap::create(
        {.name = "xsk", .type = MapType::Xskmap, .key_size = 4, .value_size = 4, .max_entries = 1});
    ASSERT_TRUE(xskmap) << to_string(xskmap.error());
    const std::vector<Insn> look_up{
        {.code = 0x62, .dst = 10, .off = -4}, // *(u32 *)(r10 -4) = 0
        mov_reg(2, 10),
        {.code = 0x07, .dst = 2, .imm = -4},
        {.code = 0x18, .dst = 1, .src = std::uint8_t(LddwSrc::MapFd), .imm = xskmap->fd()},
        {},
        call_helper(std::to_underlying(HelperId::map_lookup_elem)),
        mov_reg(2, 0)};
    const std::vector<Insn> tcp_sock{call_helper(std::to_underlying(HelperId::tcp_sock)),
                                     mov_reg(2, 0)};
    const auto connect4 = std::to_underlying(AttachType::CgroupInet4Connect);
    const std::pair<ObjectKind, Subject> subjects[] = {
        {ObjectKind::SockCommon,
         {"sock_common", ProgType::SchedCls, 0, std::vector{load(2, 1, 168, 8)} + return_if_null(2),
          2}},
        {ObjectKind::Socket, {"sock", ProgType::CgroupSockAddr, connect4, {load(2, 1, 64, 8)}, 2}},
        {ObjectKind::TcpSock,
         {"tcp_sock", ProgType::SchedCls, 0,
          std::vector{load(1, 1, 168, 8)} + return_if_null(1) + tcp_sock + return_if_null(2), 2}},
        {ObjectKind::XdpSock, {"xdp_sock", ProgType::Xdp, 0, look_up + return_if_null(2), 2}},
        {ObjectKind::FlowKeys, {"flow_keys", ProgType::FlowDissector, 0, {load(2, 1, 144, 8)}, 2}},
    };
    for (const auto& [kind, subject] : subjects) {
        const CtxLayout& layout = prog::object_layout(kind);
        compare(subject, layout, layout.size + 16);
    }
}

// Writes to the first byte of a packet of which a byte is known to exist.
std::optional<bool> kernel_lets_write_packets(ProgType type, std::uint32_t attach,
                                              const CtxLayout& layout) {
    const auto of_kind = [&](CtxFieldKind kind) {
        return std::ranges::find(layout.fields, kind, &CtxField::kind);
    };
    const auto data = of_kind(CtxFieldKind::Packet);
    const auto end = of_kind(CtxFieldKind::PacketEnd);
    if (data == layout.fields.end() || end == layout.fields.end()) {
        return std::nullopt;
    }
    const Subject subject{"packet",
                          type,
                          attach,
                          {load(2, 1, data->off, data->size),
                           load(4, 1, end->off, end->size),
                           mov_reg(5, 2),
                           {.code = 0x07, .dst = 5, .imm = 1},
                           {.code = 0x3d, .dst = 4, .src = 5, .off = 2}, // if r4 >= r5
                           mov_imm(0, 1),
                           exit_insn()},
                          2};
    EXPECT_TRUE(accepts(subject.ask_load(0, 1))) << name_of(type);
    return accepts(subject.ask_store(0, 1));
}

TEST(VerifyCtx, PacketsAreWritableWhereTheKernelSaysSo) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    for (const ProgType type : loadable_types()) {
        const std::vector<std::uint32_t> attach = attach_types_of(type);
        if (attach.empty()) {
            continue;
        }
        const auto layout = prog::ctx_layout(type, attach.front());
        if (const auto theirs = kernel_lets_write_packets(type, attach.front(), *layout)) {
            EXPECT_EQ(allows(layout->packet_access, Access::Write), *theirs) << name_of(type);
        }
    }
}

} // namespace
} // namespace ebpfvm::test
