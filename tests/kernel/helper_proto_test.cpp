// The prototypes of tables/helpers.def against the running kernel: calls that they allow are
// accepted, calls that they forbid are refused, and results are what they say. Not asked: helpers
// that need a callback, a lock, a timer, a kptr, a held reference, or BTF of what a program
// attaches to.
#include "kernel/helper_call.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ebpfvm::test {
namespace {

constexpr std::uint32_t kValueSize = 64;

// Maps that calls need, new for each helper: some belong to the first program type that uses them.
class Resources {
  public:
    explicit Resources(std::uint32_t id) {
        const std::uint32_t key = 0;
        const std::array<char, kValueSize> empty_string{};
        constants_.update(&key, empty_string.data());
        constants_.freeze();
        for (const auto& [type, fd] : maps_.all()) {
            if (map_ < 0 && prog::map_allows_helper(type, id) && type != MapType::CgroupStorage) {
                map_ = fd.get();
                map_type_ = type;
            }
        }
    }
    void give(HelperCall& call) const {
        call.with_map(map_).with_constants(constants_.fd()).with_memory(memory_.fd());
        if (call.proto().name == "dynptr_from_mem") { // wants a map value, not the stack
            call.replace(0, HelperCall::map_value(1, memory_.fd()));
        }
    }
    [[nodiscard]] bool fits_sleepable() const {
        return map_ < 0 || prog::sleepable_may_use(map_type_);
    }
    [[nodiscard]] int constants() const { return constants_.fd(); }

  private:
    static KernelMap array(std::uint32_t flags) {
        return KernelMap::create({.name = "bytes",
                                  .type = MapType::Array,
                                  .key_size = 4,
                                  .value_size = kValueSize,
                                  .max_entries = 1,
                                  .flags = flags})
            .value();
    }
    KernelMaps maps_;
    KernelMap constants_ = array(map_flags::kRdonlyProg);
    KernelMap memory_ = array(0);
    int map_ = -1;
    MapType map_type_ = MapType::Unspec;
};

bool accepts(const Answer& answer) {
    return answer.accepted() || answer.says("Unreleased reference");
}

std::string where(const HelperCall& call, std::string_view what) {
    return fmt::format("{} in {}: {}", call.proto().name, name_of(call.type()), what);
}

// What the log calls a register of this kind.
std::string_view kernel_text(RetType type) {
    switch (type) {
    case RetType::Integer:
        return "scalar(";
    case RetType::Void:
        return "";
    case RetType::PtrToMapValueOrNull:
        return "map_value_or_null(";
    case RetType::PtrToMapValue:
        return "map_value(";
    case RetType::PtrToRingbufMemOrNull:
        return "ringbuf_mem_or_null(";
    case RetType::PtrToMemOrNull:
    case RetType::PtrToDynptrMemOrNull:
        return "mem_or_null(";
    case RetType::PtrToSocketOrNull:
        return "sock_or_null(";
    case RetType::PtrToSockCommonOrNull:
        return "sock_common_or_null(";
    case RetType::PtrToTcpSockOrNull:
        return "tcp_sock_or_null(";
    case RetType::PtrToBtfId:
        return "ptr_";
    case RetType::PtrToBtfIdOrNull:
        return "ptr_or_null_";
    case RetType::PtrToMemOrBtfId:
    case RetType::PtrToMemOrBtfIdOrNull:
        return "mem";
    }
    std::unreachable();
}

// The word after "R0=" or "R0_w=" behind the call.
std::string result_of(const Answer& answer, const HelperCall& call) {
    std::string_view log = answer.log;
    const std::size_t at = log.rfind(fmt::format(") call bpf_{}#", call.proto().name));
    log.remove_prefix(std::min(at, log.size()));
    const auto skip_to = [&log](std::string_view text) {
        log.remove_prefix(std::min(log.find(text), log.size()));
    };
    skip_to("R0");
    skip_to("=");
    return std::string(log.substr(0, log.find_first_of(" \n")));
}

// Arguments of which the kernel asks more than its prototype says.
bool is_special(const HelperCall& call, unsigned at) {
    const std::string& name = call.proto().name;
    return (name == "dynptr_from_mem" && at < 3) ||  // memory of a map, with that size; flags 0
           (name == "get_local_storage" && at == 1); // flags 0
}

template <class Check>
void for_each_call(Check&& check) {
    std::size_t count = 0;
    for (std::uint32_t id = 1; uapi_helper(id) != nullptr; ++id) {
        const bool is_optional = HelperId(id) == HelperId::probe_write_user || // if not locked down
                                 HelperId(id) == HelperId::override_return; // BPF_KPROBE_OVERRIDE
        if (is_optional) {
            continue;
        }
        for (HelperCall& call : HelperCall::all_of(id)) {
            const Resources resources(id);
            resources.give(call);
            if (call.type() == ProgType::Syscall && !resources.fits_sleepable()) {
                continue;
            }
            check(call, resources);
            ++count;
        }
    }
    fmt::print("{} pairs of helper and program type\n", count);
    EXPECT_GT(count, 1000U);
}

TEST(HelperProto, CallsItAllowsAreAcceptedAndReturnWhatItSays) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    for_each_call([](HelperCall& call, const Resources&) {
        const Answer answer = call.ask();
        EXPECT_TRUE(accepts(answer)) << where(call, "call") << "\n" << answer.log;
        const std::string result = result_of(answer, call);
        const HelperProto& proto = call.proto();
        EXPECT_NE(result.find(kernel_text(proto.ret)), std::string::npos)
            << where(call, "returns ") << result;
        EXPECT_NE(result.find(proto.ret_btf), std::string::npos) << result;
        EXPECT_EQ(answer.says("Unreleased reference"),
                  has(proto.flags, HelperFlags::Acquires) || proto.name == "ringbuf_reserve_dynptr")
            << where(call, "acquires");
    });
}

