// The host's side of what ctx_access.cpp does at run time. Tested by vm/verified_test.cpp, which
// runs programs both ways.
#include "exec/rewrite.hpp"

#include "exec/loop_call.hpp"
#include "isa/disasm.hpp"
#include "maps/array_map.hpp"
#include "maps/hash_map.hpp"
#include "prog/helper_protos.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cstddef>

namespace ebpfvm::exec {
namespace {

using isa::Decoded;
using isa::Op;
using isa::Shape;

// The plain access of that shape and size, 1, 2, 4 or 8.
std::uint8_t op_of(Shape shape, std::uint64_t bytes) {
    const char* text = bytes == 8 ? "u64" : bytes == 4 ? "u32" : bytes == 2 ? "u16" : "u8";
    return std::uint8_t(isa::find_op(shape, text)->op);
}

class Rewriter {
  public:
    Rewriter(const prog::VerifiedProgram& program, const isa::DecodedProgram& insns,
             const Bindings& bindings, Code& code)
        : program_(program), insns_(insns), bindings_(bindings), code_(code) {}

    Expected<void> run() {
        code_.is_verified = true;
        code_.clears_stack = program_.may_read_unwritten_stack();
        std::ranges::transform(insns_.subprogs, code_.stacks.begin(),
                               [this](std::uint32_t first) { return stack_of(first); });
        for (at_ = 0; at_ < insns_.insns.size(); at_ += insn().slots) {
            if (program_.ways(at_).is_reached) {
                TRY(rewrite());
            }
        }
        return {};
    }

  private:
    [[nodiscard]] const Decoded& insn() const { return insns_.insns[at_]; }
    [[nodiscard]] Slot& slot() { return code_.slots[at_]; }

    Expected<void> rewrite() {
        switch (isa::info(insn().op).shape) {
        case Shape::Load:
            return program_.accesses_ctx(at_) ? load() : Expected<void>();
        case Shape::StoreImm:
        case Shape::StoreReg:
            return program_.accesses_ctx(at_) ? store() : Expected<void>();
        case Shape::JmpImm:
        case Shape::JmpReg:
            decide_jump();
            return {};
        case Shape::CallHelper:
            if (Op(slot().op) == Op::CallLocal) {
                name_callback();
                return {};
            }
            name_ctx_args();
            TRY(check_prototype());
            inline_lookup();
            return {};
        case Shape::CallKfunc:
            name_ctx_args();
            return {};
        case Shape::CallLocal:
            slot().imm = cleared_by_call(std::size_t(isa::target_of(insn(), at_)));
            return {};
        default: // no other insn depends on the context or on frames
            return {};
        }
    }

    [[nodiscard]] std::uint32_t stack_of(std::size_t first) const {
        const auto& stacks = program_.stacks();
        const auto found = std::ranges::lower_bound(stacks, first, {},
                                                    &prog::VerifiedProgram::SubprogStack::first);
        return found != stacks.end() && found->first == first ? found->bytes
                                                              : std::uint32_t(kStackSize);
    }

    [[nodiscard]] std::uint32_t cleared_by_call(std::size_t first) const {
        return code_.clears_stack ? stack_of(first) : 0;
    }

    // A loop of one callback calls that without a look at r2.
    void name_callback() {
        if (const auto callback = program_.callback(at_)) {
            const std::size_t call = at_ + 1 + std::size_t(slot().off) + kLoopCallback;
            code_.slots[call] = {.op = std::uint8_t(Op::CallLocal),
                                 .off = std::int32_t(*callback) - std::int32_t(call + 1),
                                 .imm = cleared_by_call(*callback)};
        }
    }

    // Where it goes one way only, there is nothing to compare.
    void decide_jump() {
        const prog::Ways ways = program_.ways(at_);
        if (!ways.falls) {
            slot() = {.op = std::uint8_t(Op::Ja), .off = slot().off};
        } else if (!ways.jumps) {
            slot() = kNothing;
        }
    }

    [[nodiscard]] const HelperProto& bound_proto() {
        return reinterpret_cast<const Helper*>(slot().imm)->proto;
    }

