// Which parts of xdp_md and __sk_buff programs may read and write, and what they hold: every
// aligned access of every size, as the running kernel's verifier judges it and as checked mode
// does.
#include "ebpfvm/vm.hpp"
#include "kernel/kernel_object.hpp"
#include "kernel/test_packet.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

struct ProgKind {
    ProgType type;
    std::uint16_t ctx_size; ///< of the uapi struct
};

// A load or store of `size` bytes at `off` in the context.
struct CtxAccess {
    Access access;
    std::uint16_t off;
    std::uint16_t size;
};

std::uint8_t opcode(Access access, unsigned size) {
    const unsigned size_bits = size == 1 ? 0x10U : size == 2 ? 0x08U : size == 4 ? 0x00U : 0x18U;
    return std::uint8_t((access == Access::Read ? 0x61U : 0x63U) | size_bits); // ldx, stx
}

// r0 = *(T *)(ctx + off), kept in the map; or *(T *)(ctx + off) = 1.
std::vector<Insn> program_of(const CtxAccess& access) {
    const Insn exit{.code = 0x95};
    const std::uint8_t code = opcode(access.access, access.size);
    const auto off = std::int16_t(access.off);
    if (access.access == Access::Write) {
        return {{.code = 0xb7, .dst = 2, .imm = 1}, // r2 = 1
                {.code = code, .dst = 1, .src = 2, .off = off},
                {.code = 0xb7}, // r0 = 0
                exit};
    }
    return {{.code = code, .dst = 3, .src = 1, .off = off},
            {.code = 0x18, .dst = 2, .src = std::uint8_t(LddwSrc::MapValueIdx)},
            {},
            {.code = 0x7b, .dst = 2, .src = 3}, // *(u64 *)(r2 +0) = r3
            {.code = 0xb7},
            exit};
}

MapSpec value_spec() {
    return single_value_map("value", 8);
}

constexpr std::uint32_t kKey = 0;

// What our machine says: the value read (0 for a write), or nothing after a fault.
std::optional<std::uint64_t> run_ours(ProgType type, const CtxAccess& access,
                                      std::span<const std::byte> frame) {
    const auto module =
        Vm().load(Object::from_insns("access", type, program_of(access), {value_spec()}));
    EXPECT_TRUE(module) << to_string(module.error());
    PacketBuffer buffer;
    const Executable program = module->programs().front();
    RunResult result;
    if (type == ProgType::Xdp) {
        XdpCtx ctx;
        ctx.packet = buffer.fill(frame);
        result = program.run(ctx);
    } else {
        SkbCtx ctx = skb_of_test_run(frame);
        ctx.packet =
            buffer.fill(frame.subspan(type == ProgType::SocketFilter ? kEthernetHeader : 0));
        result = program.run(ctx);
    }
    if (result.fault) {
        EXPECT_EQ(result.fault->kind, FaultKind::BadCtxAccess) << result.fault->message;
        return std::nullopt;
    }
    const auto value = module->maps().front()->read(std::as_bytes(std::span(&kKey, 1)));
    return load_unaligned<std::uint64_t>(value->data());
}

// What the kernel says.
std::optional<std::uint64_t> run_kernel(ProgType type, const CtxAccess& access,
                                        std::span<const std::byte> frame) {
    std::vector<KernelMap> maps;
    maps.push_back(KernelMap::create(value_spec()).value());
    const std::vector<Insn> insns = with_map_fds(program_of(access), maps);
    const auto program = KernelProg::load({.name = "access", .type = type, .insns = insns});
    if (!program) {
        return std::nullopt;
    }
    TestRun run;
    __sk_buff ctx{};
    run.data_in = frame;
    if (type != ProgType::Xdp) {
        run.ctx = std::as_writable_bytes(std::span(&ctx, 1));
    }
    EXPECT_EQ(program->test_run(run), 0);
    std::uint64_t value = 0;
    EXPECT_EQ(maps.front().lookup(&kKey, &value), 0);
    return value;
}

