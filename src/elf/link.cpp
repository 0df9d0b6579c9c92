// Tested by programs_test.cpp.
#include "elf/link.hpp"

#include "elf/param_tag.hpp"

#include <algorithm>

namespace ebpfvm::elf {
namespace {

constexpr std::uint16_t kMaxParams = 5; // r1..r5

// A tag of a declaration: __arg_ctx and its like.
struct ParamTag {
    std::uint32_t func = 0; // in the type information
    std::uint32_t param = 0;
    std::string_view name; // "ctx"
};

std::vector<ParamTag> param_tags(const Btf* btf) {
    constexpr std::string_view kPrefix = "arg:";
    std::vector<ParamTag> tags;
    for (std::uint32_t id = 1; btf != nullptr && id < btf->type_count(); ++id) {
        if (btf->kind(id) == BtfKind::DeclTag && btf->component(id) >= 0 &&
            btf->name(id).starts_with(kPrefix)) {
            tags.push_back({btf->type(id).type, std::uint32_t(btf->component(id)),
                            btf->name(id).substr(kPrefix.size())});
        }
    }
    std::ranges::stable_sort(tags, {}, &ParamTag::func);
    return tags;
}

class Linker {
  public:
    Linker(const Input& input, const Code& code, Budget& budget)
        : input_(input), code_(code), budget_(budget), places_(code.functions().size()),
          tags_(param_tags(input.btf.get())) {}

    Expected<LinkedPrograms> run();

  private:
    Expected<Program> link(const Entry& entry);
    void collect(std::uint32_t entry);
    Expected<void> append(std::uint32_t index, Program& program);
    Expected<void> append_info(const Function& function, Program& program);
    void add_inner_subprogs(Program& program);
    [[nodiscard]] std::uint32_t func_type(const Function& function) const;
    [[nodiscard]] std::vector<SubprogParam> params_of(std::uint32_t func) const;

    struct Place {
        std::size_t program = 0; // number of the program it was last placed in, from 1
        std::uint64_t insn = 0;  // there
    };

    const Input& input_;
    const Code& code_;
    Budget& budget_;
    std::vector<Place> places_; // by function
    LinkedPrograms linked_;
    std::vector<ParamTag> tags_; // ascending

