// The control flow graph as a picture.
#include "cfg/cfg.hpp"

#include <fmt/format.h>

namespace ebpfvm::cfg {
namespace {

std::string label_of(const isa::DecodedProgram& program, const BasicBlock& block,
                     std::span<const Insn> insns) {
    std::string label;
    for (std::uint32_t at = block.first; at <= block.last; at += program.insns[at].slots) {
        label += fmt::format("{}: {}\\l", at, disassemble_at(insns, at));
    }
    return label;
}

} // namespace

std::string to_dot(const isa::DecodedProgram& program, const Cfg& cfg,
                   std::span<const Insn> insns) {
    std::string out = "digraph cfg {\n  node [shape=box fontname=monospace]\n";
    for (std::size_t i = 0; i < cfg.blocks.size(); ++i) {
        const BasicBlock& block = cfg.blocks[i];
        out += fmt::format("  b{} [label=\"{}\"{}]\n", i, label_of(program, block, insns),
                           block.is_loop_head ? " peripheries=2" : "");
        for (const std::uint32_t next : block.successors) {
            out += fmt::format("  b{} -> b{}\n", i, next);
        }
    }
    return out + "}\n";
}

} // namespace ebpfvm::cfg
