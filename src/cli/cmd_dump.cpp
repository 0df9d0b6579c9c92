// Tested by dump_test.cpp.
#include "cli/cmd_dump.hpp"

#include "cli/exit_code.hpp"
#include "cli/facts_text.hpp"
#include "cli/load.hpp"
#include "ebpfvm/ebpfvm.hpp"
#include "support/try.hpp"

#include <fmt/format.h>

#include <utility>

namespace ebpfvm::cli {
namespace {

Expected<Executable> load(const DumpCommand& command, Vm& vm, const Object& object,
                          const Program& program) {
    TRY_ASSIGN(const Module module,
               vm.load(object, {.mode = command.is_checked ? ExecMode::Checked : ExecMode::Verified,
                                .engine = command.form == DumpForm::Xlated ? Engine::Interp
                                                                           : command.engine,
                                .blind_constants = command.blind_constants,
                                .programs = {program.name},
                                .without_passes = command.without_passes}));
    return module.program(program.name);
}

class Dump {
  public:
    Dump(const DumpCommand& command, const Style& style, const Object& object,
         const Program& program)
        : command_(command), style_(style), object_(object), program_(program) {}

    Expected<void> print(Vm& vm) {
        TRY_ASSIGN(const Executable executable, load(command_, vm, object_, program_));
        if (command_.with_facts) {
            TRY(find_facts(vm));
        }
        TRY_ASSIGN(const auto listing, list(executable));
        print_header(executable);
        for (const ListedInsn& insn : listing) {
            print_place(insn.insn);
            for (const std::string& line : insn.lines) {
                print_line(insn.insn, line);
            }
        }
        return {};
    }

  private:
    Expected<std::vector<ListedInsn>> list(const Executable& executable) const {
        switch (command_.form) {
        case DumpForm::Xlated:
            return executable.xlated();
        case DumpForm::Ir:
            return executable.ir();
        case DumpForm::Jited:
            return executable.jited();
        }
        std::unreachable();
    }

    Expected<void> find_facts(const Vm& vm) {
        const VerifierOptions options{
            .facts = true, .helpers = &vm.helpers(), .prog_types = &vm.prog_types()};
        TRY_ASSIGN(const Report report, verify(object_, program_, options));
        facts_ = report.facts;
        return {};
    }

    void print_header(const Executable& executable) const {
        fmt::print("; {}: {}, {} insns", style_.heading(program_.name), name_of(program_.type),
                   program_.insns.size());
        if (executable.load_cost().code_bytes != 0) {
            fmt::print(", {} bytes of machine code", executable.load_cost().code_bytes);
        }
        fmt::print("{}\n", command_.is_checked ? ", with checks" : "");
    }

    // The source line, and for machine code the insn, whose code begins here.
    void print_place(std::uint32_t insn) {
        const LineInfo* line = command_.with_source ? program_.line_of(insn) : nullptr;
        const bool is_new = line != nullptr && (line->line != line_ || line->file != file_);
        if (is_new) {
            line_ = line->line;
            file_ = line->file;
            fmt::print("{}\n", style_.quiet(
                                   fmt::format("; {}:{}: {}", line->file, line->line, line->text)));
        }
        if (command_.form != DumpForm::Xlated && insn != last_) {
            const std::string text =
                insn < program_.insns.size()
                    ? fmt::format("{}: {}", insn, disassemble_at(program_.insns, insn))
                    : "behind the program";
            fmt::print("{}{}\n", style_.heading(text), facts_of(insn));
        }
        last_ = insn;
    }

    void print_line(std::uint32_t insn, const std::string& line) const {
        if (command_.form != DumpForm::Xlated) {
            fmt::print("        {}\n", line);
        } else {
            fmt::print("{:>5}: {}{}\n", insn, line, facts_of(insn));
        }
    }

    std::string facts_of(std::uint32_t insn) const {
        if (facts_ == nullptr || insn >= facts_->insns.size()) {
            return "";
        }
        const std::string text = insn_facts_text(object_, facts_->insns[insn]);
        return text.empty() ? "" : style_.quiet(fmt::format("    ; {}", text));
    }

    const DumpCommand& command_;
    const Style& style_;
    const Object& object_;
    const Program& program_;
    std::shared_ptr<const Facts> facts_{};
    std::uint32_t last_ = ~std::uint32_t{0};
    std::uint32_t line_ = 0;
    std::string file_{};
};

} // namespace

Expected<int> dump_command(const DumpCommand& command, const Style& style) {
    Vm vm;
    TRY_ASSIGN(const Object object, load_input(command.object, command.type, vm.prog_types()));
    TRY_ASSIGN(const Program* program, choose_program(object, command.prog));
    TRY(Dump(command, style, object, *program).print(vm));
    return kExitOk;
}

} // namespace ebpfvm::cli
