// Blocks and edges, then loops by Boost.Graph. Tested by cfg_test.cpp.
#include "cfg/cfg.hpp"

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/dominator_tree.hpp>
#include <boost/graph/strong_components.hpp>

#include <algorithm>
#include <utility>

namespace ebpfvm::cfg {
namespace {

using isa::Decoded;
using isa::Shape;
using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS>;

bool ends_block(Shape shape) {
    return isa::is_jump(shape) || shape == Shape::Exit;
}

// Slots that insn `at` may continue with, inside its subprogram.
struct Next {
    std::uint32_t fall = kNone;
    std::uint32_t jump = kNone;
};

Next next_of(const Decoded& insn, std::uint32_t at) {
    const Shape shape = isa::shape_of(insn.op);
    Next next;
    if (shape == Shape::Exit) {
        return next;
    }
    if (isa::is_jump(shape)) {
        next.jump = std::uint32_t(isa::target_of(insn, at));
    }
    if (shape != Shape::Ja && shape != Shape::Jal) {
        next.fall = at + insn.slots;
    }
    return next;
}

std::vector<bool> find_leaders(const isa::DecodedProgram& program) {
    std::vector<bool> leader(program.insns.size() + 1, false);
    for (const std::uint32_t start : program.subprogs) {
        leader[start] = true;
    }
    for (std::uint32_t at = 0; at < program.insns.size(); at += program.insns[at].slots) {
        const Decoded& insn = program.insns[at];
        if (ends_block(isa::shape_of(insn.op))) {
            const Next next = next_of(insn, at);
            leader[at + insn.slots] = true;
            if (next.jump != kNone) {
                leader[next.jump] = true;
            }
        }
    }
    return leader;
}

void make_blocks(const isa::DecodedProgram& program, Cfg& cfg) {
    const std::vector<bool> leader = find_leaders(program);
    const auto slots = std::uint32_t(program.insns.size());
    cfg.block_of.resize(slots);
    std::uint32_t subprog = 0;
    for (std::uint32_t at = 0; at < slots;) {
        while (subprog + 1 < program.subprogs.size() && program.subprogs[subprog + 1] <= at) {
            ++subprog;
        }
        BasicBlock block{.first = at, .last = at, .subprog = subprog};
        do {
            block.last = at;
            for (unsigned i = 0; i < program.insns[block.last].slots; ++i) {
                cfg.block_of[at++] = std::uint32_t(cfg.blocks.size());
            }
        } while (at < slots && !leader[at]);
        cfg.blocks.push_back(std::move(block));
    }
}

void make_edges(const isa::DecodedProgram& program, Cfg& cfg) {
    for (BasicBlock& block : cfg.blocks) {
        const Next next = next_of(program.insns[block.last], block.last);
        for (const std::uint32_t slot : {next.fall, next.jump}) {
            if (slot < cfg.block_of.size() && cfg.block(slot).subprog == block.subprog) {
                block.successors.add(cfg.block_of[slot]);
            }
        }
    }
}

// Marks what a depth-first search from the entries reaches, and the targets of back edges. True if
// there are any.
bool mark_reachable(const isa::DecodedProgram& program, Cfg& cfg) {
    enum class Color : std::uint8_t { White, Open, Done };
    std::vector<Color> colors(cfg.blocks.size(), Color::White);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> path; // block, next of its successors
    bool has_loop = false;
    const auto discover = [&](std::uint32_t block) {
        colors[block] = Color::Open;
        cfg.blocks[block].is_reachable = true;
        path.emplace_back(block, 0);
    };
    for (const std::uint32_t start : program.subprogs) {
        discover(cfg.block_of[start]);
        while (!path.empty()) {
            auto& [block, at] = path.back();
            const Successors& successors = cfg.blocks[block].successors;
            if (at == successors.size()) {
                colors[block] = Color::Done;
                path.pop_back();
                continue;
            }
            const std::uint32_t next = successors.begin()[at++];
            ++cfg.blocks[next].predecessors;
            if (colors[next] == Color::White) {
                discover(next);
            } else if (colors[next] == Color::Open) {
                cfg.blocks[next].is_loop_head = has_loop = true;
            }
        }
    }
    return has_loop;
}

void find_dominators(const isa::DecodedProgram& program, const Graph& graph, Cfg& cfg) {
    cfg.dominator.assign(cfg.blocks.size(), kNone);
    std::vector<Graph::vertex_descriptor> dominator(cfg.blocks.size(), Graph::null_vertex());
    const auto index = boost::get(boost::vertex_index, graph);
    for (const std::uint32_t start : program.subprogs) {
        boost::lengauer_tarjan_dominator_tree(
            graph, cfg.block_of[start],
            boost::make_iterator_property_map(dominator.begin(), index));
    }
    for (std::size_t i = 0; i < dominator.size(); ++i) {
        if (dominator[i] != Graph::null_vertex()) {
            cfg.dominator[i] = std::uint32_t(dominator[i]);
        }
    }
}

void find_loops(const isa::DecodedProgram& program, Cfg& cfg) {
    if (!mark_reachable(program, cfg)) {
        return;
    }
    Graph graph(cfg.blocks.size());
    for (std::uint32_t i = 0; i < cfg.blocks.size(); ++i) {
        for (const std::uint32_t next : cfg.blocks[i].successors) {
            boost::add_edge(i, next, graph);
        }
    }
    find_dominators(program, graph, cfg);
    std::vector<std::uint32_t> component(cfg.blocks.size());
    const auto index = boost::get(boost::vertex_index, graph);
    const auto count = boost::strong_components(
        graph, boost::make_iterator_property_map(component.begin(), index));
    std::vector<bool> is_loop(count, false);
    for (std::uint32_t i = 0; i < cfg.blocks.size(); ++i) {
        if (cfg.blocks[i].is_loop_head) {
            is_loop[component[i]] = true;
        }
    }
    for (std::uint32_t i = 0; i < cfg.blocks.size(); ++i) {
        cfg.blocks[i].loop = is_loop[component[i]] ? component[i] : kNone;
    }
}

bool dominates(const Cfg& cfg, std::uint32_t above, std::uint32_t block) {
    while (block != above && block != kNone) {
        block = cfg.dominator[block];
    }
    return block == above;
}

} // namespace

std::vector<bool> natural_loop(const Cfg& cfg, std::uint32_t head) {
    std::vector<std::vector<std::uint32_t>> predecessors(cfg.blocks.size());
    for (std::uint32_t i = 0; i < cfg.blocks.size(); ++i) {
        for (const std::uint32_t next : cfg.blocks[i].successors) {
            predecessors[next].push_back(i);
        }
    }
    std::vector<bool> body(cfg.blocks.size(), false);
    std::vector<std::uint32_t> open;
    for (const std::uint32_t from : predecessors[head]) {
        if (cfg.blocks[from].is_reachable && dominates(cfg, head, from)) {
            open.push_back(from);
        }
    }
    if (open.empty()) { // irreducible
        for (std::uint32_t i = 0; i < cfg.blocks.size(); ++i) {
            body[i] = cfg.blocks[i].loop == cfg.blocks[head].loop;
        }
        return body;
    }
    body[head] = true;
    while (!open.empty()) {
        const std::uint32_t block = open.back();
        open.pop_back();
        if (!body[block]) {
            body[block] = true;
            open.insert(open.end(), predecessors[block].begin(), predecessors[block].end());
        }
    }
    return body;
}

Cfg build_cfg(const isa::DecodedProgram& program, const CallArity& arity) {
    Cfg cfg;
    make_blocks(program, cfg);
    make_edges(program, cfg);
    find_loops(program, cfg);
    compute_liveness(program, arity, cfg);
    return cfg;
}

} // namespace ebpfvm::cfg
