// Stack slots whose address goes nowhere become values: spills of the program's own compiler, and
// keys of lookups that are made inline.
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"

#include <algorithm>
#include <optional>

namespace ebpfvm::jit::opt {
namespace {

// Bytes of the frame, from its upper end.
struct Span {
    std::int64_t begin = 0;
    std::int64_t end = 0;

    [[nodiscard]] bool overlaps(const Span& other) const {
        return begin < other.end && other.begin < end;
    }
    auto operator<=>(const Span&) const = default;
};

class Promoter {
  public:
    explicit Promoter(Function& fn) : fn_(fn) {}

    bool run() {
        find_accesses();
        if (accesses_.empty() || escapes_ || !choose()) {
            return false;
        }
        rewrite();
        complete_phis();
        fn_.resolve_all();
        return true;
    }

  private:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};

    [[nodiscard]] bool is_frame(ValueId id) const { return id != 0 && fn_[id].kind == Kind::Frame; }
    [[nodiscard]] Span span_of(const Node& access) const {
        const std::int64_t begin = fn_[access.args[0]].imm + access.imm;
        return {begin, begin + access.size};
    }
    [[nodiscard]] bool is_plain_access(const Node& node) const {
        return (node.kind == Kind::Load || node.kind == Kind::Store) && is_frame(node.args[0]) &&
               node.args[1] == 0;
    }

