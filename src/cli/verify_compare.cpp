// Tested by verify_test.cpp.
#include "cli/verify_compare.hpp"

#include "cli/files.hpp"
#include "cli/json_parse.hpp"
#include "cli/verify_text.hpp"
#include "support/try.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ebpfvm::cli {
namespace {

std::string text_of(const Json* value) {
    const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(&value->value());
    return text == nullptr ? std::string() : *text;
}

double number_of(const Json* value) {
    if (value == nullptr) {
        return 0;
    }
    if (const auto* number = std::get_if<std::uint64_t>(&value->value())) {
        return double(*number);
    }
    if (const auto* number = std::get_if<std::int64_t>(&value->value())) {
        return double(*number);
    }
    const auto* number = std::get_if<double>(&value->value());
    return number == nullptr ? 0 : *number;
}

std::string full_verdict(std::string_view verdict, std::string_view slug) {
    return slug.empty() ? std::string(verdict) : fmt::format("{} ({})", verdict, slug);
}

std::string change(double before, double now) {
    return before == 0 ? std::string("-") : fmt::format("{:+.1f} %", (now - before) / before * 100);
}

// A program before and now.
struct Pair {
    const EarlierResult* before;
    const Judged* now;

    [[nodiscard]] std::string verdict() const {
        const auto& diagnostic = now->report.diagnostic;
        const std::string is =
            full_verdict(now->verdict(), diagnostic ? info(diagnostic->slug).name : "");
        const std::string was = full_verdict(before->verdict, before->slug);
        return was == is ? is : was + " -> " + is;
    }
    [[nodiscard]] bool has_changed() const { return before->verdict != now->verdict(); }
};

std::vector<Pair> pairs_of(std::span<const EarlierResult> before, std::span<const Judged> now) {
    std::vector<Pair> pairs;
    for (const Judged& judged : now) {
        const auto same = std::ranges::find_if(before, [&](const EarlierResult& earlier) {
            return earlier.object == judged.object && earlier.prog == judged.prog;
        });
        if (same != before.end()) {
            pairs.push_back({&*same, &judged});
        }
    }
    std::ranges::stable_partition(pairs, &Pair::has_changed);
    return pairs;
}

std::string totals(std::span<const Pair> pairs, std::size_t gone, std::size_t added) {
    double explored_before = 0, explored = 0, time_before = 0, time = 0;
    for (const Pair& pair : pairs) {
        explored_before += pair.before->explored;
        explored += double(pair.now->report.stats.explored);
        time_before += pair.before->microseconds;
        time += pair.now->microseconds();
    }
    std::string text =
        fmt::format("{} programs: {} verdicts changed; explored {} ({}), time {:.3f} ms ({})",
                    pairs.size(), std::ranges::count_if(pairs, &Pair::has_changed), explored,
                    change(explored_before, explored), time / 1000, change(time_before, time));
    if (gone > 0) {
        text += fmt::format("; {} are gone", gone);
    }
    if (added > 0) {
        text += fmt::format("; {} are new", added);
    }
    return text + "\n";
}

} // namespace

Expected<std::vector<EarlierResult>> read_results(const std::string& path) {
    TRY_ASSIGN(const auto bytes, read_file(path));
    std::vector<EarlierResult> results;
    std::string_view rest = as_text(bytes);
    for (std::uint32_t number = 1; !rest.empty(); ++number) {
        const auto end = std::min(rest.find('\n'), rest.size());
        const std::string_view line = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        if (line.empty()) {
            continue;
        }
        const auto value = parse_json(line);
        const Json* verdict = value ? value->find("verdict") : nullptr;
        if (verdict == nullptr) {
            return std::unexpected(Error{.code = Errc::MalformedText,
                                         .message = value ? "no result of `ebpfvm verify --json`"
                                                          : value.error().message,
                                         .where = Location{.file = path, .line = number}});
        }
        results.push_back({.object = text_of(value->find("object")),
                           .prog = text_of(value->find("prog")),
                           .verdict = text_of(verdict),
                           .slug = text_of(value->find("slug")),
                           .explored = number_of(value->find("explored")),
                           .microseconds = number_of(value->find("verify_us"))});
    }
    return results;
}

std::string comparison_text(std::span<const EarlierResult> before, std::span<const Judged> now,
                            const Style& style) {
    const std::vector<Pair> pairs = pairs_of(before, now);
    Table table({"program", "verdict ", "explored", "now", "change", "time/us", "now", "change"});
    for (const Pair& pair : pairs) {
        const double explored = double(pair.now->report.stats.explored);
        const double time = pair.now->microseconds();
        table.add({pair.now->prog, pair.verdict(), fmt::format("{}", pair.before->explored),
                   fmt::format("{}", explored), change(pair.before->explored, explored),
                   fmt::format("{:.1f}", pair.before->microseconds), fmt::format("{:.1f}", time),
                   change(pair.before->microseconds, time)},
                  !pair.has_changed());
    }
    return table.text(style) +
           totals(pairs, before.size() - pairs.size(), now.size() - pairs.size());
}

} // namespace ebpfvm::cli
