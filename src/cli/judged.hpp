// What `ebpfvm verify` found out about one program, or why it could not.
#pragma once

#include "cli/json.hpp"
#include "ebpfvm/verifier.hpp"

#include <optional>
#include <string>

namespace ebpfvm::cli {

struct Judged {
    std::string object;
    std::string section{};
    std::string prog{}; ///< empty if the object cannot be read
    std::string prog_type{};
    std::size_t insns = 0;
    Report report{};
    std::optional<Error> error{}; ///< then there is no report

    [[nodiscard]] std::string_view verdict() const {
        return error ? "error" : name_of(report.verdict);
    }
    [[nodiscard]] double microseconds() const { return double(report.stats.nanoseconds) / 1000; }
};

/// One object with the keys that docs/cli.md lists, whatever the verdict.
[[nodiscard]] Json to_json_value(const Judged& judged);

} // namespace ebpfvm::cli
