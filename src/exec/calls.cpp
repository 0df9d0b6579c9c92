// Where calls of a running program go.
#include "exec/calls.hpp"

#include "maps/prog_array_map.hpp"

#include <algorithm>

namespace ebpfvm::exec {

Callee resolve_callx(const Code& code, std::uint64_t value) {
    const auto begin = reinterpret_cast<std::uintptr_t>(code.slots.data());
    if (value >= begin && value < begin + code.slots.size() * sizeof(Slot)) {
        const std::uint64_t index = (value - begin) / sizeof(Slot);
        const bool is_entry =
            (value - begin) % sizeof(Slot) == 0 && std::ranges::binary_search(code.subprogs, index);
        return {is_entry ? code.slots.data() + index : nullptr, nullptr};
    }
    const auto helper = value <= 0xffff'ffff ? code.callx_helpers.find(std::uint32_t(value))
                                             : code.callx_helpers.end();
    return {nullptr, helper == code.callx_helpers.end() ? nullptr : &helper->second};
}

bool enter_map_of_maps(RunState& state, const Helper& helper, std::uint64_t map_address) {
    if (helper.proto.ret != RetType::PtrToMapValueOrNull) {
        return true;
    }
    Map& map = *reinterpret_cast<Map*>(map_address);
    return !maps::is_map_of_maps(map.spec().type) ||
           state.enter(static_cast<maps::MapOfMaps&>(map));
}

const Code* tail_call_target(RunState& state, const std::uint64_t* r) {
    auto& map = static_cast<maps::ProgArrayMap&>(*reinterpret_cast<Map*>(r[2]));
    if (state.tail_calls >= kMaxTailCalls) {
        return nullptr;
    }
    auto target = std::static_pointer_cast<const Code>(map.prog(std::uint32_t(r[3])));
    if (target == nullptr || target->ctx != state.code->ctx ||
        target->is_verified != state.code->is_verified ||
        (target->native == nullptr) != (state.code->native == nullptr)) {
        return nullptr;
    }
    ++state.tail_calls;
    return state.keep(std::move(target));
}

FaultPtr check_tail_call(RunState& state, const Slot* pc, const std::uint64_t* r) {
    std::uint64_t args[kMaxArgs] = {r[1], r[2], r[3]};
    auto bad = check_args(state, *uapi_helper(kTailCallId), args);
    if (!bad && reinterpret_cast<Map*>(r[2])->spec().type != MapType::ProgArray) {
        bad = ArgFault{.reason = "r2 must be a prog_array"};
    }
    return bad ? make_fault(state, pc, bad->kind, "tail_call: " + bad->reason) : nullptr;
}

} // namespace ebpfvm::exec
