// Stack slots whose address goes nowhere become values: spills of the program's own compiler, and
// keys of lookups that are made inline. What a helper only reads is stored just before the call.
#include "jit/opt/frame_accesses.hpp"
#include "jit/opt/passes.hpp"
#include "jit/opt/phi_places.hpp"
#include "jit/opt/simplify.hpp"
#include "jit/opt/stack_vars.hpp"

#include <algorithm>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

class Promoter {
  public:
    explicit Promoter(Function& fn) : fn_(fn) {}

    void run() {
        if (fn_.frame_bytes == 0) {
            return;
        }
        frame_.find();
        if (frame_.accesses.empty() || frame_.escapes || !vars_.choose()) {
            return;
        }
        vars_.leave_rare();
        const Vec<std::uint8_t> is_read = vars_.find_read();
        if (std::ranges::count(is_read, 0) == std::ssize(is_read)) {
            return remove_stores();
        }
        Stores stores = stores_of(is_read);
        if (!phis_.find(stores)) {
            return;
        }
        make_phis();
        rewrite();
        remove_unused_phis();
        fn_.resolve_all();
    }

  private:
    using Range = StackVars::Range;
    using Stores = Vec<std::pair<std::uint32_t, BlockId>>; // variable, block

    void remove_stores() {
        for (const ValueId id : frame_.places) {
            const Range vars = vars_.of(fn_[id]);
            if (vars.begin != vars.end) {
                fn_.remove(id);
            }
        }
    }

    // Of variables that somebody reads.
    [[nodiscard]] Stores stores_of(const Vec<std::uint8_t>& is_read) const {
        Stores stores;
        for (const ValueId id : frame_.places) {
            const Range vars = fn_[id].kind == Kind::Store ? vars_.of(fn_[id]) : Range{};
            for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
                const std::pair store(var, fn_[id].block);
                if (is_read[var] != 0 && (stores.empty() || stores.back() != store)) {
                    stores.push_back(store);
                }
            }
        }
        return stores;
    }

    // Blocks in the order of the dominator tree: what a variable is at the end of a block, it is at
    // the begin of those right below.
    void rewrite() {
        values_.assign(vars_.size(), 0);
        find_edges();
        first_place_.assign(fn_.blocks.size(), frame_.places.size());
        for (std::size_t i = frame_.places.size(); i-- > 0;) {
            first_place_[fn_[frame_.places[i]].block] = i;
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
            for (std::uint32_t i = phis_.first_in[block]; i != 0; i = phis_.places[i].next) {
                set(phis_.places[i].var, first_id_ + i);
            }
            rewrite(block);
            pass_on(block);
        }
    }
    void rewrite(BlockId block) {
        for (std::size_t i = first_place_[block];
             i < frame_.places.size() && fn_[frame_.places[i]].block == block; ++i) {
            const ValueId id = frame_.places[i];
            if (fn_[id].kind == Kind::CallHelper) {
                store_for(id);
            } else if (const Range vars = vars_.of(fn_[id]); vars.begin == vars.end) {
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
            for (std::uint32_t i = phis_.first_in[succ]; i != 0; i = phis_.places[i].next) {
                fn_.list(fn_[first_id_ + i])[edges_[edge]] = value_of(phis_.places[i].var);
            }
            ++edge;
        }
    }

    // Phis are nodes one after the other.
    void make_phis() {
        const ValueId undefined = fn_.constant(0); // what no verifier lets anybody read
        first_id_ = ValueId(fn_.nodes.size() - 1);
        is_used_.assign(phis_.places.size(), 0);
        for (std::size_t i = 1; i < phis_.places.size(); ++i) {
            const BlockId block = phis_.places[i].block;
            Node phi;
            phi.kind = Kind::Phi;
            phi.slot = fn_[fn_.blocks[block].first].slot;
            phi.args = {ValueId(fn_.pool.size()), ValueId(fn_.blocks[block].preds.size()), 0, 0};
            fn_.pool.resize(fn_.pool.size() + fn_.blocks[block].preds.size(), undefined);
            fn_.insert_first(block, phi);
        }
    }
    [[nodiscard]] bool is_new_phi(ValueId id) const {
        return id > first_id_ && id < first_id_ + phis_.places.size();
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
        for (std::size_t i = 1; i < phis_.places.size(); ++i) {
            if (is_used_[i] == 0) {
                fn_.remove(first_id_ + ValueId(i));
            }
        }
    }
    ValueId use(ValueId value) {
        if (is_new_phi(value) && std::exchange(is_used_[value - first_id_], 1) == 0) {
            used_.push_back(value);
        }
        return value;
    }

    void store(ValueId id, const Range& vars) {
        const ValueId value = fn_.resolve(fn_[id].args[2]);
        const std::int64_t begin = frame_.span_of(fn_[id]).begin;
        for (std::uint32_t var = vars.begin; var < vars.end; ++var) {
            const auto shift = unsigned(8 * (vars_[var].begin - begin));
            set(var, shift == 0 ? value : fn_.constant(fn_.value_of(value) >> shift));
        }
        fn_.remove(id);
    }

    void load(ValueId id, const Range& vars) {
        const Node access = fn_[id];
        const std::int64_t begin = frame_.span_of(access).begin;
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
            if (!frame_.is_frame(address)) {
                continue;
            }
            const Range vars = vars_.in(*frame_.span_of(fn_[call], i));
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

    Function& fn_;
    FrameAccesses frame_{fn_};
    StackVars vars_{fn_, frame_};
    PhiPlaces phis_{fn_};            // the i-th is node first_id_ + i
    Vec<std::size_t> first_place_{}; // by block
    ValueId first_id_ = 0;
    Vec<std::uint8_t> is_used_{};     // by phi
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
