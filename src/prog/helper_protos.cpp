// From rows of helpers.def to prototypes. Tested by kernel/helper_proto_test.cpp.
#include "prog/helper_protos.hpp"

#include <algorithm>
#include <initializer_list>
#include <vector>

namespace ebpfvm {
namespace {

// One argument as a row writes it.
struct Arg {
    Arg(ArgType t) : type(t) { // NOLINT(google-explicit-constructor): rows list bare ArgTypes
        size = t == ArgType::PtrToInt ? 4 : t == ArgType::PtrToLong ? 8 : 0;
    }

    ArgType type;
    std::uint32_t size = 0;
    const char* btf = "";
};

Arg fixed(ArgType type, std::uint32_t size) {
    Arg arg = type;
    arg.size = size;
    return arg;
}

Arg btf(ArgType type, const char* name) {
    Arg arg = type;
    arg.btf = name;
    return arg;
}

HelperProto make_proto(std::string_view name, RetType ret, HelperFlags flags,
                       std::initializer_list<Arg> args) {
    HelperProto proto{.name = std::string(name), .ret = ret, .flags = flags};
    std::size_t at = 0;
    for (const Arg& arg : args) {
        proto.args[at] = arg.type;
        proto.arg_sizes[at] = arg.size;
        proto.arg_btf[at] = arg.btf;
        ++at;
    }
    return proto;
}

struct Variant {
    std::uint32_t id;
    ProgType type;
    HelperProto proto;
};

struct Protos {
    std::vector<HelperProto> by_id; // no name: not a helper
    std::vector<Variant> variants;
};

Protos read_rows() {
    using enum ArgType;
    Protos protos;
    const auto add = [&protos](std::uint32_t id, HelperProto proto) {
        protos.by_id.resize(std::max<std::size_t>(protos.by_id.size(), id + 1));
        protos.by_id[id] = std::move(proto);
    };
#define EBPFVM_FLAGS(flags)                                                                        \
    [] {                                                                                           \
        using enum HelperFlags;                                                                    \
        return flags;                                                                              \
    }()
#define EBPFVM_HELPER(id, name, ret, flags, ...)                                                   \
    add(id, make_proto(#name, RetType::ret, EBPFVM_FLAGS(flags), {__VA_ARGS__}));
#define EBPFVM_HELPER_ABSENT EBPFVM_HELPER
#define EBPFVM_HELPER_VARIANT(id, type, ret, flags, ...)                                           \
    protos.variants.push_back(                                                                     \
        {id, ProgType::type,                                                                       \
         make_proto(protos.by_id[id].name, RetType::ret, EBPFVM_FLAGS(flags), {__VA_ARGS__})});
#define EBPFVM_HELPER_RETURNS_BTF(name, btf_name)                                                  \
    protos.by_id[std::to_underlying(HelperId::name)].ret_btf = btf_name;
#include "ebpfvm/tables/helpers.def"
#undef EBPFVM_FLAGS
    return protos;
}

const Protos& protos() {
    static const Protos kProtos = read_rows();
    return kProtos;
}

} // namespace

const HelperProto* uapi_helper(std::uint32_t id) {
    const std::vector<HelperProto>& rows = protos().by_id;
    return id < rows.size() && !rows[id].name.empty() ? &rows[id] : nullptr;
}

std::string_view helper_name(std::uint32_t id) {
    const HelperProto* proto = uapi_helper(id);
    return proto != nullptr ? std::string_view(proto->name) : "";
}

const HelperProto* prog::helper_proto(ProgType type, std::uint32_t id) {
    for (const Variant& variant : protos().variants) {
        if (variant.id == id && variant.type == type) {
            return &variant.proto;
        }
    }
    return uapi_helper(id);
}

} // namespace ebpfvm