bool is_pointer(const CtxField* field) {
    return field != nullptr && field->kind != CtxFieldKind::Scalar &&
           field->kind != CtxFieldKind::Bytes && field->kind != CtxFieldKind::PacketLen;
}

std::vector<std::byte> frame_to(std::uint8_t first_byte_of_dest, std::uint16_t ethertype) {
    std::vector<std::byte> frame(100, std::byte{1});
    std::fill_n(frame.begin(), 6, std::byte{first_byte_of_dest});
    store_unaligned(frame.data() + 12, from_big_endian(ethertype));
    return frame;
}

// Deliberate differences.
bool is_ours_alone(ProgType type, const CtxAccess& access, const CtxField* field) {
    if (field == nullptr || access.access == Access::Write) {
        return false;
    }
    // The kernel allows loads of a part of some fields; here it is all scalars.
    const bool is_part = access.size < field->size;
    // Of programs attached to a devmap alone.
    const bool is_egress = type == ProgType::Xdp && field->name == "egress_ifindex";
    return is_part || is_egress;
}

// A load from the middle of these fields gives their start again in the kernel, whose own fields
// are narrower than those of __sk_buff. Here it gives the bytes that are there.
bool is_from_the_middle(const CtxAccess& access, const CtxField* field) {
    return field != nullptr && access.off != field->off &&
           (field->name == "pkt_type" || field->name == "protocol");
}

class KernelCtx : public testing::TestWithParam<ProgKind> {
  protected:
    static void compare(ProgType type, const CtxAccess& at, std::span<const std::byte> frame) {
        const ProgTypeTable types;
        const CtxField* field = types.find(type)->ctx->find(at.off, at.size);
        const auto kernel = run_kernel(type, at, frame);
        const auto ours = run_ours(type, at, frame);
        const std::string where =
            fmt::format("{} of {} bytes at {} ({})", at.access == Access::Read ? "load" : "store",
                        at.size, at.off, field != nullptr ? field->name : "no field");
        if (kernel.has_value() != ours.has_value()) {
            EXPECT_TRUE(ours && is_ours_alone(type, at, field))
                << where << ": only " << (ours ? "ebpfvm" : "the kernel") << " allows it";
        } else if (kernel && !is_pointer(field) && !is_from_the_middle(at, field)) {
            EXPECT_EQ(*kernel, *ours) << where << ": kernel, then ebpfvm";
        }
    }
};

TEST_P(KernelCtx, EveryAccessIsJudgedAlike) {
    EBPFVM_SKIP_WITHOUT_BPF();
    const auto [type, ctx_size] = GetParam();
    for (const Access access : {Access::Read, Access::Write}) {
        for (const std::uint16_t size : std::to_array<std::uint16_t>({1, 2, 4, 8})) {
            for (std::uint16_t off = 0; off + size <= ctx_size; off = std::uint16_t(off + size)) {
                compare(type, {access, off, size}, frame_to(0x02, 0x0800));
            }
        }
    }
}

TEST_P(KernelCtx, FieldsDependOnThePacketAlike) {
    EBPFVM_SKIP_WITHOUT_BPF();
    const ProgType type = GetParam().type;
    const ProgTypeTable types;
    for (const CtxField& field : types.find(type)->ctx->fields) {
        const CtxAccess load{Access::Read, std::uint16_t(field.off),
                             std::uint16_t(std::min(field.size, 8U))};
        for (const auto& frame : {frame_to(0xff, 0x0806), frame_to(0x01, 0x86dd), frame_to(0, 100),
                                  frame_to(0x02, 0x8100)}) {
            compare(type, load, frame);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Types, KernelCtx,
                         testing::Values(ProgKind{ProgType::Xdp, sizeof(xdp_md)},
                                         ProgKind{ProgType::SchedCls, sizeof(__sk_buff)},
                                         ProgKind{ProgType::SocketFilter, sizeof(__sk_buff)}),
                         [](const auto& test) { return std::string(name_of(test.param.type)); });

} // namespace
} // namespace ebpfvm::test
