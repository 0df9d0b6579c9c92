// Value numbering over the dominator tree, dead code, constant branches.
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"

#include <algorithm>
#include <bit>

namespace ebpfvm::jit::opt {
namespace {

class ValueTable {
  public:
    explicit ValueTable(std::size_t count)
        : entries_(std::bit_ceil(std::max<std::size_t>(16, 2 * count))) {}

    /// The entry for values like this one: 0 if there is none yet.
    ValueId& find(const Function& fn, const Node& node) {
        const std::size_t mask = entries_.size() - 1;
        for (std::size_t i = hash(node) & mask;; i = (i + 1) & mask) {
            if (entries_[i] == 0 || is_same(fn[entries_[i]], node)) {
                return entries_[i];
            }
        }
    }

  private:
    static std::size_t hash(const Node& node) {
        std::uint64_t sum = std::uint64_t(node.kind) | std::uint64_t(node.size) << 8 |
                            std::uint64_t(node.width) << 16 | std::uint64_t(node.cond) << 24;
        for (const ValueId arg : node.args) {
            sum = (sum ^ arg) * 0x9e37'79b9'7f4a'7c15;
        }
        sum = (sum ^ std::uint64_t(node.imm)) * 0x9e37'79b9'7f4a'7c15;
        return std::size_t(sum ^ sum >> 32);
    }
    static bool is_same(const Node& a, const Node& b) {
        return a.kind == b.kind && a.width == b.width && a.cond == b.cond && a.size == b.size &&
               a.args == b.args && a.imm == b.imm;
    }

    std::vector<ValueId> entries_;
};

class Cleaner {
  public:
    explicit Cleaner(Function& fn) : fn_(fn) {}

    void run() {
        find_loops(fn_);
        find_bits();
        // Values come before what is made of them, but for phis: one of a loop may turn out to be
        // a single value, and then what was made of it has to be looked at once more.
        constexpr int kRounds = 8;
        for (int round = 0; round < kRounds; ++round) {
            changed_ = false;
            simplify_all();
            fn_.resolve_all();
            change_graph();
            if (!changed_) {
                break;
            }
        }
        remove_dead();
    }

    // What changes of the graph alone ask for.
    void tidy() {
        find_loops(fn_);
        do {
            changed_ = false;
            for (const BlockId block : fn_.order) {
                for (ValueId id = fn_.blocks[block].first; id != 0;) {
                    const ValueId next = fn_[id].next;
                    const Kind kind = fn_[id].kind;
                    if (kind == Kind::Phi || kind == Kind::Branch) {
                        simplify_one(id);
                    }
                    id = next;
                }
            }
            fn_.resolve_all();
            change_graph();
        } while (changed_);
    }

  private:
    // Which phis hold 32 bits: all that follow from that, as far as it holds.
    void find_bits() {
        const std::vector<BlockId>& order = fn_.order;
        std::vector<ValueId> phis;
        for (const BlockId block : order) {
            for (ValueId id = fn_.blocks[block].first; id != 0 && fn_[id].kind == Kind::Phi;
                 id = fn_[id].next) {
                phis.push_back(id);
                fn_[id].bits = 32;
            }
        }
        for (bool changed = !phis.empty(); changed;) {
            changed = false;
            update_bits(order);
            for (const ValueId phi : phis) {
                if (fn_[phi].bits <= 32 && bits_of(fn_, fn_[phi]) > 32) {
                    fn_[phi].bits = 64;
                    changed = true;
                }
            }
        }
    }
    void update_bits(const std::vector<BlockId>& order) {
        for (const BlockId block : order) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                if (fn_[id].kind != Kind::Phi) {
                    fn_[id].bits = bits_of(fn_, fn_[id]);
                }
            }
        }
    }

    void simplify_all() {
        ValueTable table(fn_.nodes.size());
        for (const BlockId block : fn_.order) {
            for (ValueId id = fn_.blocks[block].first; id != 0;) {
                const ValueId next = fn_[id].next;
                visit(table, id);
                id = next;
            }
        }
    }

    // True if another value takes its place.
    bool simplify_one(ValueId id) {
        each_arg(fn_, fn_[id], [&](ValueId& arg) { arg = fn_.resolve(arg); });
        const std::uint8_t phi_bits = fn_[id].bits;
        const ValueId value = simplify(fn_, id);
        if (fn_[id].kind == Kind::Phi) {
            fn_[id].bits = phi_bits; // what find_bits() says holds
        }
        if (value == id) {
            return false;
        }
        changed_ |= fn_[id].kind == Kind::Phi;
        fn_.replace(id, value);
        return true;
    }

