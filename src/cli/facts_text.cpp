// Tested by facts_test.cpp.
#include "cli/facts_text.hpp"

#include "ebpfvm/helper.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>

namespace ebpfvm::cli {
namespace {

std::string bounds(const ValueFact& fact) {
    if (fact.is_constant()) {
        return fmt::format("{}", std::int64_t(fact.known_value));
    }
    if (fact.smin < 0) {
        return fact.smin == INT64_MIN && fact.smax == INT64_MAX
                   ? "?"
                   : fmt::format("{}..{}", fact.smin, fact.smax);
    }
    std::string text = fmt::format("{}..{}", fact.umin, fact.umax);
    const unsigned aligned = unsigned(std::countr_one(~fact.unknown_mask & ~fact.known_value));
    if (aligned > 0 && aligned < 64 && fact.umax >= (std::uint64_t{1} << aligned)) {
        text += fmt::format(" step {}", std::uint64_t{1} << aligned);
    }
    return text;
}

void add_program(const Object& object, const Facts& facts, std::string& out) {
    std::vector<std::string> maps;
    for (const std::uint32_t map : facts.maps) {
        maps.push_back(map < object.maps().size() ? object.maps()[map].name
                                                  : fmt::format("#{}", map));
    }
    std::vector<std::string> helpers;
    for (const std::uint32_t id : facts.helpers) {
        const HelperProto* proto = uapi_helper(id);
        helpers.push_back(proto != nullptr ? proto->name : fmt::format("#{}", id));
    }
    out += fmt::format("  stack {}; maps: {}; helpers: {}; ctx: {}\n",
                       fmt::join(facts.stack_bytes, "+"), fmt::join(maps, ", "),
                       fmt::join(helpers, ", "), fmt::join(facts.ctx_fields, ", "));
}

} // namespace

std::string insn_facts_text(const Object& object, const InsnFacts& facts) {
    std::vector<std::string> known;
    for (unsigned r = 0; r < kFramePointer; ++r) {
        if ((facts.live >> r & 1) != 0 && facts.regs[r].kind != ValueKind::Unknown) {
            known.push_back(fmt::format("r{}={}", r, describe(object, facts.regs[r])));
        }
    }
    for (const SlotFact& slot : facts.slots) {
        known.push_back(fmt::format("fp{}={}", slot.off, describe(object, slot.value)));
    }
    return fmt::format("{}", fmt::join(known, " "));
}

std::string describe(const Object& object, const ValueFact& fact) {
    if (fact.kind == ValueKind::Number) {
        return bounds(fact);
    }
    std::string text(name_of(fact.kind));
    switch (fact.kind) {
    case ValueKind::MapPtr:
    case ValueKind::MapValue:
    case ValueKind::MapKey:
        text += fmt::format("({})", fact.map < object.maps().size() ? object.maps()[fact.map].name
                                                                    : "inner map");
        break;
    case ValueKind::Stack:
        text = fact.frame == 0 ? "fp" : fmt::format("fp[caller {}]", fact.frame);
        break;
    case ValueKind::Packet:
        text += fmt::format("[{} proved]", fact.proved);
        break;
    default: // the name says it all
        break;
    }
    const bool has_offset = !fact.is_constant() || fact.known_value != 0;
    return text + (fact.may_be_null ? "_or_null" : "") + (has_offset ? "+" + bounds(fact) : "");
}

std::string facts_text(const Object& object, const Program& program, const Facts& facts,
                       const Style& style) {
    std::string out = style.heading(fmt::format("{}: facts", program.name)) + "\n";
    add_program(object, facts, out);
    const LineInfo* last = nullptr;
    for (std::size_t at = 0; at < facts.insns.size(); ++at) {
        const InsnFacts& insn = facts.insns[at];
        if (!insn.is_reachable && at > 0 && program.insns[at].code == 0) {
            continue; // second slot of a lddw
        }
        const LineInfo* line = program.line_of(at);
        if (line != nullptr && line != last) {
            out += style.quiet(fmt::format("  ; {}:{}: {}", line->file, line->line, line->text)) +
                   "\n";
            last = line;
        }
        const std::string_view edge = insn.may_jump && !insn.may_fall_through   ? "  [always]"
                                      : insn.may_fall_through && !insn.may_jump ? "  [never]"
                                                                                : "";
        out += fmt::format("{:5}: {:<38}{} {}\n", at, disassemble_at(program.insns, at),
                           insn.is_reachable ? edge : "  [dead]",
                           style.quiet(insn_facts_text(object, insn)));
    }
    return out;
}

} // namespace ebpfvm::cli
