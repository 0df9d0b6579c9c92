// The IR as text, for people.
#include "jit/opt/passes.hpp"

#include <fmt/format.h>

#include <iterator>
#include <string_view>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

std::string_view name_of(Kind kind) {
    constexpr std::string_view kNames[] = {
        "none",   "forward", "const", "param",  "frame",  "ctx",    "phi",     "add",      "sub",
        "mul",    "mulhigh", "and",   "or",     "xor",    "shl",    "shr",     "sar",      "rotl",
        "udiv",   "umod",    "sdiv",  "smod",   "neg",    "not",    "zext",    "sext",     "bswap",
        "select", "load",    "store", "atomic", "fetch",  "xchg",   "cmpxchg", "state",    "call",
        "call",   "thunk",   "find",  "jump",   "branch", "switch", "return",  "tail_call"};
    return kNames[unsigned(kind)];
}

std::string_view name_of(Cond cond) {
    constexpr std::string_view kNames[] = {
        "==", "!=", "<", "<=", ">", ">=", "s<", "s<=", "s>", "s>=", "&", "!&"};
    return kNames[unsigned(cond)];
}

class Writer {
  public:
    explicit Writer(const Function& fn) : fn_(fn) {}

    std::vector<SlotCode> run() {
        slot_ = fn_.code->subprogs[fn_.subprog];
        add("function {}, {} bytes of stack", fn_.subprog, fn_.frame_bytes);
        end_line();
        for (const BlockId id : fn_.layout) {
            const Block& block = fn_.blocks[id];
            slot_ = fn_[block.first].slot;
            add("b{}:", id);
            if (block.loop_depth > 0) {
                add("  ; in {} loop{}", block.loop_depth, block.loop_depth > 1 ? "s" : "");
            }
            end_line();
            for (ValueId node = block.first; node != 0; node = fn_[node].next) {
                slot_ = fn_[node].slot;
                write(node);
                end_line();
            }
        }
        return std::move(lines_);
    }

  private:
    template <class... Args>
    void add(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    }
    void end_line() { lines_.push_back({slot_, std::exchange(text_, {})}); }

    [[nodiscard]] std::string value(ValueId id) const {
        const Node& node = fn_[id];
        if (node.block == kNoBlock && node.kind == Kind::Const) {
            return node.imm < 10'000 && node.imm > -10'000
                       ? fmt::format("{}", node.imm)
                       : fmt::format("{:#x}", std::uint64_t(node.imm));
        }
        if (node.block == kNoBlock && node.kind == Kind::Frame) {
            return fmt::format("fp{:+}", node.imm);
        }
        return fmt::format("v{}", id);
    }

    void write(ValueId id) {
        const Node& node = fn_[id];
        add("    ");
        if (has_value(node.kind)) {
            add("v{} = ", id);
        }
        add("{}{}", name_of(node.kind), node.width == Width::W32 ? "32" : "");
        if (node.size != 0) {
            add(".{}{}", 8 * node.size, node.is_signed ? "s" : "");
        }
        if (has_list(node.kind)) {
            write_list(node);
        } else if (is_access(node.kind)) {
            write_access(node);
        } else if (node.kind == Kind::Branch || node.kind == Kind::Select) {
            add(" {} {} {}", value(node.args[0]), name_of(node.cond), value(node.args[1]));
            if (node.kind == Kind::Select) {
                add(" ? {} : {}", value(node.args[2]), value(node.args[3]));
            }
        } else {
            for (const ValueId arg : node.args) {
                if (arg != 0) {
                    add(" {}", value(arg));
                }
            }
            if (node.kind <= Kind::Frame || node.kind == Kind::StateField) {
                add(" {}", node.imm);
            }
        }
        if (is_end(node.kind)) {
            for (const BlockId succ : fn_.blocks[node.block].succs) {
                add(" b{}", succ);
            }
        }
    }

    void write_list(const Node& node) {
        if (node.kind == Kind::CallHelper) {
            add(" {}", reinterpret_cast<const Helper*>(node.imm)->proto.name);
        } else if (node.kind == Kind::CallLocal) {
            add(" function {}", node.imm);
        }
        const auto values = fn_.list(node);
        for (std::size_t i = 0; i < values.size(); ++i) {
            if (node.kind == Kind::Phi) {
                add(" b{}:{}", fn_.blocks[node.block].preds[i], value(values[i]));
            } else {
                add(" {}", value(values[i]));
            }
        }
    }

    void write_access(const Node& node) {
        add(" [{}", value(node.args[0]));
        if (node.args[1] != 0) {
            add(" + {} * {}", value(node.args[1]), 1U << node.scale);
        }
        add(" {:+}]", node.imm);
        if (node.args[2] != 0) {
            add(" {}", value(node.args[2]));
        }
        if (node.args[3] != 0) {
            add(" {}", value(node.args[3]));
        }
    }

    const Function& fn_;
    std::uint32_t slot_ = 0;
    std::string text_{}; // of the line
    std::vector<SlotCode> lines_{};
};

} // namespace

std::vector<SlotCode> to_text(const Function& fn) {
    return Writer(fn).run();
}

} // namespace ebpfvm::jit::opt