    void visit(ValueTable& table, ValueId id) {
        if (simplify_one(id)) {
            return;
        }
        if (fn_[id].kind == Kind::Phi) {
            return unite_phis(id);
        }
        if (!is_pure(fn_[id].kind)) {
            return;
        }
        ValueId& entry = table.find(fn_, fn_[id]);
        if (entry != 0 && fn_.dominates(fn_[entry].block, fn_[id].block)) {
            fn_.replace(id, entry);
        } else {
            entry = id;
        }
    }

    // Two phis of a block with the same values are one.
    void unite_phis(ValueId id) {
        constexpr unsigned kMaxCompared = 16;
        const auto values = fn_.list(fn_[id]);
        ValueId other = fn_[id].prev;
        for (unsigned i = 0; other != 0 && i < kMaxCompared; ++i, other = fn_[other].prev) {
            if (std::ranges::equal(values, fn_.list(fn_[other]))) {
                fn_.replace(id, other);
                changed_ = true;
                return;
            }
        }
    }

    void change_graph() {
        if (prune()) {
            find_loops(fn_);
            changed_ = true;
        }
        if (merge_blocks()) {
            fn_.resolve_all();
            find_loops(fn_);
            changed_ = true;
        }
    }

    // Branches that always go one way.
    bool prune() {
        bool pruned = false;
        for (const BlockId id : fn_.layout) {
            Node& end = fn_[fn_.blocks[id].last];
            if (end.kind != Kind::Branch || !fn_.is_const(end.args[0]) ||
                !fn_.is_const(end.args[1])) {
                continue;
            }
            const bool is_taken =
                holds(end.cond, end.width, fn_.value_of(end.args[0]), fn_.value_of(end.args[1]));
            fn_.remove_edge(id, fn_.blocks[id].succs[is_taken ? 1 : 0]);
            end.kind = Kind::Jump;
            end.args = {};
            pruned = true;
        }
        return pruned;
    }

    void remove_dead() {
        std::vector<bool> is_used(fn_.nodes.size(), false);
        std::vector<ValueId> work;
        const auto use = [&](ValueId id) {
            if (!is_used[id]) {
                is_used[id] = true;
                work.push_back(id);
            }
        };
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                if (!is_removable(fn_[id].kind) || fn_[id].is_ordered) {
                    use(id);
                }
            }
        }
        while (!work.empty()) {
            const ValueId id = work.back();
            work.pop_back();
            each_arg(fn_, fn_[id], [&](ValueId& arg) { use(arg); });
        }
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0;) {
                const ValueId next = fn_[id].next;
                if (!is_used[id]) {
                    fn_.remove(id);
                }
                id = next;
            }
        }
    }

    // A block that is entered from one other alone, which goes nowhere else, becomes part of it.
    bool merge_blocks() {
        bool merged = false;
        for (const BlockId id : fn_.layout) {
            if (fn_.blocks[id].first == 0) {
                continue; // part of another one by now
            }
            while (fn_[fn_.blocks[id].last].kind == Kind::Jump) {
                const BlockId next = fn_.blocks[id].succs.front();
                if (next == id || next == 0 || fn_.blocks[next].preds.size() != 1) {
                    break;
                }
                append_block(id, next);
                merged = true;
            }
        }
        std::erase_if(fn_.layout, [&](BlockId id) { return fn_.blocks[id].first == 0; });
        return merged;
    }

    void append_block(BlockId to, BlockId from) {
        fn_.remove(fn_.blocks[to].last);
        while (fn_[fn_.blocks[from].first].kind == Kind::Phi) {
            const ValueId phi = fn_.blocks[from].first;
            fn_.replace(phi, fn_.resolve(fn_.list(fn_[phi]).front()));
        }
        Block& target = fn_.blocks[to];
        Block& source = fn_.blocks[from];
        for (ValueId id = source.first; id != 0; id = fn_[id].next) {
            fn_[id].block = to;
        }
        fn_[source.first].prev = target.last;
        (target.last != 0 ? fn_[target.last].next : target.first) = source.first;
        target.last = source.last;
        source.first = source.last = 0;
        target.succs = std::move(source.succs);
        source.succs.clear();
        source.preds.clear();
        for (const BlockId succ : target.succs) {
            std::ranges::replace(fn_.blocks[succ].preds, from, to);
        }
    }

    Function& fn_;
    bool changed_ = false;
};

} // namespace

void clean(Function& fn) {
    Cleaner(fn).run();
}

void tidy(Function& fn) {
    Cleaner(fn).tidy();
}

} // namespace ebpfvm::jit::opt