TEST(HelperProto, TellsWhichHelpersNeedTheGpl) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    for_each_call([](HelperCall& call, const Resources&) {
        if (call.needs_other_helpers()) { // which may need the GPL themselves
            return;
        }
        EXPECT_EQ(call.ask("Proprietary").says("cannot call GPL-restricted function"),
                  has(call.proto().flags, HelperFlags::Gpl))
            << where(call, "GPL");
    });
}

bool accepts_zero(ArgType type) {
    using enum ArgType;
    constexpr ArgType kTypes[] = {Anything,
                                  AnythingOrNone,
                                  Scalar,
                                  ConstSizeOrZero,
                                  PtrToStackOrNull,
                                  PtrToMapValueOrNull,
                                  PtrToSocketOrNull,
                                  PtrToBtfIdSockCommonOrNull,
                                  PtrToBtfIdOrNull,
                                  ConstAllocSizeOrZero,
                                  PtrToCtxOrNull};
    return std::ranges::find(kTypes, type) != std::end(kTypes);
}

bool accepts_stack_pointer(ArgType type) {
    return type == ArgType::Anything || type == ArgType::AnythingOrNone;
}

enum class MemoryUse : std::uint8_t { None, Reads, Writes };

MemoryUse memory_use(ArgType type) {
    using enum ArgType;
    constexpr ArgType kReads[] = {PtrToMem, PtrToMapKey, PtrToMapValue, PtrToMapValueOrNull};
    constexpr ArgType kWrites[] = {PtrToUninitMem, PtrToWritableMem, PtrToUninitMapValue,
                                   PtrToInt,       PtrToLong,        PtrToWritableMemOrNull};
    const auto is_in = [type](const auto& list) {
        return std::ranges::find(list, type) != std::end(list);
    };
    return is_in(kReads) ? MemoryUse::Reads : is_in(kWrites) ? MemoryUse::Writes : MemoryUse::None;
}

// Arguments that the kernel declares as memory it neither writes nor only reads: it then takes
// read-only memory of maps, although the helper writes there. Here they are writable memory.
bool is_laxer_in_the_kernel(const HelperCall& call, unsigned at) {
    return call.proto().args[at] == ArgType::PtrToWritableMem ||
           call.proto().args[at] == ArgType::PtrToWritableMemOrNull;
}

