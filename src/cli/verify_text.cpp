// Tested by verify_text_test.cpp and mistakes_test.cpp.
#include "cli/verify_text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ebpfvm::cli {
namespace {

std::string_view kind_name(RejectKind kind) {
    switch (kind) {
    case RejectKind::Unsafe:
        return "rejected";
    case RejectKind::Unsupported:
        return "not supported here";
    case RejectKind::TooComplex:
        return "too complex";
    }
    return ""; // all are above
}

// Source lines with their numbers in a margin.
class Snippets {
  public:
    Snippets(const Diagnostic& what, const Style& style) : style_(style) {
        widen(what.where);
        for (const Note& note : what.notes) {
            widen(note.where);
        }
        for (const Decision& decision : what.path) {
            widen(decision.where);
        }
    }

    std::string margin() const { return std::string(width_ + 1, ' ') + style_.quiet("|"); }
    std::string indent() const { return std::string(width_ + 1, ' '); }

    std::string line(const LineInfo& where) const {
        return style_.quiet(fmt::format("{:>{}} |", where.line, width_)) + " " + where.text;
    }

    // Under the line that was shown last.
    std::string caret(const LineInfo& where) const {
        const std::int64_t column = std::int64_t{where.column} - 1 - where.indent;
        if (where.column == 0 || column < 0 || column >= std::int64_t(where.text.size())) {
            return "";
        }
        std::string blanks; // tabs stay tabs, so that the caret is below its place
        for (std::size_t i = 0; i < std::size_t(column); ++i) {
            blanks += where.text[i] == '\t' ? '\t' : ' ';
        }
        return margin() + " " + blanks + style_.bad("^") + "\n";
    }

  private:
    void widen(const std::optional<LineInfo>& where) {
        if (where) {
            width_ = std::max(width_, fmt::formatted_size("{}", where->line));
        }
    }

    const Style& style_;
    std::size_t width_ = 2;
};

std::string place_text(const Judged& judged, const Diagnostic& what) {
    if (!what.where) {
        return fmt::format("{}, {}, insn {}", judged.object, judged.prog, what.insn);
    }
    const std::string column =
        what.where->column == 0 ? "" : fmt::format(":{}", what.where->column);
    std::string_view file = what.where->file;
    file.remove_prefix(file.starts_with("./") ? 2 : 0);
    return fmt::format("{}:{}{}, {}, insn {}", file, what.where->line, column, judged.prog,
                       what.insn);
}

bool has_text(const std::optional<LineInfo>& where) {
    return where && !where->text.empty();
}

std::string path_text(const Diagnostic& what, const Snippets& snippets, const Style& style) {
    std::string out = style.heading("path:") + " the branches that led here\n";
    std::uint32_t shown = 0;
    for (const Decision& decision : what.path) {
        if (has_text(decision.where) && decision.where->line != shown) {
            out += snippets.line(*decision.where) + "\n";
            shown = decision.where->line;
        }
        out += fmt::format("{} insn {}: {}, {}\n", snippets.margin(), decision.insn, decision.text,
                           decision.taken ? "taken" : "not taken");
    }
    return out;
}

std::vector<std::string> cells_of(const Judged& judged) {
    const VerifierStats& stats = judged.report.stats;
    std::string verdict(judged.verdict());
    if (judged.report.diagnostic) {
        verdict += fmt::format(" ({})", info(judged.report.diagnostic->slug).name);
    }
    return {judged.prog,
            judged.prog_type,
            verdict,
            fmt::format("{}", judged.insns),
            fmt::format("{}", stats.explored),
            fmt::format("{}", stats.states),
            fmt::format("{}", (stats.peak_bytes + 1023) / 1024),
            fmt::format("{}", stats.stack),
            fmt::format("{:.1f}", judged.microseconds())};
}

std::string totals_text(std::span<const Judged> results) {
    const auto count = [&](std::string_view verdict) {
        return std::ranges::count(results, verdict, &Judged::verdict);
    };
    std::uint64_t explored = 0;
    double time = 0;
    for (const Judged& judged : results) {
        explored += judged.report.stats.explored;
        time += judged.microseconds();
    }
    std::string text =
        fmt::format("{} {}: {} accepted, {} rejected", results.size(),
                    results.size() == 1 ? "program" : "programs", count("accept"), count("reject"));
    if (count("unsupported") > 0) {
        text += fmt::format(", {} not supported", count("unsupported"));
    }
    if (count("error") > 0) {
        text += fmt::format(", {} not readable", count("error"));
    }
    return text + fmt::format("; {} insns explored in {:.3f} ms\n", explored, time / 1000);
}

} // namespace

void Table::add(std::vector<std::string> cells, bool is_good) {
    rows_.push_back({std::move(cells), is_good});
}

std::string Table::text(const Style& style) const {
    std::vector<std::size_t> widths;
    for (std::size_t i = 0; i < headings_.size(); ++i) {
        widths.push_back(headings_[i].size());
        for (const Row& row : rows_) {
            widths[i] = std::max(widths[i], row.cells[i].size());
        }
    }
    const auto line = [&](const std::vector<std::string>& cells) {
        std::string text;
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const bool is_left = i == 0 || headings_[i].ends_with(' ');
            text += i == 0 ? "" : "  ";
            text += is_left ? fmt::format("{:<{}}", cells[i], widths[i])
                            : fmt::format("{:>{}}", cells[i], widths[i]);
        }
        text.erase(text.find_last_not_of(' ') + 1);
        return text;
    };
    std::string out = style.heading(line(headings_)) + "\n";
    for (const Row& row : rows_) {
        out += (row.is_good ? line(row.cells) : style.bad(line(row.cells))) + "\n";
    }
    return out;
}

std::string diagnostic_text(const Judged& judged, const Style& style) {
    if (!judged.report.diagnostic) {
        return "";
    }
    const Diagnostic& what = *judged.report.diagnostic;
    const SlugInfo& slug = info(what.slug);
    const Snippets snippets(what, style);
    std::string out = style.bad(fmt::format("{}[{}]:", kind_name(slug.kind), slug.name)) + " " +
                      style.heading(what.message) + "\n";
    out += fmt::format("{}{} {}\n", snippets.indent().substr(1), style.quiet("-->"),
                       place_text(judged, what));
    if (has_text(what.where)) {
        out += snippets.line(*what.where) + "\n" + snippets.caret(*what.where);
    }
    if (!what.insn_text.empty()) {
        out += fmt::format("{} insn {}: {}\n", snippets.margin(), what.insn, what.insn_text);
    }
    std::uint32_t shown = what.where ? what.where->line : 0;
    for (const Note& note : what.notes) {
        out += fmt::format("{} {}\n", style.heading("note:"), note.text);
        if (has_text(note.where) && note.where->line != shown) {
            out += snippets.line(*note.where) + "\n";
            shown = note.where->line;
        }
    }
    if (!what.path.empty()) {
        out += path_text(what, snippets, style);
    }
    out += fmt::format("{} {}\n", style.good("help:"), what.help);
    return out;
}

std::string results_text(std::span<const Judged> results, const Style& style) {
    Table table(
        {"program", "type ", "verdict ", "insns", "explored", "states", "KiB", "stack", "time/us"});
    for (const Judged& judged : results) {
        if (!judged.error) {
            table.add(cells_of(judged), judged.report.verdict == Verdict::Accept);
        }
    }
    return table.text(style) + totals_text(results);
}

} // namespace ebpfvm::cli
