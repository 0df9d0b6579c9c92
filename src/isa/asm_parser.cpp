// Lines, labels and their resolution; the dialects read what a line says.
#include "isa/asm_conformance.hpp"
#include "isa/asm_kernel.hpp"

#include <algorithm>
#include <map>

namespace ebpfvm::isa {
namespace {

class Assembler {
  public:
    /// Reads a line: any number of labels, then at most one instruction.
    Expected<void> add_line(Cursor in);

    /// The program, once all lines are in.
    Expected<std::vector<Insn>> finish();

  private:
    struct Label {
        std::size_t slot;
        std::uint32_t line;
    };

    Expected<void> define(const Token& name);
    Expected<void> add(const Token& start, const Statement& statement);
    Expected<Label> find(const Token& name) const;

    std::vector<Statement> statements_;
    std::size_t slots_ = 0;
    std::map<std::string_view, Label> labels_; // no hash: hostile labels could collide
    std::optional<Label> first_exit_;
};

Expected<void> Assembler::define(const Token& name) {
    const auto [label, is_new] = labels_.insert({name.text, {slots_, name.line}});
    if (!is_new) {
        return fail_at_token(name, "label {} is already defined at line {}", quoted(name),
                             label->second.line);
    }
    return {};
}

Expected<void> Assembler::add(const Token& start, const Statement& statement) {
    const OpInfo& row = info(statement.insn.op);
    if (row.op == Op::Exit && !first_exit_) {
        first_exit_ = {slots_, start.line};
    }
    slots_ += row.shape == Shape::Lddw ? 2 : 1;
    if (slots_ > kMaxInsns) {
        return fail_at_token(start, "program has more than {} insns", kMaxInsns);
    }
    statements_.push_back(statement);
    return {};
}

Expected<void> Assembler::add_line(Cursor in) {
    while (in.peek().kind == TokenKind::Word) {
        Cursor ahead = in;
        const Token name = ahead.take();
        if (!ahead.accept(":")) {
            break;
        }
        TRY(define(name));
        in = ahead;
    }
    if (in.at_end()) {
        return {};
    }
    const Token start = in.peek();
    TRY_ASSIGN(const Statement statement,
               is_conformance_statement(in) ? conformance_statement(in) : kernel_statement(in));
    if (!in.at_end()) {
        return in.expected("end of line");
    }
    return add(start, statement);
}

Expected<Assembler::Label> Assembler::find(const Token& name) const {
    if (const auto label = labels_.find(name.text); label != labels_.end()) {
        return label->second;
    }
    // bpf_conformance's programs jump to `exit` without defining it: the first exit is meant.
    if (name.text == info(Op::Exit).text && first_exit_) {
        return *first_exit_;
    }
    return fail_at_token(name, "label {} is not defined", quoted(name));
}

Expected<std::vector<Insn>> Assembler::finish() {
    std::vector<Insn> out;
    out.reserve(slots_);
    for (Statement& statement : statements_) {
        if (statement.label) {
            TRY_ASSIGN(const Label label, find(*statement.label));
            const auto displacement = std::int64_t(label.slot) - std::int64_t(out.size()) - 1;
            if (!set_displacement(statement.insn, displacement)) {
                return fail_at_token(*statement.label,
                                     "label {} is {} insns away, which does not fit in 16 bits",
                                     quoted(*statement.label), displacement);
            }
        }
        encode(statement.insn, out);
    }
    return out;
}

} // namespace
} // namespace ebpfvm::isa

namespace ebpfvm {

Expected<std::vector<Insn>> assemble(std::string_view text) {
    isa::Assembler assembler;
    for (std::uint32_t line = 1; !text.empty(); ++line) {
        const std::size_t size = std::min(text.find('\n'), text.size());
        TRY(assembler.add_line(isa::Cursor(text.substr(0, size), line)));
        text.remove_prefix(std::min(size + 1, text.size()));
    }
    return assembler.finish();
}

} // namespace ebpfvm
