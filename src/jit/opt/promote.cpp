// Stack slots whose address goes nowhere become values: spills of the program's own compiler, and
// keys of lookups that are made inline. What a helper only reads is stored just before the call.
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

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
        if (fn_.frame_bytes == 0) {
            return;
        }
        find_accesses();
        if (accesses_.empty() || escapes_ || !choose()) {
            return;
        }
        if (std::ssize(vars_) > kMaxInLoop && !fn_.headers.empty()) {
            leave_rare();
        }
        const Vec<std::uint8_t> is_read = find_read();
        if (std::ranges::count(is_read, 0) == std::ssize(is_read)) {
            return remove_stores();
        }
        if (!place_phis(is_read)) {
            return;
        }
        rewrite();
        remove_unused_phis();
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
                look_at(id);
            }
        }
    }

    void look_at(ValueId id) {
        Node& node = fn_[id];
        if (is_access(node.kind) && is_frame(node.args[0]) && node.args[1] == 0) {
            if (is_plain_access(node) && !node.is_ordered) {
                const bool is_load = node.kind == Kind::Load;
                accesses_.push_back({span_of(node), is_load, !is_load && !is_const_store(node)});
                places_.push_back(id);
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
            places_.push_back(id);
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
        return !vars_.empty();
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
        for (const ValueId id : places_) {
            const BlockId block = fn_[id].block;
            const bool is_in_loop = fn_.blocks[block].loop != kNoBlock;
            const Vars vars = is_in_loop ? vars_of(fn_[id]) : Vars{};
            for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
                uses.push_back({.loop = outermost(block),
                                .var = var,
                                .is_rare = !is_in_each_turn(block),
                                .is_changed = fn_[id].kind == Kind::Store});
            }
        }
        return uses;
    }
    // A variable that is accessed together with others, or that a helper reads, is none of them.
    void keep_pieces(Vec<bool>& stays) const {
        for (const ValueId id : places_) {
            const Vars vars = vars_of(fn_[id]);
            for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
                stays[var] = stays[var] && vars_[var] == span_of(fn_[id]);
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

    // By variable.
    [[nodiscard]] Vec<std::uint8_t> find_read() const {
        Vec<std::uint8_t> is_read(vars_.size(), 0);
        const auto read = [&](const Span& span) {
            const Vars vars = vars_in(span);
            std::fill(is_read.begin() + vars.begin, is_read.begin() + vars.end, 1);
        };
        for (const Access& access : accesses_) {
            if (access.is_load) {
                read(access.span);
            }
        }
        std::ranges::for_each(reads_, read);
        return is_read;
    }

    void remove_stores() {
        for (const ValueId id : places_) {
            const Vars vars = vars_of(fn_[id]);
            if (vars.begin != vars.end) {
                fn_.remove(id);
            }
        }
    }

    static constexpr std::size_t kFewPhis = 4096;
    static constexpr std::size_t kMaxPhisPerBlock = 8;

    // Where ways meet that may bring different values of a variable. False if that is too many
    // places to look at.
    bool place_phis(const Vec<std::uint8_t>& is_read) {
        first_phi_.assign(fn_.blocks.size(), 0);
        phis_.resize(1);
        Vec<std::pair<std::uint32_t, BlockId>> stores; // variable, block
        for (const ValueId id : places_) {
            const Vars vars = fn_[id].kind == Kind::Store ? vars_of(fn_[id]) : Vars{};
            for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
                const std::pair store(var, fn_[id].block);
                if (is_read[var] != 0 && (stores.empty() || stores.back() != store)) {
                    stores.push_back(store);
                }
            }
        }
        if (stores.empty() || !find_frontiers()) {
            return stores.empty();
        }
        const std::size_t most = kFewPhis + kMaxPhisPerBlock * fn_.blocks.size();
        std::ranges::sort(stores);
        Vec<std::uint32_t> seen(fn_.blocks.size(), kNoVar); // the variable last put there
        Vec<BlockId> work;
        for (auto store = stores.begin(); store != stores.end();) {
            const std::uint32_t var = store->first;
            for (; store != stores.end() && store->first == var; ++store) {
                work.push_back(store->second);
            }
            if (phis_.size() > most) {
                return false;
            }
            while (!work.empty()) {
                std::uint32_t i = first_frontier_[work.back()];
                work.pop_back();
                for (; i != 0; i = frontiers_[i].next) {
                    const BlockId block = frontiers_[i].block;
                    if (std::exchange(seen[block], var) != var) {
                        phis_.push_back({.block = block, .var = var, .next = first_phi_[block]});
                        first_phi_[block] = std::uint32_t(phis_.size() - 1);
                        work.push_back(block);
                    }
                }
            }
        }
        make_phis();
        return true;
    }

    // Dominance frontiers: Cytron, Ferrante, Rosen, Wegman and Zadeck, "Efficiently computing
    // static single assignment form and the control dependence graph", 1991. They may be as large
    // as the square of the graph.
    bool find_frontiers() {
        constexpr std::size_t kMaxPerBlock = 32;
        const std::size_t most = kMaxPerBlock * fn_.blocks.size();
        first_frontier_.assign(fn_.blocks.size(), 0);
        frontiers_.resize(1);
        for (const BlockId block : fn_.order) {
            if (fn_.blocks[block].preds.size() < 2) {
                continue;
            }
            for (BlockId pred : fn_.blocks[block].preds) {
                for (; pred != fn_.blocks[block].idom; pred = fn_.blocks[pred].idom) {
                    std::uint32_t& first = first_frontier_[pred];
                    if (frontiers_[first].block == block && first != 0) {
                        break; // so have all above it
                    }
                    frontiers_.push_back({.block = block, .next = first});
                    first = std::uint32_t(frontiers_.size() - 1);
                }
            }
            if (frontiers_.size() > most) {
                return false;
            }
        }
        return true;
    }

    // Blocks in the order of the dominator tree: what a variable is at the end of a block, it is at
    // the begin of those right below.
    void rewrite() {
        values_.assign(vars_.size(), 0);
        find_edges();
        first_place_.assign(fn_.blocks.size(), places_.size());
        for (std::size_t i = places_.size(); i-- > 0;) {
            first_place_[fn_[places_[i]].block] = i;
        }
        Vec<BlockId> blocks(fn_.order.size());
        for (const BlockId block : fn_.order) {
            blocks[fn_.blocks[block].dom_begin] = block;
        }
        struct Above {
            std::uint32_t end;
            std::size_t changes;
        };
        Vec<Above> path;
        for (const BlockId block : blocks) {
            while (!path.empty() && path.back().end <= fn_.blocks[block].dom_begin) {
                undo(path.back().changes);
                path.pop_back();
            }
            path.push_back({fn_.blocks[block].dom_end, changes_.size()});
            for (std::uint32_t i = first_phi_[block]; i != 0; i = phis_[i].next) {
                set(phis_[i].var, first_id_ + i);
            }
            rewrite(block);
            pass_on(block);
        }
    }
    void rewrite(BlockId block) {
        for (std::size_t i = first_place_[block];
             i < places_.size() && fn_[places_[i]].block == block; ++i) {
            const ValueId id = places_[i];
            if (fn_[id].kind == Kind::CallHelper) {
                store_for(id);
            } else if (const Vars vars = vars_of(fn_[id]); vars.begin == vars.end) {
                // It stays memory.
            } else if (fn_[id].kind == Kind::Store) {
                store(id, vars);
            } else {
                load(id, vars);
            }
        }
    }

    struct Change {
        std::uint32_t var;
        ValueId before;
    };
    void set(std::uint32_t var, ValueId value) {
        changes_.push_back({var, values_[var]});
        values_[var] = value;
    }
    void undo(std::size_t count) {
        for (; changes_.size() > count; changes_.pop_back()) {
            values_[changes_.back().var] = changes_.back().before;
        }
    }

    // Which predecessor of its successors each block is.
    void find_edges() {
        first_edge_.resize(fn_.blocks.size());
        std::uint32_t count = 0;
        for (const BlockId block : fn_.order) {
            first_edge_[block] = count;
            count += std::uint32_t(fn_.blocks[block].succs.size());
        }
        edges_.resize(count);
        for (const BlockId block : fn_.order) {
            const BlockList& preds = fn_.blocks[block].preds;
            for (std::uint32_t i = 0; i < preds.size(); ++i) {
                const BlockList& succs = fn_.blocks[preds[i]].succs;
                const auto at = std::ranges::find(succs, block) - succs.begin();
                edges_[first_edge_[preds[i]] + std::size_t(at)] = i;
            }
        }
    }

    // To the phis that come next.
    void pass_on(BlockId block) {
        std::uint32_t edge = first_edge_[block];
        for (const BlockId succ : fn_.blocks[block].succs) {
            for (std::uint32_t i = first_phi_[succ]; i != 0; i = phis_[i].next) {
                fn_.list(fn_[first_id_ + i])[edges_[edge]] = value_of(phis_[i].var);
            }
            ++edge;
        }
    }

    // Phis are nodes one after the other.
    void make_phis() {
        const ValueId undefined = fn_.constant(0); // what no verifier lets anybody read
        first_id_ = ValueId(fn_.nodes.size() - 1);
        for (std::size_t i = 1; i < phis_.size(); ++i) {
            const BlockId block = phis_[i].block;
            Node phi;
            phi.kind = Kind::Phi;
            phi.slot = fn_[fn_.blocks[block].first].slot;
            phi.args = {ValueId(fn_.pool.size()), ValueId(fn_.blocks[block].preds.size()), 0, 0};
            fn_.pool.resize(fn_.pool.size() + fn_.blocks[block].preds.size(), undefined);
            fn_.insert_first(block, phi);
        }
    }
    [[nodiscard]] bool is_new_phi(ValueId id) const {
        return id > first_id_ && id < first_id_ + phis_.size();
    }

    // Nobody reads the variable behind them.
    void remove_unused_phis() {
        while (!used_.empty()) {
            const ValueId phi = used_.back();
            used_.pop_back();
            for (const ValueId value : fn_.list(fn_[phi])) {
                use(value);
            }
        }
        for (std::size_t i = 1; i < phis_.size(); ++i) {
            if (!phis_[i].is_used) {
                fn_.remove(first_id_ + ValueId(i));
            }
        }
    }
    ValueId use(ValueId value) {
        if (is_new_phi(value) && !std::exchange(phis_[value - first_id_].is_used, true)) {
            used_.push_back(value);
        }
        return value;
    }

    void store(ValueId id, const Vars& vars) {
        const ValueId value = fn_.resolve(fn_[id].args[2]);
        const std::int64_t begin = span_of(fn_[id]).begin;
        for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
            const auto shift = unsigned(8 * (vars_[var].begin - begin));
            set(var, shift == 0 ? value : fn_.constant(fn_.value_of(value) >> shift));
        }
        fn_.remove(id);
    }

    void load(ValueId id, const Vars& vars) {
        const Node access = fn_[id];
        const std::int64_t begin = span_of(access).begin;
        ValueId whole = 0;
        for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
            const Span& span = vars_[var];
            ValueId piece = read(var);
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
    void store_for(ValueId call) {
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
                store.args = {address, 0, read(var), 0};
                store.imm = vars_[var].begin - fn_[address].imm;
                fn_.insert_before(call, store);
            }
        }
    }

    // What it is where rewrite() has come to.
    ValueId value_of(std::uint32_t var) {
        return values_[var] != 0 ? fn_.resolve(values_[var]) : fn_.constant(0);
    }
    ValueId read(std::uint32_t var) { return use(value_of(var)); }

    struct NewPhi {
        BlockId block = 0;
        std::uint32_t var = 0;
        std::uint32_t next = 0; // of the same block; 0: none
        bool is_used = false;
    };
    struct Frontier {
        BlockId block = 0;
        std::uint32_t next = 0; // of the same list; 0: none
    };
    static constexpr std::uint32_t kNoVar = ~std::uint32_t{0};

    Function& fn_;
    bool escapes_ = false;
    Vec<Access> accesses_{};
    Vec<ValueId> places_{};               // of those, and calls of helpers, block by block
    Vec<std::size_t> first_place_{};      // by block
    Vec<Span> fixed_{};                   // must stay memory
    Vec<Span> reads_{};                   // must be memory while a helper runs
    Vec<Span> vars_{};                    // ascending
    Vec<std::uint32_t> first_frontier_{}; // by block
    Vec<Frontier> frontiers_{};
    Vec<std::uint32_t> first_phi_{}; // by block
    Vec<NewPhi> phis_{};             // the i-th is node first_id_ + i
    ValueId first_id_ = 0;
    Vec<ValueId> used_{};             // phis
    Vec<std::uint32_t> first_edge_{}; // by block: into edges_
    Vec<std::uint32_t> edges_{};
    Vec<ValueId> values_{}; // of variables, at the place that rewrite() has come to; 0: not set
    Vec<Change> changes_{};
};

} // namespace

void promote_stack(Function& fn) {
    find_loops(fn);
    Promoter(fn).run();
}

} // namespace ebpfvm::jit::opt