    void find_accesses() {
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                look_at(fn_[id]);
            }
        }
    }

    void look_at(Node& node) {
        if (is_access(node.kind) && is_frame(node.args[0]) && node.args[1] == 0) {
            if (is_plain_access(node) && !node.is_ordered) {
                accesses_.push_back(span_of(node));
            } else {
                fixed_.push_back(span_of(node));
            }
            for (const unsigned i : {2U, 3U}) {
                escapes_ |= is_frame(node.args[i]);
            }
            return;
        }
        if (node.kind == Kind::CallHelper) {
            const auto args = fn_.list(node);
            for (unsigned i = 0; i < args.size(); ++i) {
                if (is_frame(args[i])) {
                    pass(node, i);
                }
            }
            return;
        }
        each_arg(fn_, node, [&](ValueId& arg) { escapes_ |= is_frame(arg); });
    }

    // A helper gets an address; the verifier has seen how much behind it it may touch.
    void pass(const Node& call, unsigned i) {
        const std::int64_t begin = fn_[fn_.list(call)[i]].imm;
        const auto size = bytes_of(call, i);
        if (size) {
            fixed_.push_back({begin, begin + *size});
        } else {
            escapes_ = true;
        }
    }
    [[nodiscard]] std::optional<std::int64_t> bytes_of(const Node& call, unsigned i) const {
        const HelperProto& proto = reinterpret_cast<const Helper*>(call.imm)->proto;
        const auto args = fn_.list(call);
        switch (proto.args[i]) {
        case ArgType::PtrToMapKey:
        case ArgType::PtrToMapValue:
        case ArgType::PtrToMapValueOrNull:
            if (proto.args[0] != ArgType::ConstMapPtr || !fn_.is_const(args[0])) {
                return std::nullopt;
            }
            return map_bytes(*reinterpret_cast<const Map*>(fn_.value_of(args[0])),
                             proto.args[i] == ArgType::PtrToMapKey);
        default:
            break;
        }
        if (proto.has_size_arg(i)) {
            return fn_.is_const(args[i + 1])
                       ? std::optional(std::int64_t(std::uint32_t(fn_.value_of(args[i + 1]))))
                       : std::nullopt;
        }
        return proto.arg_sizes[i] != 0 ? std::optional<std::int64_t>(proto.arg_sizes[i])
                                       : std::nullopt;
    }
    static std::int64_t map_bytes(const Map& map, bool is_key) {
        return is_key ? map.spec().key_size : map.spec().value_size;
    }

    // Slots that are accessed as one thing only.
    bool choose() {
        for (std::vector<Span>* all : {&fixed_, &accesses_}) {
            std::ranges::sort(*all);
            all->erase(std::ranges::unique(*all).begin(), all->end());
        }
        const Span* before = nullptr;
        std::vector<Span> spans;
        std::vector<bool> is_good;
        std::int64_t reach = INT64_MIN; // end of all before
        for (const Span& span : accesses_) {
            if (before != nullptr && reach > span.begin) {
                is_good.back() = false;
                // All that reach into this one.
                for (std::size_t i = spans.size(); i-- > 0 && spans[i].end > span.begin;) {
                    is_good[i] = false;
                }
            }
            spans.push_back(span);
            is_good.push_back(!(before != nullptr && reach > span.begin) && !is_fixed(span));
            reach = std::max(reach, span.end);
            before = &span;
        }
        for (std::size_t i = 0; i < spans.size(); ++i) {
            if (is_good[i]) {
                vars_.push_back(spans[i].begin);
            }
        }
        constexpr std::size_t kMaxCells = 8'000'000;
        return !vars_.empty() && vars_.size() * fn_.blocks.size() <= kMaxCells;
    }
    [[nodiscard]] bool is_fixed(const Span& span) const {
        return std::ranges::any_of(fixed_, [&](const Span& other) { return span.overlaps(other); });
    }

    [[nodiscard]] std::uint32_t var_of(const Node& node) const {
        if (!is_plain_access(node) || node.is_ordered) {
            return kNone;
        }
        const std::int64_t begin = span_of(node).begin;
        const auto found = std::ranges::lower_bound(vars_, begin);
        return found != vars_.end() && *found == begin ? std::uint32_t(found - vars_.begin())
                                                       : kNone;
    }
    [[nodiscard]] ValueId& out(BlockId block, std::uint32_t var) {
        return out_[block * vars_.size() + var];
    }
    [[nodiscard]] ValueId& in(BlockId block, std::uint32_t var) {
        return in_[block * vars_.size() + var];
    }

    void rewrite() {
        in_.assign(fn_.blocks.size() * vars_.size(), 0);
        out_ = in_;
        for (const BlockId block : fn_.order) {
            for (ValueId id = fn_.blocks[block].first; id != 0;) {
                const ValueId next = fn_[id].next;
                const std::uint32_t var = var_of(fn_[id]);
                if (var != kNone && fn_[id].kind == Kind::Store) {
                    out(block, var) = fn_.resolve(fn_[id].args[2]);
                    fn_.remove(id);
                } else if (var != kNone) {
                    load(id, block, var);
                }
                id = next;
            }
        }
    }

    void load(ValueId id, BlockId block, std::uint32_t var) {
        const ValueId known = out(block, var);
        const ValueId value = known != 0 ? known : value_at(block, var);
        const Node access = fn_[id];
        if (access.size == 8) {
            return fn_.replace(id, value);
        }
        const Kind part = access.is_signed ? Kind::Sext : Kind::Zext;
        fn_.replace(id, insert_simplified(fn_, id, part, Width::W64, value, 0, access.size));
    }

    // The variable at the begin of the block.
    ValueId value_at(BlockId block, std::uint32_t var) {
        std::vector<BlockId> path;
        ValueId value = 0;
        while (value == 0) {
            value = in(block, var);
            if (value != 0) {
                break;
            }
            const BlockList& preds = fn_.blocks[block].preds;
            if (block == 0) {
                value = fn_.constant(0); // what no verifier lets anybody read
            } else if (preds.size() == 1) {
                path.push_back(block);
                block = preds.front();
                value = out(block, var);
            } else {
                Node phi;
                phi.kind = Kind::Phi;
                phi.slot = fn_[fn_.blocks[block].first].slot;
                value = fn_.insert_first(block, phi);
                in(block, var) = value;
                phis_.push_back({value, block, var});
            }
        }
        for (const BlockId passed : path) {
            in(passed, var) = value;
        }
        return value;
    }

    void complete_phis() {
        std::vector<ValueId> values;
        for (std::size_t i = 0; i < phis_.size(); ++i) { // more of them come up
            const NewPhi phi = phis_[i];
            values.clear();
            for (const BlockId pred : fn_.blocks[phi.block].preds) {
                const ValueId known = out(pred, phi.var);
                values.push_back(known != 0 ? known : value_at(pred, phi.var));
            }
            fn_.set_list(fn_[phi.value], values);
        }
    }

    struct NewPhi {
        ValueId value;
        BlockId block;
        std::uint32_t var;
    };

    Function& fn_;
    bool escapes_ = false;
    std::vector<Span> accesses_{};
    std::vector<Span> fixed_{};        // must stay memory
    std::vector<std::int64_t> vars_{}; // where they begin; ascending
    std::vector<ValueId> in_{};        // by block and variable; 0: not known
    std::vector<ValueId> out_{};       // what the block leaves there, if it stores any
    std::vector<NewPhi> phis_{};
};

} // namespace

bool promote_stack(Function& fn) {
    return Promoter(fn).run();
}

} // namespace ebpfvm::jit::opt
