// A table in the spirit of veristat, or JSON; diagnostics below the table.
#include "cli/cmd_verify.hpp"

#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/load.hpp"
#include "support/try.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ebpfvm::cli {
namespace {

struct Judged {
    std::string object;
    const Program* program;
    Report report;
};

Json to_json_value(const Judged& judged) {
    const Report& report = judged.report;
    const Program& program = *judged.program;
    Json line = Json::object();
    line.add("object", judged.object)
        .add("section", program.section)
        .add("prog", program.name)
        .add("prog_type", name_of(program.type))
        .add("verdict", name_of(report.verdict));
    Json slug, message, insn, source;
    if (report.diagnostic) {
        slug = info(report.diagnostic->slug).name;
        message = report.diagnostic->message;
        insn = report.diagnostic->insn;
        if (report.diagnostic->where) {
            source = fmt::format("{}:{}", report.diagnostic->where->file,
                                 report.diagnostic->where->line);
        }
    }
    line.add("slug", std::move(slug))
        .add("message", std::move(message))
        .add("insn", std::move(insn))
        .add("source", std::move(source))
        .add("insns", program.insns.size())
        .add("explored", report.stats.explored)
        .add("states", report.stats.states)
        .add("peak_bytes", report.stats.peak_bytes)
        .add("verify_us", double(report.stats.nanoseconds / 100) / 10)
        .add("loops", report.stats.summarised_loops)
        .add("stack", report.stats.stack);
    return line;
}

Json error_line(const std::string& object, const Error& error) {
    Json line = Json::object();
    line.add("object", object).add("verdict", "error").add("message", to_string(error));
    return line;
}

void print_row(const Judged& judged, const Style& style) {
    const Report& report = judged.report;
    const std::string verdict = fmt::format("{:<12}", name_of(report.verdict));
    fmt::print("{:<32} {} {:>9} {:>8} {:>10.1f} {:>6}\n", judged.program->name,
               report.verdict == Verdict::Accept ? style.good(verdict) : style.bad(verdict),
               report.stats.explored, report.stats.states, double(report.stats.nanoseconds) / 1000,
               report.stats.stack);
}

void print_diagnostic(const Judged& judged, const Style& style) {
    const Diagnostic& what = *judged.report.diagnostic;
    const auto& slug = info(what.slug);
    fmt::print("\n{} {}\n", style.bad(fmt::format("{}[{}]:", slug.kind == RejectKind::Unsupported
                                                                  ? "unsupported"
                                                                  : "rejected",
                                                  slug.name)),
               style.heading(what.message));
    fmt::print("  {} {}, insn {}: {}\n", style.quiet("in"), judged.program->name, what.insn,
               what.insn_text);
    if (what.where) {
        fmt::print("  {} {}:{}\n", style.quiet("at"), what.where->file, what.where->line);
        fmt::print("  {:>5} {} {}\n", what.where->line, style.quiet("|"), what.where->text);
    }
    for (const std::string& note : what.notes) {
        fmt::print("  {} {}\n", style.quiet("note:"), note);
    }
    for (const Decision& decision : what.path) {
        fmt::print("  {} insn {}: {} -> {}{}\n", style.quiet("after"), decision.insn, decision.text,
                   decision.taken ? "taken" : "not taken",
                   decision.where ? fmt::format("   {} {}:{}: {}", style.quiet("|"),
                                                decision.where->file, decision.where->line,
                                                decision.where->text)
                                  : "");
    }
    fmt::print("  {} {}\n", style.good("help:"), what.help);
}

Expected<bool> judge_object(const VerifyCommand& command, const Style& style,
                            const std::string& path) {
    const ProgTypeTable types;
    const auto object = load_input(path, command.type, types);
    if (!object) {
        if (command.json) {
            fmt::print("{}\n", to_json(error_line(path, object.error())));
            return false;
        }
        return std::unexpected(object.error());
    }
    bool is_accepted = true;
    std::vector<Judged> rejected;
    for (const Program& program : object->programs()) {
        if (!command.program.empty() && program.name != command.program) {
            continue;
        }
        TRY_ASSIGN(Report report, verify(*object, program, command.options));
        Judged judged{path, &program, std::move(report)};
        is_accepted &= judged.report.verdict == Verdict::Accept;
        if (command.json) {
            fmt::print("{}\n", to_json(to_json_value(judged)));
        } else {
            print_row(judged, style);
            if (judged.report.diagnostic) {
                rejected.push_back(std::move(judged));
            }
        }
    }
    for (const Judged& judged : rejected) {
        print_diagnostic(judged, style);
    }
    return is_accepted;
}

} // namespace

Expected<int> verify_command(const VerifyCommand& command, const Style& style) {
    if (!command.json) {
        fmt::print("{}\n", style.heading(fmt::format("{:<32} {:<12} {:>9} {:>8} {:>10} {:>6}",
                                                     "program", "verdict", "explored", "states",
                                                     "time/us", "stack")));
    }
    bool is_accepted = true;
    for (const std::string& path : command.objects) {
        TRY_ASSIGN(const bool fine, judge_object(command, style, path));
        is_accepted &= fine;
    }
    return is_accepted ? kExitOk : kExitFailed;
}

} // namespace ebpfvm::cli
