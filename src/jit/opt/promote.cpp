// Stack slots whose address goes nowhere become values: spills of the program's own compiler, and
// keys of lookups that are made inline. What a helper only reads is stored just before the call.
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"

#include <algorithm>
#include <bit>
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

struct Access {
    Span span{};
    bool is_load = false;
    bool stores_value = false; // no constant
};

class Promoter {
  public:
    explicit Promoter(Function& fn) : fn_(fn) {}

    void run() {
        find_accesses();
        if (accesses_.empty() || escapes_ || !choose()) {
            return;
        }
        if (std::ssize(vars_) > kMaxInLoop && !fn_.headers.empty()) {
            leave_rare();
        }
        rewrite();
        complete_phis();
        fn_.resolve_all();
    }

  private:
    /// Besides what the program's own compiler keeps in registers.
    static constexpr std::ptrdiff_t kMaxInLoop = 4;

    [[nodiscard]] bool is_frame(ValueId id) const { return id != 0 && fn_[id].kind == Kind::Frame; }
    [[nodiscard]] Span span_of(const Node& access) const {
        const std::int64_t begin = fn_[access.args[0]].imm + access.imm;
        return {begin, begin + access.size};
    }
    [[nodiscard]] bool is_plain_access(const Node& node) const {
        return (node.kind == Kind::Load || node.kind == Kind::Store) && is_frame(node.args[0]) &&
               node.args[1] == 0;
    }

