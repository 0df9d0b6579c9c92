// Rows of return_ranges.def. Tested by kernel/return_range_test.cpp.
#include "prog/return_range.hpp"

#include "prog/enum_list.hpp"
#include "prog/helper_access.hpp"

#include <algorithm>
#include <span>

namespace ebpfvm::prog {
namespace {

struct Row {
    ProgType type;
    ReturnRange range;
    std::span<const AttachType> attach; ///< empty: all
};

constexpr auto kRows = [] {
    using enum AttachType;
    return std::to_array<Row>({
#define EBPFVM_RETURN_RANGE(type, min, max, ...)                                                   \
    {ProgType::type, {min, max}, kList<AttachType __VA_OPT__(, ) __VA_ARGS__>},
#include "ebpfvm/tables/return_ranges.def"
    });
}();

} // namespace

std::optional<ReturnRange> return_range(ProgType type, std::uint32_t attach_type) {
    const auto attach = AttachType(effective_attach_type(type, attach_type));
    const auto row = std::ranges::find_if(kRows, [&](const Row& each) {
        return each.type == type &&
               (each.attach.empty() || std::ranges::find(each.attach, attach) != each.attach.end());
    });
    return row != std::end(kRows) ? std::optional(row->range) : std::nullopt;
}

} // namespace ebpfvm::prog
