#include "jit/jit.hpp"
#include "support/try.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace ebpfvm::jit {
namespace {

constexpr std::array<std::string_view, kPassCount> kNames = {
#define EBPFVM_PASS(name, text) text,
#include "jit/opt/passes.def"
};

} // namespace

std::string_view name_of(Pass pass) {
    return kNames[unsigned(pass)];
}

Expected<OptOptions> without_passes(std::span<const std::string> names) {
    OptOptions options;
    for (const std::string& name : names) {
        const auto found = std::ranges::find(kNames, std::string_view(name));
        if (found == kNames.end()) {
            return fail(Errc::InvalidArgument, "no pass \"{}\", there are {}", name,
                        fmt::join(kNames, ", "));
        }
        options.disabled |= 1U << (found - kNames.begin());
    }
    return options;
}

} // namespace ebpfvm::jit
