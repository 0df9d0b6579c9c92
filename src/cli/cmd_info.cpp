// One value tree, printed as JSON or as text. Tested by tools_test.cpp.
#include "cli/cmd_info.hpp"

#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/load.hpp"
#include "ebpfvm/btf.hpp"
#include "ebpfvm/object.hpp"
#include "support/try.hpp"

#include <cstdio>
#include <map>

namespace ebpfvm::cli {
namespace {

Json describe(const Program& program) {
    Json subprogs = Json::array();
    for (const Subprog& subprog : program.subprogs) {
        subprogs.push(Json::object()
                          .add("name", subprog.name)
                          .add("insn", subprog.insn)
                          .add("global", subprog.is_global));
    }
    return Json::object()
        .add("name", program.name)
        .add("section", program.section)
        .add("type", name_of(program.type))
        .add("insns", program.insns.size())
        .add("subprogs", std::move(subprogs));
}

Json describe(const MapSpec& map) {
    return Json::object()
        .add("name", map.name)
        .add("type", name_of(map.type))
        .add("key_size", map.key_size)
        .add("value_size", map.value_size)
        .add("max_entries", map.max_entries)
        .add("flags", map.flags)
        .add("inner", map.inner ? describe(*map.inner) : Json());
}

Json describe(const Extern& symbol) {
    return Json::object()
        .add("name", symbol.name)
        .add("kind", symbol.kind == ExternKind::Function ? "function" : "variable")
        .add("weak", symbol.is_weak);
}

Json describe(const AppliedReloc& reloc) {
    return Json::object()
        .add("section", reloc.section)
        .add("off", reloc.off)
        .add("kind", reloc.kind)
        .add("symbol", reloc.symbol);
}

template <class T>
Json describe_all(const std::vector<T>& items) {
    Json result = Json::array();
    for (const T& item : items) {
        result.push(describe(item));
    }
    return result;
}

Json describe_globals(const Object& object) {
    Json result = Json::array();
    for (const Global& global : object.globals()) {
        result.push(Json::object()
                        .add("name", global.name)
                        .add("map", object.maps()[global.map].name)
                        .add("off", global.off)
                        .add("size", global.size));
    }
    return result;
}

// Number of types per kind.
Json describe_btf(const Btf* btf) {
    if (btf == nullptr) {
        return nullptr;
    }
    std::map<BtfKind, std::uint64_t> counts;
    for (std::uint32_t id = 1; id < btf->type_count(); ++id) {
        ++counts[btf->kind(id)];
    }
    Json result = Json::object();
    for (const auto& [kind, count] : counts) {
        result.add(std::string(name_of(kind)), count);
    }
    return result;
}

Json describe(const Object& object, bool with_relocs) {
    return Json::object()
        .add("object", object.name())
        .add("license", object.license())
        .add("programs", describe_all(object.programs()))
        .add("maps", describe_all(object.maps()))
        .add("globals", describe_globals(object))
        .add("externs", describe_all(object.externs()))
        .add("btf", describe_btf(object.btf()))
        .add("relocations",
             with_relocs ? describe_all(object.relocations()) : Json(object.relocations().size()))
        .add("core_relocations", object.core_relocations().size());
}

// Nothing if there is nothing under it.
void print_heading(std::string_view what, std::size_t count, const Style& style) {
    fmt::print("{}", count == 0 ? "" : style.heading(what) + "\n");
}

void print_programs(const Object& object, const Style& style) {
    print_heading("programs", object.programs().size(), style);
    for (const Program& program : object.programs()) {
        fmt::print("  {:<24} {:<16} section \"{}\", {} insns\n", program.name,
                   name_of(program.type), program.section, program.insns.size());
        for (const Subprog& subprog : program.subprogs) {
            if (subprog.insn != 0) {
                fmt::print("    insn {:<6} {}{}\n", subprog.insn, subprog.name,
                           subprog.is_global ? " (global)" : "");
            }
        }
    }
}

void print_maps(const Object& object, const Style& style) {
    print_heading("maps", object.maps().size(), style);
    for (const MapSpec& map : object.maps()) {
        fmt::print("  {:<24} {:<16} key {}, value {}, max entries {}", map.name, name_of(map.type),
                   map.key_size, map.value_size, map.max_entries);
        fmt::print("{}{}\n", map.flags == 0 ? "" : fmt::format(", flags {:#x}", map.flags),
                   map.inner ? fmt::format(", of {}", name_of(map.inner->type)) : "");
    }
}

void print_symbols(const Object& object, const Style& style) {
    print_heading("globals", object.globals().size(), style);
    for (const Global& global : object.globals()) {
        fmt::print("  {:<24} {:<16} {} bytes at {}\n", global.name, object.maps()[global.map].name,
                   global.size, global.off);
    }
    print_heading("externs", object.externs().size(), style);
    for (const Extern& symbol : object.externs()) {
        fmt::print("  {:<24} {}{}\n", symbol.name,
                   symbol.kind == ExternKind::Function ? "function" : "variable",
                   symbol.is_weak ? " (weak)" : "");
    }
}

void print_relocs(const Object& object) {
    for (const AppliedReloc& reloc : object.relocations()) {
        fmt::print("  {:<24} {:#08x} {:<8} {}\n", reloc.section, reloc.off, reloc.kind,
                   reloc.symbol);
    }
}

void print_text(const Object& object, bool with_relocs, const Style& style) {
    fmt::print("{}: license {}\n", object.name(),
               object.license().empty() ? "none" : "\"" + object.license() + "\"");
    print_programs(object, style);
    print_maps(object, style);
    print_symbols(object, style);
    fmt::print("{}    {}\n", style.heading("btf"), to_text(describe_btf(object.btf())));
    fmt::print("{} {} applied, {} CO-RE\n", style.heading("relocs"), object.relocations().size(),
               object.core_relocations().size());
    if (with_relocs) {
        print_relocs(object);
    }
}

} // namespace

Expected<int> info_command(const InfoCommand& command, const Style& style) {
    const ProgTypeTable types;
    TRY_ASSIGN(const Object object, load_input(command.object, "", types));
    if (command.json) {
        fmt::print("{}\n", to_json(describe(object, command.with_relocs)));
    } else {
        print_text(object, command.with_relocs, style);
    }
    return kExitOk;
}

} // namespace ebpfvm::cli
