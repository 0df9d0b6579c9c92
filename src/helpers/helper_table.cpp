// HelperTable: checks prototypes when they are registered, so that nobody has to doubt them later.
#include "ebpfvm/helper.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <span>

namespace ebpfvm {
namespace {

bool is_memory(ArgType type) {
    switch (type) {
    case ArgType::PtrToMem:
    case ArgType::PtrToMemOrNull:
    case ArgType::PtrToUninitMem:
    case ArgType::PtrToWritableMem:
    case ArgType::PtrToWritableMemOrNull:
    case ArgType::PtrToInt:
    case ArgType::PtrToLong:
        return true;
    case ArgType::None:
    case ArgType::Anything:
    case ArgType::AnythingOrNone:
    case ArgType::Scalar:
    case ArgType::ConstMapPtr:
    case ArgType::PtrToMapKey:
    case ArgType::PtrToMapValue:
    case ArgType::PtrToMapValueOrNull:
    case ArgType::PtrToUninitMapValue:
    case ArgType::ConstSize:
    case ArgType::ConstSizeOrZero:
    case ArgType::ConstAllocSizeOrZero:
    case ArgType::PtrToCtx:
    case ArgType::PtrToCtxOrNull:
    case ArgType::PtrToRingbufMem:
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
        return false;
    }
    std::unreachable();
}

bool needs_map(ArgType type) {
    return type == ArgType::PtrToMapKey || type == ArgType::PtrToMapValue ||
           type == ArgType::PtrToMapValueOrNull || type == ArgType::PtrToUninitMapValue;
}

bool has(std::span<const ArgType> args, ArgType type) {
    return std::find(args.begin(), args.end(), type) != args.end();
}

// One argument, seen with those before and after it.
Expected<void> check_arg(const HelperProto& proto, unsigned at) {
    const auto fail_arg = [&](const char* what) {
        return fail(Errc::InvalidArgument, "helper \"{}\": argument {}: {}", proto.name, at + 1,
                    what);
    };
    const ArgType type = proto.args[at];
    const ArgType before = at > 0 ? proto.args[at - 1] : ArgType::None;
    const ArgType after = at + 1 < kMaxArgs ? proto.args[at + 1] : ArgType::None;
    const bool has_fixed_size = proto.arg_sizes[at] != 0;
    if (type != ArgType::None && at > 0 && before == ArgType::None) {
        return fail_arg("there is no argument before it");
    }
    if (is_size(type) && !is_memory(before)) {
        return fail_arg("a size without memory before it");
    }
    if (has_fixed_size && !is_memory(type)) {
        return fail_arg("a fixed size, but no memory");
    }
    if (is_memory(type) && has_fixed_size == is_size(after)) {
        return fail_arg(has_fixed_size ? "memory with a fixed size and a size argument"
                                       : "memory without a size");
    }
    if (needs_map(type) && !has({proto.args.data(), at}, ArgType::ConstMapPtr)) {
        return fail_arg("a key or value without a map before it");
    }
    return {};
}

Expected<void> check_return(const HelperProto& proto) {
    const auto fail_return = [&](const char* what) {
        return fail(Errc::InvalidArgument, "helper \"{}\": returns {}", proto.name, what);
    };
    const bool has_alloc_size = has(proto.args, ArgType::ConstAllocSizeOrZero);
    switch (proto.ret) {
    case RetType::PtrToMapValueOrNull:
    case RetType::PtrToMapValue:
        if (proto.args[0] != ArgType::ConstMapPtr) { // engines look for it there
            return fail_return("a map value, but its first argument is no map");
        }
        break;
    case RetType::PtrToRingbufMemOrNull:
    case RetType::PtrToDynptrMemOrNull:
        if (!has_alloc_size) {
            return fail_return("a record, but takes no size");
        }
        return {};
    case RetType::PtrToMemOrNull:
        if ((proto.ret_size != 0) == has_alloc_size) {
            return fail_return(
                "memory that needs either a fixed size or an argument with its size");
        }
        return {};
    case RetType::Integer:
    case RetType::Void:
    case RetType::PtrToSocketOrNull:
    case RetType::PtrToSockCommonOrNull:
    case RetType::PtrToTcpSockOrNull:
    case RetType::PtrToBtfId:
    case RetType::PtrToBtfIdOrNull:
    case RetType::PtrToMemOrBtfId:
    case RetType::PtrToMemOrBtfIdOrNull:
        break;
    }
    if (has_alloc_size || proto.ret_size != 0) {
        return fail_return("no memory, but has a size for it");
    }
    return {};
}

Expected<void> check_helper(const Helper& helper) {
    if (helper.proto.name.empty()) {
        return fail(Errc::InvalidArgument, "a helper without a name");
    }
    for (unsigned at = 0; at < kMaxArgs; ++at) {
        TRY(check_arg(helper.proto, at));
    }
    return check_return(helper.proto);
}

Expected<void> check_has_function(const Helper& helper) {
    if (helper.fn == nullptr) {
        return fail(Errc::InvalidArgument, "helper \"{}\" has no function", helper.proto.name);
    }
    return {};
}

} // namespace

Expected<void> HelperTable::add(std::uint32_t id, Helper helper) {
    TRY(check_helper(helper));
    if (id != kTailCallId && id != kLoopId) {
        TRY(check_has_function(helper));
    }
    by_id_.insert_or_assign(id, std::move(helper));
    return {};
}

Expected<void> HelperTable::add(Helper helper) {
    TRY(check_helper(helper));
    TRY(check_has_function(helper));
    std::string name = helper.proto.name;
    by_name_.insert_or_assign(std::move(name), std::move(helper));
    return {};
}

const Helper* HelperTable::find(std::uint32_t id) const {
    const auto found = by_id_.find(id);
    return found != by_id_.end() ? &found->second : nullptr;
}

const Helper* HelperTable::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found != by_name_.end() ? &found->second : nullptr;
}

} // namespace ebpfvm