    // Bits of the arguments that are contexts, which helpers see as the host's object.
    void name_ctx_args() {
        const auto& args = bound_proto().args;
        slot().dst = 0;
        for (unsigned i = 0; i < kMaxArgs; ++i) {
            if (args[i] == ArgType::PtrToCtx || args[i] == ArgType::PtrToCtxOrNull) {
                slot().dst |= std::uint8_t(1U << i);
            }
        }
    }

    // Lookups in maps that are known need no call of the helper, which must be the built-in one: a
    // host may have put its own there, to see lookups.
    void inline_lookup() {
        const auto& helper = *reinterpret_cast<const Helper*>(slot().imm);
        const auto index = program_.call_map(at_);
        if (helper.fn != bindings_.builtins.map_lookup_elem || helper.fn == nullptr || !index) {
            return;
        }
        Map& map = *bindings_.maps[*index];
        switch (map.spec().type) {
        case MapType::Array:
            return inline_array_lookup(map);
        case MapType::PercpuArray:
            return has_all_copies(map) ? inline_array_lookup(map) : void();
        case MapType::Hash:
        case MapType::LruHash:
            return inline_hash_lookup(map);
        case MapType::PercpuHash:
        case MapType::LruPercpuHash:
            return has_all_copies(map) ? inline_hash_lookup(map) : void();
        default: // of all types there are; others have no values
            return;
        }
    }

    // The map of a smaller Vm lacks copies for some CPUs: its lookups there must fail.
    [[nodiscard]] bool has_all_copies(const Map& map) const { return map.cpus() >= bindings_.cpus; }

    // A lookup in an array is arithmetic.
    void inline_array_lookup(Map& map) {
        const auto& array = static_cast<const maps::ArrayMap&>(map);
        constexpr std::uint64_t kMax = INT32_MAX; // what an immediate holds
        if (std::max({std::uint64_t{map.spec().max_entries}, array.stride(), array.cpu_stride()}) >
            kMax) {
            return;
        }
        const ArrayLookup& lookup = code_.array_lookups.emplace_back(
            ArrayLookup{.begin = reinterpret_cast<std::uintptr_t>(map.memory().data()),
                        .count = map.spec().max_entries,
                        .stride = std::uint32_t(array.stride()),
                        .cpu_stride = bindings_.cpus > 1 ? std::uint32_t(array.cpu_stride()) : 0});
        slot().op = kOpArrayLookup;
        slot().imm = std::int64_t(reinterpret_cast<std::uintptr_t>(&lookup));
    }

    void inline_hash_lookup(Map& map) {
        HashLookup& lookup = code_.hash_lookups.emplace_back();
        lookup.map = &map;
        lookup.helper = reinterpret_cast<const Helper*>(slot().imm);
        lookup.view = static_cast<const maps::HashMap&>(map).view();
        lookup.view.cpu_stride = bindings_.cpus > 1 ? lookup.view.cpu_stride : 0;
        slot().op = kOpHashLookup;
        slot().imm = std::int64_t(reinterpret_cast<std::uintptr_t>(&lookup));
    }

    // The verifier goes by the kernel's prototypes, whatever function the host has put there.
    Expected<void> check_prototype() {
        const auto id = std::uint32_t(insn().imm);
        const HelperProto* judged = prog::helper_proto(code_.program.type, id);
        if (judged == nullptr || *judged == bound_proto()) {
            return {};
        }
        return fail(
            Errc::InvalidArgument,
            "insn {}: call {}: the host's function \"{}\" has another prototype than helper "
            "{} of the kernel, by which programs are verified",
            at_, id, bound_proto().name, judged->name);
    }

    [[nodiscard]] std::unexpected<Error> fail_field() const {
        return fail(Errc::Unsupported, "insn {}: {}: the host's object for {} has no such field",
                    at_, isa::to_text(insn()), code_.ctx->name);
    }

    [[nodiscard]] bool is_plain() const { return code_.ctx->plain != Access::None; }

    [[nodiscard]] const CtxField* field(std::uint32_t bytes, Access access) const {
        const CtxField* found =
            insn().off >= 0 ? code_.ctx->find(std::uint64_t(insn().off), bytes) : nullptr;
        return found != nullptr && allows(found->access, access) ? found : nullptr;
    }

