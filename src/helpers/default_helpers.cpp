// From rows of helpers.def to HelperTable::defaults().
#include "helpers/helpers.hpp"
#include "support/assert.hpp"

namespace ebpfvm {
namespace {

void bind(HelperTable& table, HelperId id, HelperFn fn, CallUse use) {
    const auto number = std::to_underlying(id);
    [[maybe_unused]] const auto added =
        table.add(number, {.proto = *uapi_helper(number), .fn = fn, .use = use});
    EBPFVM_ASSERT(added.has_value());
}

} // namespace

HelperTable HelperTable::defaults() {
    HelperTable table;
#define EBPFVM_HELPER(id, name, ret, flags, ...)                                                   \
    bind(table, HelperId::name, &helpers::name, CallUse::NoAbort);
#define EBPFVM_HELPER_OF_ENGINE(id, name, ret, flags, ...)                                         \
    bind(table, HelperId::name, nullptr, CallUse::NoAbort);
#include "ebpfvm/tables/helpers.def"
    bind(table, HelperId::csum_diff, &helpers::csum_diff, CallUse::None);
    return table;
}

HelperTable helpers::table_for(const Environment& environment) {
    HelperTable table = HelperTable::defaults();
    if (!environment.clock) {
        bind(table, HelperId::ktime_get_ns, &system_ktime_get_ns, CallUse::None);
    }
    if (environment.random_seed == 0) {
        bind(table, HelperId::get_prandom_u32, &thread_prandom_u32, CallUse::None);
    }
    return table;
}

} // namespace ebpfvm
