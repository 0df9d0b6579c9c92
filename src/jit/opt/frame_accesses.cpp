#include "jit/opt/frame_accesses.hpp"

namespace ebpfvm::jit::opt {

void FrameAccesses::find() {
    bool is_passed_on = false;
    for (const BlockId block : fn_.layout) {
        for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
            Node& node = fn_[id];
            if (is_access(node.kind) && is_frame(node.args[0]) && node.args[1] == 0) {
                add_access(id);
            } else if (node.kind == Kind::CallHelper) {
                add_call(id);
            } else {
                each_arg(fn_, node, [&](ValueId& arg) { is_passed_on |= is_frame(arg); });
            }
        }
    }
    escapes |= is_passed_on;
}

void FrameAccesses::add_access(ValueId id) {
    const Node& node = fn_[id];
    if (is_plain_access(node) && !node.is_ordered) {
        const bool is_load = node.kind == Kind::Load;
        accesses.push_back({span_of(node), is_load, !is_load && !fn_.is_const(node.args[2])});
        places.push_back(id);
    } else {
        fixed.push_back(span_of(node));
    }
    for (const unsigned i : {2U, 3U}) {
        escapes |= is_frame(node.args[i]);
    }
}

void FrameAccesses::add_call(ValueId id) {
    const Node& call = fn_[id];
    const auto args = fn_.list(call);
    for (unsigned i = 0; i < args.size(); ++i) {
        if (is_frame(args[i])) {
            pass(call, i);
        }
    }
    places.push_back(id);
}

// A helper gets an address; the verifier has seen how much behind it it may touch.
void FrameAccesses::pass(const Node& call, unsigned i) {
    const std::optional<Span> span = span_of(call, i);
    if (!span) {
        escapes = true;
    } else if (only_reads(call, i)) {
        reads.push_back(*span);
    } else {
        fixed.push_back(*span);
    }
}

std::optional<Span> FrameAccesses::span_of(const Node& call, unsigned i) const {
    const std::int64_t begin = fn_[fn_.list(call)[i]].imm;
    const auto size = bytes_of(call, i);
    return size ? std::optional(Span{begin, begin + *size}) : std::nullopt;
}

bool FrameAccesses::only_reads(const Node& call, unsigned i) {
    const ArgType type = reinterpret_cast<const Helper*>(call.imm)->proto.args[i];
    return type == ArgType::PtrToMapKey || type == ArgType::PtrToMapValue ||
           type == ArgType::PtrToMapValueOrNull || type == ArgType::PtrToMem ||
           type == ArgType::PtrToMemOrNull;
}

std::optional<std::int64_t> FrameAccesses::bytes_of(const Node& call, unsigned i) const {
    const HelperProto& proto = reinterpret_cast<const Helper*>(call.imm)->proto;
    const auto args = fn_.list(call);
    switch (proto.args[i]) {
    case ArgType::PtrToMapKey:
    case ArgType::PtrToMapValue:
    case ArgType::PtrToMapValueOrNull:
        if (proto.args[0] != ArgType::ConstMapPtr || !fn_.is_const(args[0])) {
            return std::nullopt;
        }
        return map_bytes(*reinterpret_cast<const Map*>(fn_.value_of(args[0])),
                         proto.args[i] == ArgType::PtrToMapKey);
    default:
        break;
    }
    if (proto.has_size_arg(i)) {
        return fn_.is_const(args[i + 1])
                   ? std::optional(std::int64_t(std::uint32_t(fn_.value_of(args[i + 1]))))
                   : std::nullopt;
    }
    return proto.arg_sizes[i] != 0 ? std::optional<std::int64_t>(proto.arg_sizes[i]) : std::nullopt;
}

std::int64_t FrameAccesses::map_bytes(const Map& map, bool is_key) {
    return is_key ? map.spec().key_size : map.spec().value_size;
}

} // namespace ebpfvm::jit::opt
