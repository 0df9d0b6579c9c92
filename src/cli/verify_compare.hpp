// `ebpfvm verify --compare`: what changed since an earlier run with --json.
#pragma once

#include "cli/judged.hpp"
#include "cli/style.hpp"

#include <span>
#include <string>
#include <vector>

namespace ebpfvm::cli {

/// One line of an earlier run.
struct EarlierResult {
    std::string object{};
    std::string prog{};
    std::string verdict{};
    std::string slug{};
    double explored = 0;
    double microseconds = 0;
};

/// Errors: Errc::Io; Errc::MalformedText with the line that is no result.
[[nodiscard]] Expected<std::vector<EarlierResult>> read_results(const std::string& path);

/// A line per program: verdicts, explored insns and time, before and now; first those whose verdict
/// changed. Then programs that are new or gone, then the totals.
[[nodiscard]] std::string comparison_text(std::span<const EarlierResult> before,
                                          std::span<const Judged> now, const Style& style);

} // namespace ebpfvm::cli
