#include "cli/judged.hpp"

#include <fmt/format.h>

namespace ebpfvm::cli {
namespace {

Json place(const std::optional<LineInfo>& where) {
    return where ? Json(fmt::format("{}:{}", where->file, where->line)) : Json();
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json() : Json(text);
}

Json notes_of(const Diagnostic& diagnostic) {
    Json notes = Json::array();
    for (const Note& note : diagnostic.notes) {
        notes.push(note.text);
    }
    return notes;
}

Json path_of(const Diagnostic& diagnostic) {
    Json path = Json::array();
    for (const Decision& decision : diagnostic.path) {
        Json step = Json::object();
        step.add("insn", decision.insn)
            .add("text", decision.text)
            .add("taken", decision.taken)
            .add("source", place(decision.where));
        path.push(std::move(step));
    }
    return path;
}

} // namespace

Json to_json_value(const Judged& judged) {
    const auto& diagnostic = judged.report.diagnostic;
    const VerifierStats& stats = judged.report.stats;
    Json line = Json::object();
    line.add("object", judged.object)
        .add("section", text_or_null(judged.section))
        .add("prog", text_or_null(judged.prog))
        .add("prog_type", text_or_null(judged.prog_type))
        .add("verdict", judged.verdict())
        .add("slug", diagnostic ? Json(info(diagnostic->slug).name) : Json())
        .add("message", judged.error ? Json(to_string(*judged.error))
                        : diagnostic ? Json(diagnostic->message)
                                     : Json())
        .add("insn", diagnostic ? Json(diagnostic->insn) : Json())
        .add("source", diagnostic ? place(diagnostic->where) : Json())
        .add("insns", judged.insns)
        .add("explored", stats.explored)
        .add("states", stats.states)
        .add("peak_states", stats.peak_states)
        .add("peak_bytes", stats.peak_bytes)
        .add("verify_us", double(stats.nanoseconds / 100) / 10)
        .add("loops", stats.summarised_loops)
        .add("stack", stats.stack)
        .add("notes", diagnostic ? notes_of(*diagnostic) : Json::array())
        .add("path", diagnostic ? path_of(*diagnostic) : Json::array())
        .add("help", diagnostic ? Json(diagnostic->help) : Json());
    return line;
}

} // namespace ebpfvm::cli
