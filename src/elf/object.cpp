// What an Object and its programs answer.
#include "ebpfvm/object.hpp"

#include "ebpfvm/btf.hpp"
#include "elf/object_builder.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>

namespace ebpfvm {

Object::Object() = default;
Object::~Object() = default;
Object::Object(const Object&) = default;
Object::Object(Object&&) noexcept = default;
Object& Object::operator=(const Object&) = default;
Object& Object::operator=(Object&&) noexcept = default;

namespace {

// The last of `entries` (ascending by insn) that begins at or before `insn`.
template <class Entry>
const Entry* last_up_to(const std::vector<Entry>& entries, std::size_t insn) {
    const auto after = std::ranges::upper_bound(entries, insn, {}, &Entry::insn);
    return after == entries.begin() ? nullptr : &*std::prev(after);
}

} // namespace

const LineInfo* Program::line_of(std::size_t insn) const {
    const LineInfo* line = last_up_to(lines, insn);
    const Subprog* subprog = subprog_of(insn);
    // A subprogram without debug information does not inherit the lines of the one before it.
    return line != nullptr && subprog != nullptr && line->insn < subprog->insn ? nullptr : line;
}

const Subprog* Program::subprog_of(std::size_t insn) const {
    return last_up_to(subprogs, insn);
}

const Program* Object::find_program(std::string_view name) const {
    const auto named = std::ranges::find(programs_, name, &Program::name);
    if (named != programs_.end()) {
        return &*named;
    }
    const auto first = std::ranges::find(programs_, name, &Program::section);
    const bool is_only = std::ranges::count(programs_, name, &Program::section) == 1;
    return is_only ? &*first : nullptr;
}

const MapSpec* Object::find_map(std::string_view name) const {
    const auto found = std::ranges::find(maps_, name, &MapSpec::name);
    return found == maps_.end() ? nullptr : &*found;
}

MapSpec* Object::find_map(std::string_view name) {
    return const_cast<MapSpec*>(std::as_const(*this).find_map(name));
}

Program* Object::find_program(std::string_view name) {
    return const_cast<Program*>(std::as_const(*this).find_program(name));
}

Expected<void> Object::set_global(std::string_view name, std::span<const std::byte> value) {
    const auto global = std::ranges::find(globals_, name, &Global::name);
    if (global == globals_.end()) {
        return fail(Errc::NotFound, "no global variable \"{}\"", name);
    }
    MapSpec& spec = maps_[global->map];
    const bool has_size = global->size == 0 || global->size == value.size();
    if (!has_size || !fits(global->off, value.size(), spec.value_size)) {
        return fail(Errc::InvalidArgument, "global variable \"{}\": value of {} bytes, expected {}",
                    name, value.size(), global->size);
    }
    spec.data.resize(spec.value_size); // .bss has none yet
    std::ranges::copy(value, spec.data.begin() + global->off);
    return {};
}

Object Object::from_insns(std::string name, ProgType type, std::vector<Insn> insns,
                          std::vector<MapSpec> maps) {
    ObjectBuilder builder;
    builder.name = name;
    builder.maps = std::move(maps);
    Program& program = builder.programs.emplace_back();
    Subprog& entry = program.subprogs.emplace_back();
    entry.name = name;
    entry.is_global = true;
    program.name = std::move(name);
    program.type = type;
    program.insns = std::move(insns);
    return builder.finish();
}

} // namespace ebpfvm
