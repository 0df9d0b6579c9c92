// Rows of helper_access.def as spans of constants. Tested by kernel/helper_access_test.cpp.
#include "prog/helper_access.hpp"

#include "ebpfvm/helper.hpp"
#include "prog/enum_list.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace ebpfvm::prog {
namespace {

enum class Match : std::uint8_t { Only, Except };

struct AttachSet {
    Match match;
    std::span<const AttachType> types;

    [[nodiscard]] constexpr bool contains(AttachType type) const {
        return (std::ranges::find(types, type) != types.end()) == (match == Match::Only);
    }
};

enum class Group : std::uint8_t {
#define EBPFVM_HELPER_GROUP(group, ...) group,
#include "ebpfvm/tables/helper_access.def"
};

struct Row {
    ProgType type;
    AttachSet attach;
    std::span<const Group> groups;
};

namespace helpers {
using enum HelperId;
#define EBPFVM_HELPER_GROUP(group, ...) constexpr HelperId k##group[] = {__VA_ARGS__};
#include "ebpfvm/tables/helper_access.def"
} // namespace helpers

namespace attach {
using enum AttachType;
#define EBPFVM_ATTACH_SET(set, match, ...)                                                         \
    constexpr AttachSet k##set{Match::match, kList<AttachType __VA_OPT__(, ) __VA_ARGS__>};
#include "ebpfvm/tables/helper_access.def"
} // namespace attach

namespace groups {
using enum Group;
constexpr Row kRows[] = {
#define EBPFVM_HELPER_ACCESS(type, set, ...)                                                       \
    {ProgType::type, attach::k##set, kList<Group, __VA_ARGS__>},
#include "ebpfvm/tables/helper_access.def"
};
} // namespace groups

std::span<const HelperId> helpers_of(Group group) {
    switch (group) {
#define EBPFVM_HELPER_GROUP(group, ...)                                                            \
    case Group::group:                                                                             \
        return helpers::k##group;
#include "ebpfvm/tables/helper_access.def"
    }
    std::unreachable();
}

bool is_of_kernel(ProgType type) {
    switch (type) {
    case ProgType::Unspec:
        return false;
#define EBPFVM_PROG_TYPE(name, id, text, ctx) case ProgType::name:
#include "ebpfvm/tables/prog_types.def"
        return true;
    }
    return false;
}

} // namespace

std::uint32_t effective_attach_type(ProgType type, std::uint32_t attach_type) {
    if (attach_type == 0 && type == ProgType::CgroupSock) {
        return std::to_underlying(AttachType::CgroupInetSockCreate);
    }
    if (attach_type == 0 && type == ProgType::SkReuseport) {
        return std::to_underlying(AttachType::SkReuseportSelect);
    }
    return attach_type;
}

bool helper_allowed(ProgType type, std::uint32_t attach_type, std::uint32_t id) {
    if (!is_of_kernel(type)) {
        return true;
    }
    const auto attach = AttachType(effective_attach_type(type, attach_type));
    const auto offers = [id](Group group) {
        const std::span<const HelperId> helpers = helpers_of(group);
        return std::ranges::find(helpers, HelperId(id)) != helpers.end();
    };
    return std::ranges::any_of(groups::kRows, [&](const Row& row) {
        return row.type == type && row.attach.contains(attach) &&
               std::ranges::any_of(row.groups, offers);
    });
}

} // namespace ebpfvm::prog
