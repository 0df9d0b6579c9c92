// The kernel's enum xdp_action and TC_ACT_* (uapi/linux/pkt_cls.h). Tested by run_pcap_test.cpp.
#include "cli/verdicts.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace ebpfvm::cli {
namespace {

struct Verdict {
    std::int32_t value;
    std::string_view name;
    bool passes; ///< the packet goes on
};

constexpr Verdict kXdp[] = {{0, "XDP_ABORTED", false},
                            {1, "XDP_DROP", false},
                            {2, "XDP_PASS", true},
                            {3, "XDP_TX", true},
                            {4, "XDP_REDIRECT", true}};
constexpr Verdict kTc[] = {
    {-1, "TC_ACT_UNSPEC", false}, {0, "TC_ACT_OK", true},      {1, "TC_ACT_RECLASSIFY", false},
    {2, "TC_ACT_SHOT", false},    {3, "TC_ACT_PIPE", false},   {4, "TC_ACT_STOLEN", false},
    {5, "TC_ACT_QUEUED", false},  {6, "TC_ACT_REPEAT", false}, {7, "TC_ACT_REDIRECT", false},
    {8, "TC_ACT_TRAP", false},
};
constexpr std::string_view kUnknown = "unknown";

// Empty for types whose return value only is zero or not.
std::span<const Verdict> verdicts_of(ProgType type) {
    switch (type) {
    case ProgType::Xdp:
        return kXdp;
    case ProgType::SchedCls:
    case ProgType::SchedAct:
        return kTc;
    default: // all others, also those without a row
        return {};
    }
}

std::pair<std::string_view, std::string_view> zero_and_nonzero(ProgType type) {
    return type == ProgType::SocketFilter ? std::pair("drop", "accept")
                                          : std::pair("zero", "nonzero");
}

const Verdict* find_verdict(ProgType type, std::uint64_t r0) {
    const auto verdicts = verdicts_of(type);
    const auto found = std::ranges::find(verdicts, static_cast<std::int32_t>(r0), &Verdict::value);
    return found == verdicts.end() ? nullptr : &*found;
}

} // namespace

std::string_view verdict_name(ProgType type, std::uint64_t r0) {
    if (verdicts_of(type).empty()) {
        const auto [zero, nonzero] = zero_and_nonzero(type);
        const bool is_zero =
            type == ProgType::SocketFilter ? static_cast<std::uint32_t>(r0) == 0 : r0 == 0;
        return is_zero ? zero : nonzero;
    }
    const Verdict* verdict = find_verdict(type, r0);
    return verdict == nullptr ? kUnknown : verdict->name;
}

std::optional<std::size_t> passed_size(ProgType type, std::uint64_t r0, std::size_t size) {
    if (type == ProgType::SocketFilter) {
        const auto kept = static_cast<std::uint32_t>(r0);
        return kept == 0 ? std::nullopt : std::optional(std::min<std::size_t>(kept, size));
    }
    if (verdicts_of(type).empty()) {
        return r0 == 0 ? std::nullopt : std::optional(size);
    }
    const Verdict* verdict = find_verdict(type, r0);
    return verdict != nullptr && verdict->passes ? std::optional(size) : std::nullopt;
}

VerdictCounts::VerdictCounts(ProgType type) : type_(type) {
    for (const Verdict& verdict : verdicts_of(type)) {
        counts_.push_back({verdict.name});
    }
    if (counts_.empty()) {
        const auto [zero, nonzero] = zero_and_nonzero(type);
        counts_ = {{zero}, {nonzero}};
    } else {
        counts_.push_back({kUnknown});
    }
}

void VerdictCounts::add(std::uint64_t r0) {
    const auto found = std::ranges::find(counts_, verdict_name(type_, r0), &Count::name);
    ++found->count; // the constructor has added every name
}

Json VerdictCounts::to_json() const {
    Json result = Json::object();
    for (const Count& verdict : counts_) {
        result.add(std::string(verdict.name), verdict.count);
    }
    return result;
}

} // namespace ebpfvm::cli
