// Diagnostics: the row of the slug, the place, and the branches that led there.
#include "verifier/report.hpp"

#include "verifier/explain.hpp"
#include "verifier/words.hpp"

#include <array>

namespace ebpfvm {

const SlugInfo& info(Slug slug) {
    static constexpr std::array kRows = {
#define EBPFVM_REJECT(name, slug_text, kind, message, help)                                        \
    SlugInfo{Slug::name, slug_text, RejectKind::kind, help},
#include "ebpfvm/tables/diagnostics.def"
    };
    return kRows[std::size_t(slug)];
}

std::string_view name_of(Verdict verdict) {
    switch (verdict) {
    case Verdict::Accept:
        return "accept";
    case Verdict::Reject:
        return "reject";
    case Verdict::Unsupported:
        return "unsupported";
    }
    std::unreachable();
}

namespace verifier {
namespace {

std::optional<LineInfo> place_of(const Env& env, std::uint32_t insn) {
    const LineInfo* line = env.code.program->line_of(insn);
    return line != nullptr ? std::optional(*line) : std::nullopt;
}

std::string text_of(const Env& env, std::uint32_t insn) {
    const auto& insns = env.code.program->insns;
    return insn < insns.size() ? disassemble_at(insns, insn) : std::string();
}

} // namespace

Verdict verdict_of(Slug slug) {
    return info(slug).kind == RejectKind::Unsupported ? Verdict::Unsupported : Verdict::Reject;
}

Diagnostic diagnose(const Env& env) {
    const Rejection& rejection = env.rejection;
    Diagnostic result{.slug = rejection.slug, .insn = rejection.insn, .message = rejection.message};
    result.insn_text = text_of(env, rejection.insn);
    if (rejection.insn < env.code.steps.size()) {
        const Step& step = env.code.steps[rejection.insn];
        if (step.shape == isa::Shape::CallHelper && step.proto != nullptr) {
            const auto id = std::uint32_t(step.imm);
            result.insn_text = fmt::format("call {}#{}", call_name(*step.proto, id), id);
        }
    }
    result.where = place_of(env, rejection.insn);
    result.help = info(rejection.slug).help;
    explain(History(env), result);
    return result;
}

} // namespace verifier
} // namespace ebpfvm