TEST(HelperProto, ArgumentsOfTheWrongKindAreRefused) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    for_each_call([](const HelperCall& call, const Resources& resources) {
        for (unsigned at = 0; at < kMaxArgs; ++at) {
            using enum ArgType;
            const ArgType type = call.proto().args[at];
            const unsigned reg = at + 1;
            const auto check = [&](std::vector<Insn> insns, bool wanted, const char* what) {
                const Answer answer = HelperCall(call).replace(at, std::move(insns)).ask();
                EXPECT_EQ(accepts(answer), wanted)
                    << where(call, fmt::format("argument {} {}", at + 1, what)) << "\n"
                    << answer.log;
            };
            if (type == None || type == ConstMapPtr || is_special(call, at)) {
                continue;
            }
            const bool has_size =
                at + 1 < kMaxArgs && (call.proto().args[at + 1] == ConstSize ||
                                      call.proto().args[at + 1] == ConstSizeOrZero);
            const bool is_optional = type == PtrToMemOrNull || type == PtrToWritableMemOrNull;
            if (!(is_optional && has_size)) { // null goes with size 0 alone
                check({mov_imm(reg, 0)}, accepts_zero(type) || is_optional, "is 0");
            }
            if (reg > 1) {
                check({}, type == AnythingOrNone, "is uninitialised");
            }
            const MemoryUse use = memory_use(type);
            const bool takes_stack =
                use != MemoryUse::None || is_optional || type == PtrToStackOrNull;
            if (!takes_stack && type != PtrToUninitDynptrLocal &&
                type != PtrToUninitDynptrRingbuf) {
                check(HelperCall::stack_pointer(reg, -128), accepts_stack_pointer(type),
                      "points to the stack");
            }
            if (use != MemoryUse::None && !is_laxer_in_the_kernel(call, at)) {
                check(HelperCall::map_value(reg, resources.constants()), use == MemoryUse::Reads,
                      "is read-only");
            }
            if (const auto size = std::int32_t(call.proto().arg_sizes[at]); size != 0) {
                check(HelperCall::stack_pointer(reg, -size), true, "has its size");
                check(HelperCall::stack_pointer(reg, -size / 2), false, "has half its size");
            }
        }
    });
}

// r9 = first byte of the packet, of which 64 are known to exist.
std::optional<std::vector<Insn>> packet_in_r9(const HelperCall& call) {
    const auto layout = prog::ctx_layout(call.type(), call.attach());
    const auto load = [&](CtxFieldKind kind, unsigned reg) -> std::optional<Insn> {
        const auto field = std::ranges::find(layout->fields, kind, &CtxField::kind);
        if (field == layout->fields.end()) {
            return std::nullopt;
        }
        return Insn{.code = std::uint8_t(field->size == 8 ? 0x79 : 0x61),
                    .dst = std::uint8_t(reg & 0xf),
                    .src = 6,
                    .off = std::int16_t(field->off)};
    };
    const auto data = load(CtxFieldKind::Packet, 9);
    const auto end = load(CtxFieldKind::PacketEnd, 3);
    if (!data || !end) {
        return std::nullopt;
    }
    return std::vector<Insn>{*data,
                             *end,
                             mov_reg(4, 9),
                             {.code = 0x07, .dst = 4, .imm = 64},
                             {.code = 0x3d, .dst = 3, .src = 4, .off = 2}, // if r3 >= r4
                             mov_imm(0, 1),
                             exit_insn()};
}

TEST(HelperProto, TellsWhichHelpersTakePacketsAndWhichChangeThem) {
    EBPFVM_SKIP_WITHOUT_YARDSTICK();
    std::size_t with_packet = 0;
    for_each_call([&](const HelperCall& call, const Resources&) {
        const auto prologue = packet_in_r9(call);
        if (!prologue) {
            return;
        }
        const Answer later = HelperCall(call)
                                 .before(*prologue)
                                 .after({{.code = 0x71, .dst = 2, .src = 9}}) // r2 = *(u8 *)r9
                                 .ask();
        EXPECT_EQ(accepts(later), !has(call.proto().flags, HelperFlags::ChangesPacket))
            << where(call, "changes the packet") << "\n"
            << later.log;
        for (unsigned at = 0; at < kMaxArgs; ++at) {
            if (memory_use(call.proto().args[at]) != MemoryUse::Reads) {
                continue;
            }
            const Answer answer =
                HelperCall(call).before(*prologue).replace(at, {mov_reg(at + 1, 9)}).ask();
            EXPECT_EQ(accepts(answer), prog::may_pass_packet(call.type(), call.proto()))
                << where(call, fmt::format("packet as argument {}", at + 1)) << "\n"
                << answer.log;
            ++with_packet;
        }
    });
    EXPECT_GT(with_packet, 100U);
}

} // namespace
} // namespace ebpfvm::test
