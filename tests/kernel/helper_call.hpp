// A call of a helper with arguments that its prototype in the table asks for, as a whole program.
#pragma once

#include "kernel/ask_verifier.hpp"
#include "kernel/kernel_maps.hpp"
#include "prog/helper_access.hpp"
#include "prog/helper_protos.hpp"
#include "prog/map_access.hpp"
#include "prog/verify_ctx.hpp"

#include <array>
#include <optional>

namespace ebpfvm::test {

/// Registers and stack before the call:
///   r6 ctx   r7 socket or number   r8 task_struct   r9 number
///   fp-128 .. fp-1 zeroes   fp-144 a dynptr, if one is needed
class HelperCall {
  public:
    /// In every program type that may call it, at one attach type that lets it, if this test can
    /// make the arguments.
    static std::vector<HelperCall> all_of(std::uint32_t id) {
        std::vector<HelperCall> calls;
        for (const ProgType type : loadable_types()) {
            const HelperProto& proto = *prog::helper_proto(type, id);
            const bool sleeps = has(proto.flags, HelperFlags::Sleeps);
            for (const std::uint32_t attach : some_attach_types(type)) {
                if (prog::helper_allowed(type, attach, id) &&
                    sleeps <= (type == ProgType::Syscall) && can_make(type, attach, proto)) {
                    calls.push_back(HelperCall(type, attach, id, proto));
                    break;
                }
            }
        }
        return calls;
    }
    static std::optional<HelperCall> of(std::uint32_t id) {
        std::vector<HelperCall> calls = all_of(id);
        return calls.empty() ? std::nullopt : std::optional(std::move(calls.front()));
    }
    static HelperCall in(ProgType type, std::uint32_t attach, std::uint32_t id) {
        return {type, attach, id, *prog::helper_proto(type, id)};
    }

    [[nodiscard]] ProgType type() const { return type_; }
    [[nodiscard]] std::uint32_t attach() const { return attach_; }
    [[nodiscard]] const HelperProto& proto() const { return proto_; }

    /// Are other helpers called before, to make arguments?
    [[nodiscard]] bool needs_other_helpers() const {
        return needs(proto_, {ArgType::PtrToBtfId, ArgType::PtrToDynptr});
    }

    HelperCall& with_map(int fd) {
        map_ = fd;
        return *this;
    }
    /// A frozen, read-only array of 64-byte values; holds an empty string.
    HelperCall& with_constants(int fd) {
        constants_ = fd;
        return *this;
    }
    /// An array of 64-byte values, for dynptrs.
    HelperCall& with_memory(int fd) {
        memory_ = fd;
        return *this;
    }
    /// Instead of what the prototype asks for, argument `at` is made so.
    HelperCall& replace(unsigned at, std::vector<Insn> insns) {
        replaced_[at] = std::move(insns);
        return *this;
    }
    HelperCall& before(std::vector<Insn> insns) {
        before_ = std::move(insns);
        return *this;
    }
    HelperCall& after(std::vector<Insn> insns) {
        after_ = std::move(insns);
        return *this;
    }

    [[nodiscard]] Answer ask(const char* license = "GPL") const {
        std::vector<Insn> insns = prologue();
        append(insns, before_);
        for (unsigned at = 0; at < kMaxArgs; ++at) {
            append(insns, replaced_[at] ? *replaced_[at] : argument(at));
        }
        insns.push_back(call_helper(id_));
        append(insns, after_);
        append(insns, {mov_imm(0, 1), exit_insn()});
        return ask_verifier({.type = type_,
                             .attach_type = attach_,
                             .insns = std::move(insns),
                             .flags = required_flags(type_),
                             .license = license,
                             .log_level = 2});
    }

    static std::vector<Insn> stack_pointer(unsigned reg, std::int32_t off) {
        return {mov_reg(reg, 10), {.code = 0x07, .dst = std::uint8_t(reg & 0xf), .imm = off}};
    }
    /// The address of byte 0 of a map's value.
    static std::vector<Insn> map_value(unsigned reg, int fd) {
        return {{.code = 0x18,
                 .dst = std::uint8_t(reg & 0xf),
                 .src = std::uint8_t(LddwSrc::MapValueFd),
                 .imm = fd},
                {}};
    }

  private:
    HelperCall(ProgType type, std::uint32_t attach, std::uint32_t id, const HelperProto& proto)
        : type_(type), attach_(attach), id_(id), proto_(proto) {}

    static void append(std::vector<Insn>& to, const std::vector<Insn>& more) {
        to.insert(to.end(), more.begin(), more.end());
    }
    static const std::vector<std::uint32_t>& some_attach_types(ProgType type) {
        static std::map<ProgType, std::vector<std::uint32_t>> known;
        const auto [at, is_new] = known.try_emplace(type);
        std::vector<std::uint32_t>& all = at->second;
        if (is_new) {
            all = attach_types_of(type);
        }
        if (all.size() > 20) {
            all = {0, std::to_underlying(AttachType::CgroupDevice)};
        }
        return all;
    }

