// What programs' return values mean, and how often each was returned.
#pragma once

#include "cli/json.hpp"
#include "ebpfvm/prog_type.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace ebpfvm::cli {

/// "XDP_PASS", "TC_ACT_OK", "accept" or "drop" (socket filters), "zero" or "nonzero" (types that
/// give return values no meaning), "unknown".
[[nodiscard]] std::string_view verdict_name(ProgType type, std::uint64_t r0);

/// How many bytes of a packet of `size` go on after this return value; nullopt if it does not.
[[nodiscard]] std::optional<std::size_t> passed_size(ProgType type, std::uint64_t r0,
                                                     std::size_t size);

/// Counts verdicts of one program type.
class VerdictCounts {
  public:
    explicit VerdictCounts(ProgType type);
    void add(std::uint64_t r0);

    struct Count {
        std::string_view name;
        std::uint64_t count = 0;
    };
    /// Every verdict the type has, in the order of their numbers, then "unknown".
    [[nodiscard]] const std::vector<Count>& counts() const { return counts_; }
    [[nodiscard]] Json to_json() const;

  private:
    ProgType type_;
    std::vector<Count> counts_;
};

} // namespace ebpfvm::cli
