// One rule per ArgType. Tested by interp/checked_mode_test.cpp.
#include "exec/helper_args.hpp"

#include "exec/guard.hpp"
#include "maps/ringbuf_map.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ebpfvm::exec {
namespace {

struct Call {
    RunState& state;
    const HelperProto& proto;
    std::uint64_t* args;
    Map* map = nullptr; // last map argument

    ArgFault fault(unsigned at, std::string_view must) const {
        return {.reason = fmt::format("r{} is {:#x}, must {}", at + 1, args[at], must)};
    }

    // Memory that is that part of the map.
    std::optional<ArgFault> of_map(unsigned at, std::uint32_t MapSpec::*size, Access access,
                                   std::string_view part) const {
        if (map == nullptr) {
            return fault(at, "follow a map");
        }
        const Verdict verdict = check_memory(state, args[at], map->spec().*size, access);
        return verdict.ok ? std::nullopt
                          : std::optional(memory_fault(
                                at, map->spec().*size, access, verdict,
                                fmt::format("{} of map \"{}\"", part, map->spec().name)));
    }

    ArgFault memory_fault(unsigned at, std::uint64_t size, Access access, const Verdict& verdict,
                          std::string_view what) const {
        const char* right = access == Access::Read ? "readable" : "writable";
        ArgFault result = fault(at, fmt::format("point to {} {} bytes ({})", size, right, what));
        result.memory_class = verdict.memory_class;
        if (verdict.kind == FaultKind::StaleMapValue) {
            result.kind = verdict.kind;
        }
        return result;
    }

    // Memory whose size is the next argument or fixed by the prototype.
    std::optional<ArgFault> sized_memory(unsigned at, Access access) const {
        const std::uint64_t size = proto.has_size_arg(at) ? args[at + 1] : proto.arg_sizes[at];
        if (size == 0) {
            return std::nullopt;
        }
        const Verdict verdict = check_memory(state, args[at], size, access);
        return verdict.ok ? std::nullopt
                          : std::optional(memory_fault(at, size, access, verdict, "memory"));
    }

    std::optional<ArgFault> map_pointer(unsigned at) {
        map = find_map(state, args[at]);
        return map != nullptr ? std::nullopt : std::optional(fault(at, "be a map of the program"));
    }

    std::optional<ArgFault> ringbuf_record(unsigned at) const {
        const auto is_record = [this, at](const CallContext::Grant& grant) {
            return grant.release == &maps::RingbufMap::discard &&
                   reinterpret_cast<std::uintptr_t>(grant.begin) == args[at];
        };
        return std::ranges::any_of(state.grants(), is_record)
                   ? std::nullopt
                   : std::optional(fault(at, "be a reserved ringbuf record"));
    }

    std::optional<ArgFault> context(unsigned at) const {
        if (args[at] != state.ctx_address) {
            return fault(at, "be the context");
        }
        args[at] = reinterpret_cast<std::uintptr_t>(state.ctx_);
        return std::nullopt;
    }

    std::optional<ArgFault> aligned(unsigned at, std::uint64_t alignment, Access access) const {
        return args[at] % alignment == 0
                   ? sized_memory(at, access)
                   : std::optional(fault(at, fmt::format("be aligned to {}", alignment)));
    }

    std::optional<ArgFault> check(unsigned at) {
        constexpr std::uint64_t kMaxAlloc = 0x7fff'ffff;
        const bool is_plain_null = args[at] == 0 && !proto.has_size_arg(at);
        switch (proto.args[at]) {
        case ArgType::None:
        case ArgType::Anything:
        case ArgType::AnythingOrNone:
        case ArgType::Scalar:
        case ArgType::ConstSizeOrZero:
            return std::nullopt;
        case ArgType::ConstMapPtr:
            return map_pointer(at);
        case ArgType::PtrToMapKey:
            return of_map(at, &MapSpec::key_size, Access::Read, "key");
        case ArgType::PtrToMapValueOrNull:
            if (is_plain_null) {
                return std::nullopt;
            }
            [[fallthrough]];
        case ArgType::PtrToMapValue:
            return of_map(at, &MapSpec::value_size, Access::Read, "value");
        case ArgType::PtrToUninitMapValue:
            return of_map(at, &MapSpec::value_size, Access::Write, "value");
        case ArgType::PtrToMemOrNull: // with a size argument, null must come with size 0
            return is_plain_null ? std::nullopt : sized_memory(at, Access::Read);
        case ArgType::PtrToWritableMemOrNull:
            return is_plain_null ? std::nullopt : sized_memory(at, Access::ReadWrite);
        case ArgType::PtrToMem:
            return sized_memory(at, Access::Read);
        case ArgType::PtrToUninitMem:
            return sized_memory(at, Access::Write);
        case ArgType::PtrToWritableMem:
            return sized_memory(at, Access::ReadWrite);
        case ArgType::PtrToInt:
            return aligned(at, 4, Access::ReadWrite);
        case ArgType::PtrToLong:
            return aligned(at, 8, Access::Write);
        case ArgType::ConstSize:
            return args[at] != 0 ? std::nullopt : std::optional(fault(at, "be at least 1"));
        case ArgType::ConstAllocSizeOrZero:
            return args[at] <= kMaxAlloc ? std::nullopt
                                         : std::optional(fault(at, "be at most 2147483647"));
        case ArgType::PtrToCtxOrNull:
            if (args[at] == 0) {
                return std::nullopt;
            }
            [[fallthrough]];
        case ArgType::PtrToCtx:
            return context(at);
        case ArgType::PtrToRingbufMem:
            return ringbuf_record(at);
        case ArgType::PtrToSpinLock:
        case ArgType::PtrToTimer:
        case ArgType::PtrToKptr:
        case ArgType::PtrToConstStr:
        case ArgType::PtrToFunc:
        case ArgType::PtrToStackOrNull:
        case ArgType::PtrToSockCommon:
        case ArgType::PtrToSocket:
        case ArgType::PtrToSocketOrNull:
        case ArgType::PtrToSocketRelease:
        case ArgType::PtrToBtfIdSockCommon:
        case ArgType::PtrToBtfIdSockCommonOrNull:
        case ArgType::PtrToBtfId:
        case ArgType::PtrToBtfIdOrNull:
        case ArgType::PtrToBtfIdOrNullRelease:
        case ArgType::PtrToPercpuBtfId:
        case ArgType::PtrToDynptr:
        case ArgType::PtrToUninitDynptrLocal:
        case ArgType::PtrToUninitDynptrRingbuf:
        case ArgType::PtrToDynptrRingbufRelease:
            return fault(at, "be of a kind that only a verifier can check");
        }
        std::unreachable();
    }
};

} // namespace

std::optional<ArgFault> check_args(RunState& state, const HelperProto& proto, std::uint64_t* args) {
    Call call{state, proto, args};
    for (unsigned at = 0; at < kMaxArgs; ++at) {
        if (auto fault = call.check(at)) {
            return fault;
        }
    }
    return std::nullopt;
}

} // namespace ebpfvm::exec