    // The field of the context that holds a socket.
    static const CtxField* socket_field(ProgType type, std::uint32_t attach, bool full) {
        using enum CtxFieldKind;
        static std::vector<std::shared_ptr<const CtxLayout>> kept;
        const auto& layout = kept.emplace_back(prog::ctx_layout(type, attach));
        for (const CtxField& field : layout->fields) {
            const bool is_full = field.kind == Socket || field.kind == SocketOrNull;
            if (is_full || (!full && field.kind == SockCommonOrNull)) {
                return &field;
            }
        }
        return nullptr;
    }
    static bool needs(const HelperProto& proto, std::initializer_list<ArgType> types) {
        return std::ranges::any_of(
            proto.args, [&](ArgType arg) { return std::ranges::find(types, arg) != types.end(); });
    }
    static bool needs_socket(const HelperProto& proto) {
        return needs(
            proto, {ArgType::PtrToSockCommon, ArgType::PtrToSocket, ArgType::PtrToBtfIdSockCommon});
    }
    static bool can_make(ProgType type, std::uint32_t attach, const HelperProto& proto) {
        using enum ArgType;
        if (needs(proto, {PtrToSpinLock, PtrToTimer, PtrToKptr, PtrToFunc, PtrToRingbufMem,
                          PtrToSocketRelease, PtrToPercpuBtfId, PtrToDynptrRingbufRelease})) {
            return false;
        }
        for (unsigned at = 0; at < kMaxArgs; ++at) {
            if (proto.args[at] == PtrToBtfId && proto.arg_btf[at] != "task_struct") {
                return false;
            }
        }
        return !needs_socket(proto) || socket_field(type, attach, false) != nullptr;
    }

    [[nodiscard]] std::vector<Insn> prologue() const {
        std::vector<Insn> insns{mov_reg(6, 1), mov_imm(7, 0), mov_imm(9, 0)};
        for (std::int16_t off = -128; off < 0; off = std::int16_t(off + 8)) {
            insns.push_back({.code = 0x7a, .dst = 10, .off = off});
        }
        if (needs_socket(proto_)) {
            const auto off = std::int16_t(socket_field(type_, attach_, false)->off);
            append(insns, {{.code = 0x79, .dst = 7, .src = 6, .off = off},
                           {.code = 0x55, .dst = 7, .off = 2}, // if r7 != 0
                           mov_imm(0, 1),
                           exit_insn()});
        }
        if (needs(proto_, {ArgType::PtrToBtfId})) {
            append(insns, {call_helper(158), mov_reg(8, 0)});
        }
        if (needs(proto_, {ArgType::PtrToDynptr})) {
            append(insns, map_value(1, memory_));
            append(insns, {mov_imm(2, 8), mov_imm(3, 0)});
            append(insns, stack_pointer(4, -144));
            insns.push_back(call_helper(197));
        }
        return insns;
    }

    [[nodiscard]] std::vector<Insn> argument(unsigned at) const {
        using enum ArgType;
        const unsigned reg = at + 1;
        switch (proto_.args[at]) {
        case None:
            return {};
        case Anything:
        case AnythingOrNone:
        case Scalar:
        case PtrToStackOrNull:
        case PtrToMapValueOrNull:
        case PtrToSocketOrNull:
        case PtrToBtfIdSockCommonOrNull:
        case PtrToBtfIdOrNull:
        case PtrToBtfIdOrNullRelease:
            return {mov_imm(reg, 0)};
        case ConstMapPtr:
            return {{.code = 0x18,
                     .dst = std::uint8_t(reg & 0xf),
                     .src = std::uint8_t(LddwSrc::MapFd),
                     .imm = map_},
                    {}};
        case ConstSize:
        case ConstSizeOrZero:
        case ConstAllocSizeOrZero:
            return {mov_imm(reg, 8)};
        case PtrToMapKey:
        case PtrToMapValue:
        case PtrToUninitMapValue:
        case PtrToMem:
        case PtrToMemOrNull:
        case PtrToUninitMem:
        case PtrToWritableMem:
        case PtrToWritableMemOrNull:
        case PtrToInt:
        case PtrToLong:
            return stack_pointer(reg, -128);
        case PtrToUninitDynptrLocal:
        case PtrToUninitDynptrRingbuf:
            return stack_pointer(reg, -160);
        case PtrToDynptr:
            return stack_pointer(reg, -144);
        case PtrToCtx:
        case PtrToCtxOrNull:
            return {mov_reg(reg, 6)};
        case PtrToConstStr:
            return map_value(reg, constants_);
        case PtrToSockCommon:
        case PtrToSocket:
        case PtrToBtfIdSockCommon:
            return {mov_reg(reg, 7)};
        case PtrToBtfId:
            return {mov_reg(reg, 8)};
        case PtrToRingbufMem:
        case PtrToSpinLock:
        case PtrToTimer:
        case PtrToKptr:
        case PtrToFunc:
        case PtrToSocketRelease:
        case PtrToPercpuBtfId:
        case PtrToDynptrRingbufRelease:
            return {}; // can_make() said no
        }
        std::unreachable();
    }

    ProgType type_;
    std::uint32_t attach_;
    std::uint32_t id_;
    HelperProto proto_;
    int map_ = -1;
    int constants_ = -1;
    int memory_ = -1;
    std::array<std::optional<std::vector<Insn>>, kMaxArgs> replaced_;
    std::vector<Insn> before_;
    std::vector<Insn> after_;
};

} // namespace ebpfvm::test
