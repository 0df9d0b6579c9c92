// Source lines of machine code. Tested by jit/see_inside_test.cpp.
#include "jit/debug/compiled.hpp"

#include <algorithm>

namespace ebpfvm::jit {
namespace {

bool is_same_line(const LineInfo& a, const LineInfo& b) {
    return a.line == b.line && a.file == b.file;
}

} // namespace

std::vector<LineRow> line_rows(const Compiled& compiled, const CodeMap::Function& function) {
    std::vector<LineRow> rows;
    if (compiled.program == nullptr) {
        return rows;
    }
    const auto& places = compiled.map.places();
    auto place = std::ranges::lower_bound(places, function.begin, {}, &CodeMap::Place::off);
    for (; place != places.end() && place->off < function.end; ++place) {
        const LineInfo* line = compiled.program->line_of(place->slot);
        // Debuggers take the second row of a function for the end of its prologue.
        const bool is_body = place->off == function.body && place->off != function.begin;
        if (line == nullptr ||
            (!rows.empty() && !is_body && is_same_line(*rows.back().line, *line))) {
            continue;
        }
        if (!rows.empty() && rows.back().off == place->off) {
            rows.pop_back(); // nothing was made of that insn
        }
        rows.push_back({place->off, line});
    }
    return rows;
}

} // namespace ebpfvm::jit
