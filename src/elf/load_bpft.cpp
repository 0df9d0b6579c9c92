// Programs as text, line by line: docs/bpft.md. Tested by load_bpft_test.cpp.
#include "ebpfvm/object.hpp"
#include "elf/object_builder.hpp"
#include "elf/param_tag.hpp"
#include "support/bits.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

namespace ebpfvm {
namespace {

constexpr std::uint8_t kLddw = 0x18;
constexpr std::uint8_t kCall = 0x85;

std::string_view trim(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Takes the first word off `text`.
std::string_view next_word(std::string_view& text) {
    text = trim(text);
    const std::string_view word = text.substr(0, text.find_first_of(" \t"));
    text = trim(text.substr(word.size()));
    return word;
}

// Takes what is before the next `separator`, or everything.
std::string_view next_part(std::string_view& text, char separator) {
    const std::string_view part = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    return part;
}

class BpftReader {
  public:
    BpftReader(std::string_view text, const LoadObjectOptions& options)
        : rest_(text), options_(options) {
        builder_.name = options.name;
    }

    Expected<Object> read();

  private:
    Expected<void> read_line(std::string_view word, std::string_view rest);
    Expected<void> begin_program(std::string_view name);
    Expected<void> read_directive(std::string_view word, std::string_view rest);
    Expected<void> read_map(std::string_view rest);
    Expected<void> read_map_field(MapSpec& spec, std::string_view key, std::string_view value);
    Expected<void> read_special_fields(MapSpec& spec, std::string_view list);
    Expected<void> read_special_field(MapSpec& spec, std::string_view text, char separator);
    Expected<void> read_inner(MapSpec& spec, std::string_view list);
    Expected<void> read_data(MapSpec& spec, std::string_view hex);
    Expected<void> read_func(std::string_view rest);
    Expected<SubprogParam> read_param(std::string_view& rest) const;
    Expected<void> read_tags(SubprogParam& param, std::string_view list) const;
    Expected<void> read_extern(std::string_view rest, ExternKind kind);
    Expected<void> read_insns(std::string_view rest);
    Expected<void> end_program();
    Expected<void> resolve(std::uint32_t slot);

    bool next_line(std::string_view& line);
    template <class Number>
    Expected<Number> number(std::string_view text, std::string_view what) const;
    template <class... Args>
    std::unexpected<Error> bad(fmt::format_string<Args...> format, Args&&... args) const {
        return fail_at(Errc::MalformedText, {options_.name, line_, 0}, format,
                       std::forward<Args>(args)...);
    }

    std::string_view rest_;
    const LoadObjectOptions& options_;
    ObjectBuilder builder_;
    std::uint32_t line_ = 0;

    // Of the program at hand:
    bool in_program_ = false;
    bool has_insns_ = false;
    std::map<std::uint32_t, std::uint32_t> maps_;    // number in the text -> index in the object
    std::map<std::uint32_t, std::uint32_t> externs_; // slot -> index in the object
    std::map<std::pair<ExternKind, std::string>, std::uint32_t> known_externs_; // of all programs
};

bool BpftReader::next_line(std::string_view& line) {
    if (rest_.empty()) {
        return false;
    }
    line = next_part(rest_, '\n');
    ++line_;
    return true;
}

template <class Number>
Expected<Number> BpftReader::number(std::string_view text, std::string_view what) const {
    const bool is_hex = text.starts_with("0x");
    const std::string_view digits = is_hex ? text.substr(2) : text;
    Number value{};
    const auto [end, status] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, is_hex ? 16 : 10);
    if (status != std::errc() || end != digits.data() + digits.size()) {
        return bad("{} \"{}\" is no number of {} bits", what, text,
                   std::numeric_limits<Number>::digits);
    }
    return value;
}

Expected<Object> BpftReader::read() {
    if (rest_.size() > options_.max_bytes) {
        return fail(Errc::LimitExceeded, "{}: {} bytes, at most {} allowed", options_.name,
                    rest_.size(), options_.max_bytes);
    }
    std::string_view line;
    while (next_line(line)) {
        line = trim(line);
        if (line.empty() || line.front() == '#') {
            continue;
        }
        const std::string_view word = next_word(line);
        TRY(read_line(word, line));
    }
    if (in_program_) {
        return bad("program \"{}\" has no end", builder_.programs.back().name);
    }
    if (builder_.programs.empty()) {
        return bad("no program");
    }
    return builder_.finish();
}

Expected<void> BpftReader::read_line(std::string_view word, std::string_view rest) {
    if (word == "prog") {
        return begin_program(rest);
    }
    if (!in_program_) {
        return bad("\"{}\" outside prog ... end", word);
    }
    if (word == "end") {
        return end_program();
    }
    return read_directive(word, rest);
}

Expected<void> BpftReader::begin_program(std::string_view name) {
    if (in_program_) {
        return bad("prog inside program \"{}\"", builder_.programs.back().name);
    }
    if (name.empty()) {
        return bad("prog needs a name");
    }
    in_program_ = true;
    has_insns_ = false;
    maps_.clear();
    externs_.clear();
    Program& program = builder_.programs.emplace_back();
    program.name = name;
    program.type = options_.default_type;
    return {};
}

// What only people and test runners read.
bool is_information(std::string_view word) {
    constexpr std::string_view kWords[] = {"object", "attach_to", "kernel", "expect"};
    return std::ranges::find(kWords, word) != std::end(kWords);
}

Expected<void> BpftReader::read_directive(std::string_view word, std::string_view rest) {
    Program& program = builder_.programs.back();
    if (word == "prog_type") { // N (name)
        TRY_ASSIGN(const auto type, number<std::uint32_t>(next_word(rest), word));
        program.type = ProgType(type);
        return {};
    }
    if (word == "attach_type") {
        TRY_ASSIGN(program.attach_type, number<std::uint32_t>(next_word(rest), word));
        return {};
    }
    if (word == "prog_flags") {
        TRY_ASSIGN(program.flags, number<std::uint32_t>(next_word(rest), word));
        return {};
    }
    if (word == "section") {
        program.section = rest;
        return {};
    }
    if (word == "license") { // the object has one: that of its first program
        if (builder_.license.empty()) {
            builder_.license = rest;
        }
        return {};
    }
    if (word == "map") {
        return read_map(rest);
    }
    if (word == "func") {
        return read_func(rest);
    }
    if (word == "kfunc" || word == "ksym") {
        return read_extern(rest, word == "kfunc" ? ExternKind::Function : ExternKind::Variable);
    }
    if (word == "insns") {
        return read_insns(rest);
    }
    if (is_information(word)) {
        return {};
    }
    return bad("\"{}\" is unknown", word);
}

Expected<void> BpftReader::read_map(std::string_view rest) {
    TRY_ASSIGN(const auto index, number<std::uint32_t>(next_word(rest), "map"));
    if (!maps_.emplace(index, std::uint32_t(builder_.maps.size())).second) {
        return bad("map {} is there twice", index);
    }
    MapSpec spec;
    while (!rest.empty()) {
        std::string_view word = next_word(rest);
        if (word.front() == '(') { // the name of the type
            continue;
        }
        const std::string_view key = next_part(word, '=');
        TRY(read_map_field(spec, key, word));
    }
    if (spec.name.empty()) {
        spec.name = fmt::format("map{}", builder_.maps.size());
    }
    if (!spec.data.empty() && spec.data.size() != spec.value_size) {
        return bad("map {}: data of {} bytes, value of {}", index, spec.data.size(),
                   spec.value_size);
    }
    // Content is dumped of read-only maps alone, and stands for what nobody may change.
    spec.frozen = !spec.data.empty();
    builder_.maps.push_back(std::move(spec));
    return {};
}

Expected<void> BpftReader::read_map_field(MapSpec& spec, std::string_view key,
                                          std::string_view value) {
    if (key == "name") {
        spec.name = value;
        return {};
    }
    if (key == "inner") {
        return read_inner(spec, value);
    }
    if (key == "fields") {
        return read_special_fields(spec, value);
    }
    if (key == "data") {
        return read_data(spec, value);
    }
    TRY_ASSIGN(const auto wide, number<std::uint64_t>(value, key));
    if (key == "extra") {
        spec.extra = wide;
        return {};
    }
    TRY_ASSIGN(const auto narrow, number<std::uint32_t>(value, key));
    if (key == "type") {
        spec.type = MapType(narrow);
        return {};
    }
    struct Field {
        std::string_view key;
        std::uint32_t MapSpec::*to;
    };
    static constexpr Field kFields[] = {{"key", &MapSpec::key_size},
                                        {"value", &MapSpec::value_size},
                                        {"max", &MapSpec::max_entries},
                                        {"flags", &MapSpec::flags}};
    const auto field = std::ranges::find(kFields, key, &Field::key);
    if (field == std::end(kFields)) {
        return bad("map property \"{}\" is unknown", key);
    }
    spec.*field->to = narrow;
    return {};
}

Expected<void> BpftReader::read_inner(MapSpec& spec, std::string_view list) {
    MapSpec inner;
    while (!list.empty()) {
        std::string_view part = next_part(list, ',');
        const std::string_view key = next_part(part, ':');
        if (key == "field") { // KIND@OFF, since ':' and ',' are taken
            TRY(read_special_field(inner, part, '@'));
            continue;
        }
        if (key == "inner" || key == "data" || key == "fields") {
            return bad("inner map property \"{}\" is unknown", key);
        }
        TRY(read_map_field(inner, key, part));
    }
    spec.inner = std::make_shared<const MapSpec>(std::move(inner));
    return {};
}

Expected<void> BpftReader::read_special_fields(MapSpec& spec, std::string_view list) {
    while (!list.empty()) {
        TRY(read_special_field(spec, next_part(list, ','), ':'));
    }
    return {};
}

Expected<void> BpftReader::read_special_field(MapSpec& spec, std::string_view text,
                                              char separator) {
    const std::string_view kind = next_part(text, separator);
    TRY_ASSIGN(const auto off, number<std::uint32_t>(text, "offset"));
    spec.fields.push_back({std::string(kind), off});
    return {};
}

Expected<void> BpftReader::read_data(MapSpec& spec, std::string_view hex) {
    if (hex.size() % 2 != 0) {
        return bad("data of {} hex digits", hex.size());
    }
    spec.data.reserve(hex.size() / 2);
    for (std::size_t i = 0; i < hex.size(); i += 2) {
        std::uint8_t byte = 0;
        const char* begin = hex.data() + i;
        if (std::from_chars(begin, begin + 2, byte, 16).ptr != begin + 2) {
            return bad("data: \"{}\" is no hex byte", hex.substr(i, 2));
        }
        spec.data.push_back(std::byte(byte));
    }
    return {};
}

// ctx+nonnull
Expected<void> BpftReader::read_tags(SubprogParam& param, std::string_view list) const {
    while (!list.empty()) {
        const std::string_view tag = next_part(list, '+');
        if (!elf::set_tag(param, tag)) {
            return bad("tag \"{}\" is unknown", tag);
        }
    }
    return {};
}

// scalar, or ptr:TYPE:SIZE[+TAG...], where TYPE may be "-" and SIZE an errno. TYPE may hold spaces
// and even colons: it ends at the first colon before a number.
Expected<SubprogParam> BpftReader::read_param(std::string_view& rest) const {
    SubprogParam param;
    if (!rest.starts_with("ptr:")) {
        const std::string_view kind = next_word(rest);
        return kind == "scalar" ? Expected<SubprogParam>(param)
                                : bad("parameter \"{}\", expected scalar or ptr:", kind);
    }
    rest.remove_prefix(std::string_view("ptr:").size());
    const auto is_size = [](std::string_view text) {
        text.remove_prefix(text.starts_with('-') ? 1 : 0);
        return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
    };
    for (auto colon = rest.find(':'); colon != std::string_view::npos;
         colon = rest.find(':', colon + 1)) {
        std::string_view after = rest.substr(colon + 1);
        std::string_view tags = next_word(after);
        const std::string_view size = next_part(tags, '+');
        if (!is_size(size)) {
            continue;
        }
        param.is_pointer = true;
        param.pointee = rest.starts_with("-:") ? "" : rest.substr(0, colon);
        if (size.front() != '-') {
            TRY_ASSIGN(param.size, number<std::uint32_t>(size, "size"));
        }
        TRY(read_tags(param, tags));
        rest = after;
        return param;
    }
    return bad("parameter \"ptr:{}\" has no size", rest);
}

// func INSN global|static NAME [parameter ...]
Expected<void> BpftReader::read_func(std::string_view rest) {
    TRY_ASSIGN(const auto insn, number<std::uint32_t>(next_word(rest), "func"));
    const std::string_view linkage = next_word(rest);
    if (linkage != "global" && linkage != "static" && linkage != "extern") {
        return bad("linkage \"{}\", expected global, static or extern", linkage);
    }
    auto& subprogs = builder_.programs.back().subprogs;
    if (!subprogs.empty() && subprogs.back().insn >= insn) {
        return bad("func {} after func {}", insn, subprogs.back().insn);
    }
    if (subprogs.empty() && insn != 0) {
        return bad("func {}: the first one begins at 0", insn);
    }
    Subprog subprog;
    subprog.insn = insn;
    subprog.name = next_word(rest);
    subprog.is_global = linkage == "global";
    while (!rest.empty()) {
        TRY_ASSIGN(SubprogParam param, read_param(rest));
        subprog.params.push_back(std::move(param));
    }
    subprogs.push_back(std::move(subprog));
    return {};
}

Expected<void> BpftReader::read_extern(std::string_view rest, ExternKind kind) {
    TRY_ASSIGN(const auto insn, number<std::uint32_t>(next_word(rest), "insn"));
    if (rest.empty()) {
        return bad("extern at insn {} needs a name", insn);
    }
    const auto [at, is_new] = known_externs_.emplace(std::pair(kind, std::string(rest)),
                                                     std::uint32_t(builder_.externs.size()));
    if (is_new) {
        Extern& added = builder_.externs.emplace_back();
        added.name = rest;
        added.kind = kind;
    }
    externs_[insn] = at->second;
    return {};
}

Expected<void> BpftReader::read_insns(std::string_view rest) {
    TRY_ASSIGN(const auto count, number<std::uint32_t>(next_word(rest), "insns"));
    if (has_insns_) {
        return bad("insns twice");
    }
    has_insns_ = true;
    auto& insns = builder_.programs.back().insns;
    std::string_view line;
    while (insns.size() < count && next_line(line)) {
        line = trim(line.substr(0, line.find_first_of("#;")));
        if (line.empty()) {
            continue;
        }
        std::uint64_t bits = 0;
        const char* end = line.data() + line.size();
        if (line.size() != 16 || std::from_chars(line.data(), end, bits, 16).ptr != end) {
            return bad("\"{}\" is no insn of 16 hex digits", line);
        }
        insns.push_back(load_unaligned<Insn>(&bits));
    }
    if (insns.size() < count) {
        return bad("{} insns, {} announced", insns.size(), count);
    }
    return {};
}

// Numbers of maps and externs in the text become indices in the object.
Expected<void> BpftReader::resolve(std::uint32_t slot) {
    Insn& insn = builder_.programs.back().insns[slot];
    const bool is_map = insn.code == kLddw && (insn.src == std::to_underlying(LddwSrc::MapFd) ||
                                               insn.src == std::to_underlying(LddwSrc::MapValueFd));
    if (is_map) {
        const auto map = maps_.find(std::uint32_t(insn.imm));
        if (map == maps_.end()) {
            return bad("insn {} refers to map {}, which is not there", slot, insn.imm);
        }
        const bool is_value = insn.src == std::to_underlying(LddwSrc::MapValueFd);
        insn.src = std::to_underlying(is_value ? LddwSrc::MapValueIdx : LddwSrc::MapIdx) & 0xf;
        insn.imm = std::int32_t(map->second);
        return {};
    }
    const bool is_kfunc = insn.code == kCall && insn.src == std::to_underlying(CallSrc::Kfunc);
    const bool is_ksym = insn.code == kLddw && insn.src == std::to_underlying(LddwSrc::BtfId);
    if (is_kfunc || is_ksym) {
        const auto found = externs_.find(slot);
        if (found == externs_.end()) {
            return bad("insn {} needs a line \"{} {} NAME\"", slot, is_kfunc ? "kfunc" : "ksym",
                       slot);
        }
        insn.off = 0; // in a dump, the descriptor of a module's BTF
        insn.imm = std::int32_t(found->second);
    }
    return {};
}

Expected<void> BpftReader::end_program() {
    Program& program = builder_.programs.back();
    if (!has_insns_ || program.insns.empty()) {
        return bad("program \"{}\" has no insns", program.name);
    }
    for (std::uint32_t slot = 0; slot < program.insns.size(); ++slot) {
        const bool is_wide = program.insns[slot].code == kLddw;
        TRY(resolve(slot));
        slot += is_wide ? 1 : 0;
    }
    if (program.subprogs.empty()) {
        Subprog& entry = program.subprogs.emplace_back();
        entry.name = program.name;
        entry.is_global = true;
    }
    in_program_ = false;
    return {};
}

} // namespace

Expected<Object> load_bpft(std::string_view text, const LoadObjectOptions& options) {
    return BpftReader(text, options).read();
}

} // namespace ebpfvm
