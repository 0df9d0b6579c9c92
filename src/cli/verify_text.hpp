// What `ebpfvm verify` tells people: rejections as compilers show errors, and a table.
#pragma once

#include "cli/judged.hpp"
#include "cli/style.hpp"

#include <span>
#include <string>
#include <vector>

namespace ebpfvm::cli {

/// Lines under a heading, in columns as wide as they need to be. The first column is aligned to the
/// left, as are those whose heading ends in a blank; the others, numbers, to the right.
class Table {
  public:
    explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
    void add(std::vector<std::string> cells, bool is_good = true);
    /// Every line ends in a newline.
    [[nodiscard]] std::string text(const Style& style) const;

  private:
    struct Row {
        std::vector<std::string> cells;
        bool is_good;
    };
    std::vector<std::string> headings_;
    std::vector<Row> rows_{};
};

/// One rejection: what, where, why, which way, what to do. Empty for accepted programs.
[[nodiscard]] std::string diagnostic_text(const Judged& judged, const Style& style);

/// All programs, then the totals.
[[nodiscard]] std::string results_text(std::span<const Judged> results, const Style& style);

} // namespace ebpfvm::cli