    // dst = `bytes` bytes at `off` of what a hidden register points to.
    void load_from(std::uint8_t reg, std::uint64_t off, std::uint64_t bytes) {
        slot().op = op_of(Shape::Load, bytes);
        slot().src = reg;
        slot().off = std::int32_t(off);
    }

    Expected<void> load() {
        if (is_plain()) {
            return {};
        }
        const std::uint32_t bytes = isa::access_bytes(insn().op);
        const CtxField* found = field(bytes, Access::Read);
        if (found == nullptr) {
            return fail_field();
        }
        const std::uint32_t inside = std::uint32_t(insn().off) - found->off;
        switch (found->kind) {
        case CtxFieldKind::Packet:
            load_from(kPacketReg, offsetof(Packet, data), 8);
            return {};
        case CtxFieldKind::PacketMeta:
            load_from(kPacketReg, offsetof(Packet, data_meta), 8);
            return {};
        case CtxFieldKind::PacketEnd:
            load_from(kPacketReg, offsetof(Packet, data_end), 8);
            return {};
        case CtxFieldKind::SockCommonOrNull: // a packet of the host's belongs to no socket
            load_zero();
            return {};
        case CtxFieldKind::PacketLen:
            slot().op = kOpPacketLen;
            slot().off = std::int32_t(8 * inside);
            slot().imm = std::int64_t(low_mask(8 * bytes));
            return {};
        case CtxFieldKind::Bytes:
            load_number(*found, bytes, inside, found->size);
            return {};
        case CtxFieldKind::Scalar:
            load_number(*found, bytes, inside, found->host_size);
            return {};
        case CtxFieldKind::SocketOrNull:
        case CtxFieldKind::Socket:
        case CtxFieldKind::FlowKeys:
        case CtxFieldKind::TpBuffer:
        case CtxFieldKind::BtfObject:
            return fail_field();
        }
        std::unreachable();
    }

    void load_zero() {
        slot().op = std::uint8_t(Op::Mov64Imm);
        slot().imm = 0;
    }

    // The host has `host_bytes` of the field; those above are zero.
    void load_number(const CtxField& found, std::uint32_t bytes, std::uint32_t inside,
                     std::uint32_t host_bytes) {
        if (inside >= host_bytes) {
            return load_zero();
        }
        const std::uint32_t there = std::min(bytes, host_bytes - inside);
        const std::uint8_t op = slot().op;
        load_from(kHostCtxReg, found.host_off + inside, there);
        if (there == bytes) {
            slot().op = op; // it may sign extend
        }
    }

    Expected<void> store() {
        if (is_plain()) {
            return {};
        }
        const std::uint32_t seen = isa::access_bytes(insn().op);
        const CtxField* found = field(seen, Access::Write);
        if (found == nullptr) {
            return fail_field();
        }
        const std::uint32_t inside = std::uint32_t(insn().off) - found->off;
        const bool is_array = found->kind == CtxFieldKind::Bytes;
        const std::uint32_t bytes = is_array ? seen : found->host_size;
        const Shape shape = isa::info(insn().op).shape;
        slot().off = std::int32_t(found->host_off + inside);
        if (bytes > seen && shape == Shape::StoreReg) {
            slot().op = kOpStoreWidened;
            slot().dst = std::uint8_t(bytes);
            slot().imm = std::int64_t(low_mask(8 * seen));
            return {};
        }
        slot().op = op_of(shape, bytes);
        slot().dst = kHostCtxReg;
        slot().imm = std::int64_t(std::uint64_t(slot().imm) & low_mask(8 * seen));
        return {};
    }

    const prog::VerifiedProgram& program_;
    const isa::DecodedProgram& insns_;
    const Bindings& bindings_;
    Code& code_;
    std::size_t at_ = 0;
};

} // namespace

Expected<void> rewrite_verified(const prog::VerifiedProgram& program,
                                const isa::DecodedProgram& insns, const Bindings& bindings,
                                Code& code) {
    return Rewriter(program, insns, bindings, code).run();
}

} // namespace ebpfvm::exec