    // Of the program at hand:
    std::vector<std::uint32_t> functions_; // in the order of their insns
    std::vector<Subprog> inner_;           // calls into the middle of a function
};

// The kernel's table alone; a Vm passes its own.
const ProgTypeTable& prog_types(const LoadObjectOptions& options) {
    static const ProgTypeTable kKernelTypes;
    return options.prog_types == nullptr ? kKernelTypes : *options.prog_types;
}

std::string_view without_autoload_mark(std::string_view section) {
    return section.starts_with('?') ? section.substr(1) : section; // libbpf: not loaded by default
}

Expected<LinkedPrograms> Linker::run() {
    for (const Entry& entry : code_.entries()) {
        TRY_ASSIGN(Program program, link(entry));
        linked_.programs.push_back(std::move(program));
    }
    return std::move(linked_);
}

Expected<Program> Linker::link(const Entry& entry) {
    const Function& function = code_.functions()[entry.function];
    Program program;
    program.name = entry.name;
    program.section = without_autoload_mark(input_.file.section(function.section).name);
    const ProgSection info = prog_types(input_.options).section(program.section);
    program.type = info.type;
    program.attach_type = info.attach_type;
    program.flags = info.flags;
    if (program.type == ProgType::Unspec) {
        program.type = input_.options.default_type;
    }
    TRY(budget_.charge(sizeof(program) + program.name.size() + program.section.size()));
    collect(entry.function);
    for (const std::uint32_t index : functions_) {
        TRY(append(index, program));
    }
    add_inner_subprogs(program);
    program.subprogs.front().name = entry.name;
    return program;
}

// Places the entry and what it reaches, each once: a function is placed where it is first called,
// and then what it calls itself, before the rest of its caller's. libbpf has the same order, so
// insns have the same numbers as in the kernel's log.
void Linker::collect(std::uint32_t entry) {
    const std::size_t number = linked_.programs.size() + 1;
    std::uint64_t next = 0;
    std::vector<std::span<const FuncRef>> unseen; // references of the functions on the way here
    functions_.clear();
    inner_.clear();
    const auto place = [&](std::uint32_t index) {
        const Function& function = code_.functions()[index];
        places_[index] = {number, next};
        next += function.end - function.begin;
        functions_.push_back(index);
        unseen.push_back(code_.refs_of(function));
    };
    place(entry);
    while (!unseen.empty()) {
        if (unseen.back().empty()) {
            unseen.pop_back();
            continue;
        }
        const std::uint32_t callee = unseen.back().front().function;
        unseen.back() = unseen.back().subspan(1);
        if (places_[callee].program != number) {
            place(callee);
        }
    }
}

Expected<void> Linker::append(std::uint32_t index, Program& program) {
    const Function& function = code_.functions()[index];
    const auto insns = code_.insns_of(function);
    const std::uint64_t begin = program.insns.size();
    TRY(budget_.charge(insns.size_bytes() + sizeof(Subprog) + function.name.size() +
                       kMaxParams * sizeof(SubprogParam)));
    program.insns.insert(program.insns.end(), insns.begin(), insns.end());
    const std::uint32_t func = func_type(function);
    program.subprogs.push_back({std::uint32_t(begin), std::string(function.name),
                                function.is_global, func, params_of(func)});
    for (const FuncRef& ref : code_.refs_of(function)) {
        const std::uint64_t from = begin + (ref.insn - function.begin);
        const std::uint64_t to = places_[ref.function].insn + ref.delta;
        program.insns[from].imm = std::int32_t(std::int64_t(to) - std::int64_t(from) - 1);
        if (ref.delta != 0) {
            const std::string_view name = code_.functions()[ref.function].name;
            TRY(budget_.charge(sizeof(Subprog) + name.size()));
            Subprog& inner = inner_.emplace_back();
            inner.insn = std::uint32_t(to);
            inner.name = fmt::format("{}+{}", name, ref.delta);
        }
    }
    return append_info(function, program);
}

std::uint32_t Linker::func_type(const Function& function) const {
    const auto info = input_.ext.find(input_.file.section(function.section).name);
    return info == input_.ext.end() ? 0 : info->second.func_at(std::uint32_t(function.begin));
}

std::vector<SubprogParam> Linker::params_of(std::uint32_t func) const {
    std::vector<SubprogParam> params;
    if (func == 0) {
        return params;
    }
    const Btf& btf = *input_.btf;
    const std::uint32_t proto = btf.type(func).type;
    if (btf.type(proto).vlen > kMaxParams) {
        return params;
    }
    for (const BtfParam& raw : btf.params(proto)) {
        SubprogParam& param = params.emplace_back();
        const std::uint32_t id = btf.resolve(raw.type);
        if (btf.kind(id) == BtfKind::Ptr) {
            const std::uint32_t target = btf.resolve(btf.type(id).type);
            param = {true, std::string(btf.name(target)), btf.size_of(target).value_or(0)};
        }
    }
    for (const ParamTag& tag : std::ranges::equal_range(tags_, func, {}, &ParamTag::func)) {
        if (tag.param < params.size()) {
            static_cast<void>(set_tag(params[tag.param], tag.name)); // others mean nothing to us
        }
    }
    return params;
}

// Records of [function.begin, function.end), with what has to be added to their insn.
template <class Record>
std::span<const Record> records_of(const std::vector<Record>& records, const Function& function) {
    const auto first = std::ranges::lower_bound(records, function.begin, {}, &Record::insn);
    const auto last =
        std::ranges::lower_bound(first, records.end(), function.end, {}, &Record::insn);
    return {first, last};
}

Expected<void> Linker::append_info(const Function& function, Program& program) {
    const auto info = input_.ext.find(input_.file.section(function.section).name);
    if (info == input_.ext.end()) {
        return {};
    }
    const std::uint64_t begin = program.insns.size() - (function.end - function.begin);
    const auto moved = [&](std::uint32_t insn) {
        return std::uint32_t(begin + (insn - function.begin));
    };
    for (const LineRecord& line : records_of(info->second.lines, function)) {
        TRY(budget_.charge(sizeof(LineInfo) + line.file.size() + line.text.size()));
        program.lines.push_back({.insn = moved(line.insn),
                                 .line = line.line,
                                 .column = line.column,
                                 .file = std::string(line.file),
                                 .text = std::string(line.text),
                                 .indent = line.indent});
    }
    for (const CoreRecord& core : records_of(info->second.core, function)) {
        TRY(budget_.charge(sizeof(CoreReloc) + core.access.size()));
        linked_.core.push_back({std::uint32_t(linked_.programs.size()), moved(core.insn),
                                core.type_id, std::string(core.access), core.kind});
    }
    return {};
}

void Linker::add_inner_subprogs(Program& program) {
    if (inner_.empty()) {
        return;
    }
    auto& subprogs = program.subprogs;
    subprogs.insert(subprogs.end(), inner_.begin(), inner_.end());
    std::ranges::stable_sort(subprogs, {}, &Subprog::insn);
    const auto repeated = std::ranges::unique(subprogs, {}, &Subprog::insn);
    subprogs.erase(repeated.begin(), repeated.end());
}

} // namespace

Expected<LinkedPrograms> link_programs(const Input& input, const Code& code, Budget& budget) {
    return Linker(input, code, budget).run();
}

} // namespace ebpfvm::elf