    [[nodiscard]] bool is_const_store(const Node& store) const {
        return fn_.is_const(store.args[2]);
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
                const bool is_load = node.kind == Kind::Load;
                accesses_.push_back({span_of(node), is_load, !is_load && !is_const_store(node)});
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
        const std::optional<Span> span = span_of(call, i);
        if (!span) {
            escapes_ = true;
        } else if (only_reads(call, i)) {
            reads_.push_back(*span);
        } else {
            fixed_.push_back(*span);
        }
    }
    [[nodiscard]] std::optional<Span> span_of(const Node& call, unsigned i) const {
        const std::int64_t begin = fn_[fn_.list(call)[i]].imm;
        const auto size = bytes_of(call, i);
        return size ? std::optional(Span{begin, begin + *size}) : std::nullopt;
    }
    static bool only_reads(const Node& call, unsigned i) {
        const ArgType type = reinterpret_cast<const Helper*>(call.imm)->proto.args[i];
        return type == ArgType::PtrToMapKey || type == ArgType::PtrToMapValue ||
               type == ArgType::PtrToMapValueOrNull || type == ArgType::PtrToMem ||
               type == ArgType::PtrToMemOrNull;
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

    // Accesses that overlap, one after the other in `accesses_`.
    struct Group {
        std::size_t begin = 0;
        std::size_t end = 0;
        Span span{};
    };

    bool choose() {
        std::ranges::sort(accesses_, {}, &Access::span);
        for (Vec<Span>* all : {&fixed_, &reads_}) {
            std::ranges::sort(*all);
            all->erase(std::ranges::unique(*all).begin(), all->end());
        }
        for (std::size_t i = 0; i < accesses_.size();) {
            Group group{i, i, accesses_[i].span};
            for (; i < accesses_.size() && accesses_[i].span.begin < group.span.end; ++i) {
                group.span.end = std::max(group.span.end, accesses_[i].span.end);
            }
            group.end = i;
            choose(group);
        }
        constexpr std::size_t kMaxCells = 8'000'000;
        return !vars_.empty() && vars_.size() * fn_.blocks.size() <= kMaxCells;
    }

    // Variables for all that lies between two ends of accesses, if all values that are stored are
    // one of them each. Constants can be cut, and loads put together.
    void choose(const Group& group) {
        const std::span<const Access> accesses(accesses_.data() + group.begin,
                                               group.end - group.begin);
        const bool is_read = std::ranges::any_of(accesses, &Access::is_load);
        if (overlaps_any(fixed_, group.span) || (!is_read && overlaps_any(reads_, group.span))) {
            return;
        }
        Vec<std::int64_t> ends;
        for (const Access& access : accesses) {
            ends.push_back(access.span.begin);
            ends.push_back(access.span.end);
        }
        std::ranges::sort(ends);
        ends.erase(std::ranges::unique(ends).begin(), ends.end());
        const auto is_cut = [&](const Access& access) {
            return access.stores_value &&
                   *std::ranges::upper_bound(ends, access.span.begin) != access.span.end;
        };
        if (std::ranges::any_of(accesses, is_cut)) {
            return;
        }
        for (std::size_t i = 0; i + 1 < ends.size(); ++i) {
            for (std::int64_t at = ends[i]; at < ends[i + 1];) { // as values have it
                const auto left = std::uint64_t(ends[i + 1] - at);
                const auto size = std::int64_t(std::bit_floor(left));
                vars_.push_back({at, at + size});
                at += size;
            }
        }
    }
    static bool overlaps_any(const Vec<Span>& spans, const Span& span) {
        return std::ranges::any_of(spans, [&](const Span& other) { return span.overlaps(other); });
    }

    // Variables in these bytes.
    struct Vars {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
    };
    [[nodiscard]] Vars vars_in(const Span& span) const {
        const auto begin = std::ranges::upper_bound(vars_, span.begin, {}, &Span::end);
        const auto end = std::ranges::lower_bound(vars_, span.end, {}, &Span::begin);
        return {std::uint32_t(begin - vars_.begin()),
                std::uint32_t(std::max(begin, end) - vars_.begin())};
    }
    [[nodiscard]] Vars vars_of(const Node& node) const {
        return is_plain_access(node) && !node.is_ordered ? vars_in(span_of(node)) : Vars{};
    }

    // Of a variable, in an outermost loop.
    struct Use {
        BlockId loop = kNoBlock;
        std::uint32_t var = 0;
        bool is_rare = true;
        bool is_changed = false;
    };

    // Where there will be no registers for all that changes in a loop, what does not change in each
    // turn stays in memory. It would be moved to and fro in all turns.
    void leave_rare() {
        Vec<Use> uses = uses_in_loops();
        std::ranges::sort(uses, {}, [](const Use& use) { return std::pair(use.loop, use.var); });
        Vec<Use> vars;
        for (const Use& use : uses) {
            if (!vars.empty() && vars.back().loop == use.loop && vars.back().var == use.var) {
                vars.back().is_rare &= use.is_rare;
                vars.back().is_changed |= use.is_changed;
            } else {
                vars.push_back(use);
            }
        }
        Vec<bool> stays(vars_.size(), false);
        for (auto begin = vars.begin(); begin != vars.end();) {
            const auto end = std::find_if(begin, vars.end(),
                                          [&](const Use& use) { return use.loop != begin->loop; });
            for (auto use = begin; end - begin > kMaxInLoop && use != end; ++use) {
                stays[use->var] = stays[use->var] || (use->is_rare && use->is_changed);
            }
            begin = end;
        }
        keep_pieces(stays);
        std::size_t var = 0;
        std::erase_if(vars_, [&](const Span&) { return stays[var++]; });
    }
    [[nodiscard]] Vec<Use> uses_in_loops() const {
        Vec<Use> uses;
        for (const BlockId block : fn_.layout) {
            if (fn_.blocks[block].loop == kNoBlock) {
                continue;
            }
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                const Vars vars = vars_of(fn_[id]);
                for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
                    uses.push_back({.loop = outermost(block),
                                    .var = var,
                                    .is_rare = !is_in_each_turn(block),
                                    .is_changed = fn_[id].kind == Kind::Store});
                }
            }
        }
        return uses;
    }
    // A variable that is accessed together with others, or that a helper reads, is none of them.
    void keep_pieces(Vec<bool>& stays) const {
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                const Vars vars = vars_of(fn_[id]);
                for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
                    stays[var] = stays[var] && vars_[var] == span_of(fn_[id]);
                }
            }
        }
        for (std::size_t var = 0; var < stays.size(); ++var) {
            stays[var] = stays[var] && !overlaps_any(reads_, vars_[var]);
        }
    }
    [[nodiscard]] BlockId outermost(BlockId block) const {
        BlockId loop = fn_.blocks[block].loop;
        while (fn_.outer_loops[loop] != kNoBlock) {
            loop = fn_.outer_loops[loop];
        }
        return loop;
    }
    [[nodiscard]] bool is_in_each_turn(BlockId block) const {
        const BlockId loop = fn_.blocks[block].loop;
        return std::ranges::all_of(fn_.blocks[loop].preds, [&](BlockId pred) {
            return !fn_.dominates(loop, pred) || fn_.dominates(block, pred);
        });
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
                if (fn_[id].kind == Kind::CallHelper) {
                    store_for(id, block);
                } else if (const Vars vars = vars_of(fn_[id]); vars.begin == vars.end) {
                    // It stays memory.
                } else if (fn_[id].kind == Kind::Store) {
                    store(id, block, vars);
                } else {
                    load(id, block, vars);
                }
                id = next;
            }
        }
    }

    void store(ValueId id, BlockId block, const Vars& vars) {
        const ValueId value = fn_.resolve(fn_[id].args[2]);
        const std::int64_t begin = span_of(fn_[id]).begin;
        for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
            const auto shift = unsigned(8 * (vars_[var].begin - begin));
            out(block, var) = shift == 0 ? value : fn_.constant(fn_.value_of(value) >> shift);
        }
        fn_.remove(id);
    }

    void load(ValueId id, BlockId block, const Vars& vars) {
        const Node access = fn_[id];
        const std::int64_t begin = span_of(access).begin;
        ValueId whole = 0;
        for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
            const Span& span = vars_[var];
            ValueId piece = value_in(block, var);
            if (vars.end - vars.begin > 1) {
                piece = part(id, Kind::Zext, piece, unsigned(span.end - span.begin));
                const ValueId shift = fn_.constant(8 * std::uint64_t(span.begin - begin));
                piece = insert_simplified(fn_, id, Kind::Shl, Width::W64, piece, shift);
            }
            whole =
                whole == 0 ? piece : insert_simplified(fn_, id, Kind::Or, Width::W64, whole, piece);
        }
        fn_.replace(id, part(id, access.is_signed ? Kind::Sext : Kind::Zext, whole, access.size));
    }

    // The low `size` bytes of a value.
    ValueId part(ValueId place, Kind kind, ValueId value, unsigned size) {
        return size == 8 ? value : insert_simplified(fn_, place, kind, Width::W64, value, 0, size);
    }

    // Makes memory what the helper is to read.
    void store_for(ValueId call, BlockId block) {
        const std::size_t count = fn_.list(fn_[call]).size();
        for (unsigned i = 0; i < count; ++i) {
            const ValueId address = fn_.list(fn_[call])[i];
            if (!is_frame(address)) {
                continue;
            }
            const Vars vars = vars_in(*span_of(fn_[call], i));
            for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
                Node store;
                store.kind = Kind::Store;
                store.slot = fn_[call].slot;
                store.size = std::uint8_t(vars_[var].end - vars_[var].begin);
                store.args = {address, 0, value_in(block, var), 0};
                store.imm = vars_[var].begin - fn_[address].imm;
                fn_.insert_before(call, store);
            }
        }
    }

    // The variable at the place that rewrite() has come to.
    ValueId value_in(BlockId block, std::uint32_t var) {
        const ValueId known = out(block, var);
        return fn_.resolve(known != 0 ? known : value_at(block, var));
    }

    // The variable at the begin of the block.
    ValueId value_at(BlockId block, std::uint32_t var) {
        Vec<BlockId> path;
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
        Vec<ValueId> values;
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
    Vec<Access> accesses_{};
    Vec<Span> fixed_{};  // must stay memory
    Vec<Span> reads_{};  // must be memory while a helper runs
    Vec<Span> vars_{};   // ascending
    Vec<ValueId> in_{};  // by block and variable; 0: not known
    Vec<ValueId> out_{}; // what the block leaves there, if it stores any
    Vec<NewPhi> phis_{};
};

} // namespace

void promote_stack(Function& fn) {
    Promoter(fn).run();
}

} // namespace ebpfvm::jit::opt
