// From rows of helpers.def to HelperTable::defaults().
#include "helpers/helpers.hpp"
#include "support/assert.hpp"

namespace ebpfvm {

HelperTable HelperTable::defaults() {
    HelperTable table;
    const auto add = [&table](std::uint32_t id, HelperFn fn) {
        [[maybe_unused]] const auto added =
            table.add(id, {.proto = *uapi_helper(id), .fn = fn, .data = nullptr});
        EBPFVM_ASSERT(added.has_value());
    };
#define EBPFVM_HELPER(id, name, ret, flags, ...) add(id, &helpers::name);
#define EBPFVM_HELPER_OF_ENGINE(id, name, ret, flags, ...) add(id, nullptr);
#include "ebpfvm/tables/helpers.def"
    return table;
}

} // namespace ebpfvm
