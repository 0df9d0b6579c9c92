#include "verifier/words.hpp"

#include "verifier/mem.hpp"

#include <algorithm>
#include <cctype>

namespace ebpfvm::verifier {

using isa::Shape;

namespace {

std::string_view base_name(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

} // namespace

std::string call_name(const HelperProto& proto, std::uint32_t id) {
    return helper_name(id).empty() ? proto.name : "bpf_" + proto.name;
}

std::string Words::at_insn(std::uint32_t insn) const {
    const LineInfo* line = env_.code.program->line_of(insn);
    return line == nullptr || line->line == 0
               ? fmt::format("insn {}", insn)
               : fmt::format("insn {} ({}:{})", insn, base_name(line->file), line->line);
}

std::string Words::function(std::uint32_t subprog) const {
    const Subprog* source = env_.code.subprogs[subprog].source;
    return source != nullptr && !source->name.empty()
               ? source->name
               : fmt::format("the function at insn {}", env_.code.subprogs[subprog].first);
}

std::string Words::callee(std::size_t step) const {
    const Step& code = env_.code.steps[insn_of(step)];
    switch (code.shape) {
    case Shape::CallHelper:
        return code.proto == nullptr ? fmt::format("helper {}", code.imm)
                                     : call_name(*code.proto, std::uint32_t(code.imm));
    case Shape::CallKfunc: {
        const std::string_view name = env_.code.extern_name(code);
        return std::string(name.empty() ? "a kernel function" : name);
    }
    case Shape::CallLocal:
        return function(env_.code.subprog_at(code.target));
    default: // no call
        return "the insn";
    }
}

std::string_view Words::leave() const {
    const State* state = history_.empty() ? nullptr : &history_.last();
    if (state != nullptr && (state->depth() > 1 || state->frame(0).subprog != 0)) {
        return "return 0;"; // inside a function, which has its own meaning of values
    }
    switch (env_.code.program->type) {
    case ProgType::Xdp:
        return "return XDP_PASS;";
    case ProgType::SchedCls:
    case ProgType::SchedAct:
        return "return TC_ACT_OK;";
    default: // 0 is harmless, or has no meaning
        return "return 0;";
    }
}

std::string Words::variable(std::size_t step, std::string_view otherwise) const {
    const LineInfo* line = env_.code.program->line_of(insn_of(step));
    if (line == nullptr) {
        return std::string(otherwise);
    }
    const std::string_view text = line->text;
    const auto equals = text.find('=');
    const std::string_view not_plain = "=!<>+-*/%&|^";
    if (equals == std::string_view::npos || equals == 0 || equals + 1 >= text.size() ||
        text[equals + 1] == '=' || not_plain.find(text[equals - 1]) != std::string_view::npos) {
        return std::string(otherwise);
    }
    std::size_t end = equals;
    while (end > 0 && text[end - 1] == ' ') {
        --end;
    }
    std::size_t begin = end;
    while (begin > 0 && is_word(text[begin - 1])) {
        --begin;
    }
    const bool is_member = begin > 0 && (text[begin - 1] == '.' || text[begin - 1] == '>');
    return begin == end || is_member ? std::string(otherwise)
                                     : std::string(text.substr(begin, end - begin));
}

std::string Words::argument(std::uint32_t insn, unsigned n) const {
    const LineInfo* line = env_.code.program->line_of(insn);
    if (line == nullptr || n < 1) {
        return "";
    }
    const std::string_view text = line->text;
    const auto call = text.find("bpf_");
    const auto open = call == std::string_view::npos ? call : text.find('(', call);
    if (open == std::string_view::npos) {
        return "";
    }
    std::string result;
    unsigned depth = 1;
    unsigned at = 1;
    for (std::size_t i = open + 1; i < text.size() && depth > 0 && at <= n; ++i) {
        depth += text[i] == '(' ? 1 : 0;
        depth -= text[i] == ')' ? 1 : 0;
        if (depth == 1 && text[i] == ',') {
            ++at;
        } else if (depth > 0 && at == n && (text[i] != ' ' || !result.empty())) {
            result += text[i];
        }
    }
    const bool is_simple = std::ranges::all_of(
        result, [](char c) { return is_word(c) || c == '.' || c == '-' || c == '>' || c == '&'; });
    const bool is_number =
        !result.empty() && std::isdigit(static_cast<unsigned char>(result[0])) != 0;
    return is_simple && !is_number ? result : "";
}

std::string Words::map_place(const Reg& pointer, std::int64_t off) const {
    for (const Global& global : env_.code.object->globals()) {
        if (global.map == pointer.aux && off >= global.off &&
            off < std::int64_t{global.off} + global.size) {
            return fmt::format("the global variable \"{}\"", global.name);
        }
    }
    return fmt::format("map \"{}\"", env_.map(pointer).name);
}

std::string Words::loaded(std::size_t step) const {
    const Step& code = history_.code(step);
    if (code.shape == Shape::AtomicFetch) {
        return "fetched from memory";
    }
    const Reg& from = history_.before(step).reg(code.src);
    switch (from.type) {
    case RegType::Packet:
    case RegType::PacketMeta:
        return "read from the packet";
    case RegType::MapValue:
        return "read from " + map_place(from, offset_range(from, code.off).min);
    case RegType::MapKey:
        return "read from a map key";
    case RegType::Ctx: {
        const CtxField* field =
            env_.ctx == nullptr ? nullptr : env_.ctx->find(std::uint64_t(code.off), code.size);
        return field == nullptr || field->name.empty() ? std::string("read from ctx")
                                                       : "read from ctx->" + field->name;
    }
    default: // sockets and other memory
        return fmt::format("read from {}", name_of(from.type));
    }
}

std::string Words::made(const Origin& origin) const {
    const auto at_step = [&](std::string what) { return what + " at " + at(origin.step); };
    switch (origin.kind) {
    case OriginKind::Unknown:
        return "made further back on the path";
    case OriginKind::Entry:
        if (!origin.place.is_slot && origin.place.index == kFramePointer) {
            return "in the stack frame of " +
                   function(history_.last().frame(origin.place.frame).subprog);
        }
        return history_.before(history_.first()).frame(0).subprog == 0
                   ? "the argument of the program"
                   : "an argument of the global function, which may be any value of its type";
    case OriginKind::NeverSet:
        return "never set";
    case OriginKind::Result:
        return at_step("the result of " + callee(origin.step));
    case OriginKind::Lost:
        return at_step("lost in the call of " + callee(origin.step));
    case OriginKind::Invalidated:
        return at_step("no pointer since the call of " + callee(origin.step));
    case OriginKind::Loaded:
        return at_step(loaded(origin.step));
    case OriginKind::StackBytes:
        return at_step("loaded from stack bytes of which nothing is known,");
    case OriginKind::PacketLoad:
        return at_step("read from the packet");
    case OriginKind::Constant:
        return at_step("a constant, set");
    case OriginKind::Address:
        return at_step("an address, set");
    case OriginKind::Computed:
        return at_step("computed from pointers");
    }
    std::unreachable();
}

std::string Words::source(const Origin& origin) const {
    std::string text = made(origin);
    if (origin.computed && insn_of(*origin.computed) != insn_of(origin.step)) {
        const bool is_read =
            origin.kind == OriginKind::Loaded || origin.kind == OriginKind::PacketLoad;
        text = fmt::format("computed at {} from {}{}", at(*origin.computed),
                           is_read ? "a value " : "", text);
    }
    return text;
}

} // namespace ebpfvm::verifier
