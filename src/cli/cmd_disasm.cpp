// Listings with the names behind the numbers. Tested by tools_test.cpp.
#include "cli/cmd_disasm.hpp"

#include "cli/exit_code.hpp"
#include "cli/load.hpp"
#include "ebpfvm/vm.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cstdio>

namespace ebpfvm::cli {
namespace {

constexpr std::uint8_t kLddw = 0x18;
constexpr std::uint8_t kCall = 0x85;
constexpr std::uint8_t kExit = 0x95;
constexpr std::uint8_t kGotol = 0x06;
constexpr std::uint8_t kClassMask = 0x07;
constexpr std::uint8_t kClassJmp = 0x05;
constexpr std::uint8_t kClassJmp32 = 0x06;

template <class T>
std::string name_at(const std::vector<T>& named, std::int64_t index) {
    return std::in_range<std::size_t>(index) && std::size_t(index) < named.size()
               ? named[std::size_t(index)].name
               : "";
}

class Listing {
  public:
    Listing(const DisasmCommand& command, const Style& style, const Object& object,
            const Program& program)
        : command_(command), style_(style), object_(object), program_(program) {}

    void print() const;

  private:
    void print_header() const;
    void print_place(std::size_t at) const;
    [[nodiscard]] std::string note(std::size_t at) const;
    [[nodiscard]] std::string note_lddw(std::size_t at) const;
    [[nodiscard]] std::string note_call(std::size_t at) const;
    [[nodiscard]] std::string global_at(std::int32_t map, std::int32_t off) const;
    [[nodiscard]] std::string subprog_at(std::int64_t at) const;

    const DisasmCommand& command_;
    const Style& style_;
    const Object& object_;
    const Program& program_;
};

void Listing::print_header() const {
    fmt::print("; {}: {}", style_.heading(program_.name), name_of(program_.type));
    if (!program_.section.empty()) {
        fmt::print(", section \"{}\"", program_.section);
    }
    fmt::print(", {} insns\n", program_.insns.size());
}

// What comes before an insn: the subprogram that begins here, the source line.
void Listing::print_place(std::size_t at) const {
    const Subprog* subprog = program_.subprog_of(at);
    if (subprog != nullptr && subprog->insn == at && !subprog->name.empty()) {
        fmt::print("{}:\n", style_.heading(subprog->name));
    }
    const LineInfo* line = command_.with_source ? program_.line_of(at) : nullptr;
    const bool is_new = line != nullptr && line->insn == at &&
                        (line == program_.lines.data() || line[-1].line != line->line ||
                         line[-1].file != line->file);
    if (is_new) {
        const std::string text = line->text.empty() ? "" : ": " + line->text;
        fmt::print("{}\n", style_.quiet(fmt::format("; {}:{}{}", line->file, line->line, text)));
    }
}

std::string Listing::global_at(std::int32_t map, std::int32_t off) const {
    for (const Global& global : object_.globals()) {
        if (std::int64_t{global.map} == map && std::int64_t{global.off} == off) {
            return global.name;
        }
    }
    const std::string name = name_at(object_.maps(), map);
    return name.empty() ? "" : fmt::format("{}[0]+{}", name, off);
}

std::string Listing::subprog_at(std::int64_t at) const {
    const auto found = std::ranges::find_if(
        program_.subprogs, [at](const Subprog& subprog) { return subprog.insn == at; });
    return found == program_.subprogs.end() ? "" : found->name;
}

std::string Listing::note_lddw(std::size_t at) const {
    const Insn& insn = program_.insns[at];
    const std::int32_t second = at + 1 < program_.insns.size() ? program_.insns[at + 1].imm : 0;
    switch (LddwSrc(insn.src)) {
    case LddwSrc::MapIdx:
        return name_at(object_.maps(), insn.imm);
    case LddwSrc::MapValueIdx:
        return global_at(insn.imm, second);
    case LddwSrc::BtfId:
        return name_at(object_.externs(), insn.imm);
    case LddwSrc::Func:
        return subprog_at(std::int64_t(at) + 1 + insn.imm);
    case LddwSrc::Imm64:
    case LddwSrc::MapFd:
    case LddwSrc::MapValueFd:
        return "";
    }
    return ""; // other numbers are no instruction
}

std::string Listing::note_call(std::size_t at) const {
    const Insn& insn = program_.insns[at];
    switch (CallSrc(insn.src)) {
    case CallSrc::Helper:
        return std::string(helper_name(static_cast<std::uint32_t>(insn.imm)));
    case CallSrc::Local:
        return subprog_at(std::int64_t(at) + 1 + insn.imm);
    case CallSrc::Kfunc:
        return name_at(object_.externs(), insn.imm);
    }
    return ""; // other numbers are no instruction
}

// What the numbers of the insn stand for; "" if there is nothing to say.
std::string Listing::note(std::size_t at) const {
    const Insn& insn = program_.insns[at];
    if (insn.code == kLddw) {
        return note_lddw(at);
    }
    if (insn.code == kCall) {
        return note_call(at);
    }
    const std::uint8_t insn_class = insn.code & kClassMask;
    if ((insn_class != kClassJmp && insn_class != kClassJmp32) || insn.code == kExit) {
        return "";
    }
    const std::int64_t offset = insn.code == kGotol ? insn.imm : insn.off;
    return fmt::format("to {}", std::int64_t(at) + 1 + offset);
}

void Listing::print() const {
    print_header();
    for (std::size_t at = 0; at < program_.insns.size();) {
        const std::string text = disassemble_at(program_.insns, at);
        if (command_.is_plain) {
            fmt::print("{}\n", text);
        } else {
            print_place(at);
            const std::string what = note(at);
            fmt::print("{:>6}: {}\n", at,
                       what.empty() ? text
                                    : fmt::format("{:<40}{}", text, style_.quiet("; " + what)));
        }
        at += program_.insns[at].code == kLddw ? 2 : 1;
    }
}

} // namespace

Expected<int> disasm_command(const DisasmCommand& command, const Style& style) {
    const ProgTypeTable types;
    TRY_ASSIGN(const Object object, load_input(command.file, "", types));
    TRY_ASSIGN(const Program* chosen, choose_program(object, command.prog));
    bool is_first = true;
    for (const Program& program : object.programs()) {
        if (!command.prog.empty() && &program != chosen) {
            continue;
        }
        fmt::print("{}", is_first ? "" : "\n");
        Listing(command, style, object, program).print();
        is_first = false;
    }
    return kExitOk;
}

} // namespace ebpfvm::cli
