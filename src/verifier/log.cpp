// The forms are those of the kernel's print_verifier_state() and print_bpf_insn(); facts that the
// kernel does not track, or tracks otherwise (precision, liveness marks), are left out.
#include "verifier/log.hpp"

#include <algorithm>

namespace ebpfvm::verifier {
namespace {

// Joins "name=value" with commas.
class Fields {
  public:
    template <class T>
    void add(std::string_view name, const T& value) {
        fmt::format_to(std::back_inserter(text_), "{}{}={}", text_.empty() ? "" : ",", name, value);
    }
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
};

void add_ranges(Fields& out, const Scalar& value) {
    if (value.s64.min != INT64_MIN && std::uint64_t(value.s64.min) != value.u64.min) {
        out.add("smin", value.s64.min);
    }
    if (value.s64.max != INT64_MAX && std::uint64_t(value.s64.max) != value.u64.max) {
        out.add("smax", value.s64.max);
    }
    if (value.u64.min != 0) {
        out.add("umin", value.u64.min);
    }
    if (value.u64.max != UINT64_MAX) {
        out.add("umax", value.u64.max);
    }
    const Scalar low = truncate(32, value);
    if (value.u64.max > UINT32_MAX && (low.u64.min != 0 || low.u64.max != UINT32_MAX)) {
        out.add("umin32", low.u64.min);
        out.add("umax32", low.u64.max);
    }
    if (value.bits.mask != ~std::uint64_t{0}) {
        out.add("var_off", fmt::format("({:#x}; {:#x})", value.bits.value, value.bits.mask));
    }
}

std::string_view kernel_name(RegType type) {
    switch (type) {
    case RegType::NotInit:
        return "?";
    case RegType::Packet:
        return "pkt";
    case RegType::PacketMeta:
        return "pkt_meta";
    case RegType::PacketEnd:
        return "pkt_end";
    case RegType::Socket:
        return "sock";
    default: // the same
        return name_of(type);
    }
}

std::string pointer_text(const Env& env, const Reg& reg) {
    Fields fields;
    if (reg.id != 0) {
        fields.add("id", reg.id);
    }
    if (reg.ref != 0) {
        fields.add("ref_obj_id", reg.ref);
    }
    if (reg.type == RegType::MapValue || reg.type == RegType::ConstMapPtr ||
        reg.type == RegType::MapKey) {
        const MapSpec& map = env.map(reg);
        fields.add("map", map.name);
        fields.add("ks", map.key_size);
        fields.add("vs", map.value_size);
    }
    if (reg.off != 0) {
        fields.add("off", reg.off);
    }
    if (reg.is_packet()) {
        fields.add("r", reg.aux >= kBeyondPacketEnd ? 0 : reg.aux);
    }
    if (reg.type == RegType::Mem) {
        fields.add("sz", reg.aux);
    }
    std::string text = fields.text();
    if (!reg.var.is_constant() || reg.var.value() != 0) {
        Fields ranges;
        add_ranges(ranges, reg.var);
        text += (text.empty() || ranges.text().empty() ? "" : ",") + ranges.text();
    }
    std::string name(kernel_name(reg.type));
    if (reg.type == RegType::Mem && (reg.flags & reg_flags::kRingbuf) != 0) {
        name = "ringbuf_mem";
    }
    return fmt::format("{}{}({})", name, reg.may_be_null() ? "_or_null" : "", text);
}

// "mmmmmmmm", "0000????": a slot byte by byte, the highest address first.
std::string bytes_text(const StackSlot& slot) {
    std::string text;
    for (std::size_t i = slot.bytes.size(); i-- > 0;) {
        switch (slot.bytes[i]) {
        case ByteKind::Invalid:
            text += '?';
            break;
        case ByteKind::Spill:
            text += 'r';
            break;
        case ByteKind::Misc:
            text += 'm';
            break;
        case ByteKind::Zero:
            text += '0';
            break;
        }
    }
    return text;
}

std::string slot_text(const Env& env, const StackSlot& slot) {
    return slot.has_spill() ? kernel_text(env, slot.spilled) : bytes_text(slot);
}

// What of the current frame differs from `before` (null: everything that is set).
std::string state_text(const Env& env, const Frame& frame, const Frame* before) {
    std::string text;
    const std::string_view written = before != nullptr ? "_w" : "";
    for (unsigned r = 0; r < kRegCount; ++r) {
        const Reg& reg = frame.regs[r];
        if (reg.type != RegType::NotInit && (before == nullptr || !(before->regs[r] == reg))) {
            text += fmt::format("{}R{}{}={}", text.empty() ? "" : " ", r, written,
                                kernel_text(env, reg));
        }
    }
    for (std::size_t s = 0; s < frame.stack.size(); ++s) {
        const StackSlot& slot = frame.stack[s];
        const bool was_there = before != nullptr && s < before->stack.size();
        if (slot.is_all(ByteKind::Invalid) || (was_there && before->stack[s] == slot)) {
            continue;
        }
        text += fmt::format("{}fp-{}{}={}", text.empty() ? "" : " ", (s + 1) * kSlotSize, written,
                            slot_text(env, slot));
    }
    return text;
}

std::string insn_text(const Env& env, std::uint32_t at) {
    const auto& insns = env.code.program->insns;
    const Step& step = env.code.steps[at];
    std::string text = disassemble_at(insns, at);
    if (step.shape == isa::Shape::CallHelper) {
        const auto id = std::uint32_t(step.imm);
        text = fmt::format("call bpf_{}#{}", helper_name(id), id);
    }
    return fmt::format("{}: ({:02x}) {}", at, insns[at].code, text);
}

} // namespace

std::string kernel_text(const Env& env, const Reg& reg) {
    if (reg.type == RegType::NotInit) {
        return "?";
    }
    if (reg.type == RegType::Stack) {
        return reg.var.is_constant() ? fmt::format("fp{}", reg.off + std::int64_t(reg.var.value()))
                                     : pointer_text(env, reg);
    }
    if (!reg.is_scalar()) {
        return pointer_text(env, reg);
    }
    if (reg.var.is_constant()) {
        return fmt::format("{}", std::int64_t(reg.var.value()));
    }
    Fields fields;
    if (reg.id != 0) {
        fields.add("id", reg.id);
    }
    add_ranges(fields, reg.var);
    return fmt::format("scalar({})", fields.text());
}

void Log::begin(const State& state, std::uint32_t at) {
    line(fmt::format("{}: {}", at, state_text(env_, state.top(), nullptr)));
}

void Log::source(std::uint32_t at) {
    const LineInfo* where = env_.code.program->line_of(at);
    if (where != nullptr && where->line != shown_line_ && !where->text.empty()) {
        line(fmt::format("; {} @ {}:{}", where->text, where->file, where->line));
        shown_line_ = where->line;
    }
}

void Log::insn(std::uint32_t at, const State& before, const State& after) {
    source(at);
    const std::string text = insn_text(env_, at);
    const bool is_same_frame = before.depth() == after.depth();
    const std::string changes =
        state_text(env_, after.top(), is_same_frame ? &before.top() : nullptr);
    constexpr std::size_t kColumn = 40;
    line(changes.empty() ? text : fmt::format("{:<{}} ; {}", text, kColumn, changes));
}

void Log::insn(std::uint32_t at) {
    source(at);
    line(insn_text(env_, at));
}

void Log::branch(std::uint32_t from, std::uint32_t to, const State& state) {
    line("");
    line(fmt::format("from {} to {}: {}", from, to, state_text(env_, state.top(), nullptr)));
    shown_line_ = 0;
}

void Log::safe(std::uint32_t at) {
    line(fmt::format("{}: safe", at));
}

void log_end(const Env& env, const VerifierStats& stats, bool is_accepted) {
    if (!env.options.log) {
        return;
    }
    if (!is_accepted) {
        env.options.log(env.rejection.message);
    }
    env.options.log(fmt::format("processed {} insns (limit {}) total_states {} peak_states {}",
                                stats.explored, env.options.max_explored, stats.states,
                                stats.peak_states));
}

} // namespace ebpfvm::verifier
