// Tags of parameters, as declarations ("arg:ctx") and bpft texts ("+ctx") name them.
#pragma once

#include "ebpfvm/object.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace ebpfvm::elf {

/// False if there is no such tag.
[[nodiscard]] inline bool set_tag(SubprogParam& param, std::string_view tag) {
    struct Tag {
        std::string_view name;
        bool SubprogParam::*member;
    };
    static constexpr Tag kTags[] = {
        {"ctx", &SubprogParam::is_ctx},
        {"nonnull", &SubprogParam::is_nonnull},
        {"nullable", &SubprogParam::is_nullable},
        {"trusted", &SubprogParam::is_trusted},
        {"untrusted", &SubprogParam::is_untrusted},
        {"arena", &SubprogParam::is_arena},
    };
    const auto* const found = std::ranges::find(kTags, tag, &Tag::name);
    if (found == std::end(kTags)) {
        return false;
    }
    param.*found->member = true;
    return true;
}

} // namespace ebpfvm::elf
