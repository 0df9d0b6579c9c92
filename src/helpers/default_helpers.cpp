// From rows of helpers.def to HelperTable::defaults().
#include "helpers/helpers.hpp"
#include "support/assert.hpp"

namespace ebpfvm {

HelperTable HelperTable::defaults() {
    using enum ArgType;
    HelperTable table;
    const auto add = [&table](std::uint32_t id, const char* name, HelperFn fn, RetType ret,
                              std::array<ArgType, kMaxArgs> args) {
        [[maybe_unused]] const auto added = table.add(
            id, {.proto = {.name = name, .ret = ret, .args = args}, .fn = fn, .data = nullptr});
        EBPFVM_ASSERT(added.has_value());
    };
#define EBPFVM_HELPER(id, name, ret, ...)                                                          \
    add(id, #name, &helpers::name, RetType::ret, {__VA_ARGS__});
#define EBPFVM_HELPER_OF_ENGINE(id, name, ret, ...)                                                \
    add(id, #name, nullptr, RetType::ret, {__VA_ARGS__});
#include "ebpfvm/tables/helpers.def"
    return table;
}

std::string_view helper_name(std::uint32_t id) {
    switch (id) {
#define EBPFVM_HELPER(id, name, ret, ...)                                                          \
    case id:                                                                                       \
        return #name;
#include "ebpfvm/tables/helpers.def"
    }
    return "";
}

} // namespace ebpfvm
