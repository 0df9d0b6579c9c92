// Sums, products and the like of several values in a loop: what is known late in a turn, because it
// comes from the turn before, is taken in last. The other parts of the next turn are done by then.
// (late * 3 + a) * 3 + b is late * 9 + (a * 3 + b).
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"
#include "jit/opt/target.hpp"

#include <boost/container/static_vector.hpp>

#include <algorithm>
#include <functional>

namespace ebpfvm::jit::opt {
namespace {

bool is_associative(Kind kind) {
    return kind == Kind::Add || kind == Kind::Mul || kind == Kind::And || kind == Kind::Or ||
           kind == Kind::Xor;
}

class Reassociator {
  public:
    explicit Reassociator(Function& fn) : fn_(fn) {}

    void run() {
        if (fn_.headers.empty() || !has_sums()) {
            return;
        }
        find_uses();
        for (const BlockId block : fn_.order) {
            if (fn_.blocks[block].loop != kNoBlock) {
                visit_block(block);
            }
        }
        if (changed_) {
            fn_.resolve_all();
        }
    }

  private:
    static constexpr std::size_t kMaxLeaves = 24;
    /// From where on a value comes from the turn before.
    static constexpr std::uint32_t kLate = 1U << 20;

    static constexpr std::uint64_t kMaxFactor = 0x7fff'ffff;

    struct Leaf {
        std::uint32_t ready = 0; // when, in this turn of the loop
        ValueId value = 0;
        std::uint32_t place = 0; // in the block
        std::uint64_t factor = 1;
    };
    using Leaves = boost::container::static_vector<Leaf, kMaxLeaves>;

    struct Info {
        std::uint32_t uses = 0;
        ValueId user = 0; // one of them
        std::uint32_t ready = 0;
    };

    // Of more than two values?
    [[nodiscard]] bool has_sums() const {
        return std::ranges::any_of(fn_.order, [&](BlockId block) {
            if (fn_.blocks[block].loop == kNoBlock) {
                return false;
            }
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                const Node& node = fn_[id];
                if (is_associative(node.kind) &&
                    (could_be_part(node, node.args[0]) || could_be_part(node, node.args[1]))) {
                    return true;
                }
            }
            return false;
        });
    }

    [[nodiscard]] bool could_be_part(const Node& user, ValueId id) const {
        const Node& node = fn_[id];
        return node.kind == user.kind || (user.kind == Kind::Add && node.kind == Kind::Mul &&
                                          fn_[node.args[0]].kind == Kind::Add);
    }

    void find_uses() {
        info_.assign(fn_.nodes.size(), {});
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                each_arg(fn_, fn_[id], [&](ValueId& arg) {
                    ++info_[arg].uses;
                    info_[arg].user = id;
                });
            }
        }
    }

    void visit_block(BlockId block) {
        block_ = block;
        is_numbered_ = false;
        for (ValueId id = fn_.blocks[block].first; id != 0;) {
            const ValueId next = fn_[id].next;
            info_[id].ready = ready_of(id);
            if (info_[id].ready > kLate && is_associative(fn_[id].kind) && !is_part(id)) {
                improve(id);
            }
            id = next;
        }
    }

    // Is it taken in by its only user, perhaps times a constant?
    [[nodiscard]] bool is_part(ValueId id) const {
        if (!has_one_user(id)) {
            return false;
        }
        const ValueId user = info_[id].user;
        const Kind kind = fn_[id].kind;
        return fn_[user].kind == kind ||
               (kind == Kind::Add && factor_of(user) != 0 && has_one_user(user) &&
                fn_[info_[user].user].kind == Kind::Add);
    }
    // In the same block, and of the same width.
    [[nodiscard]] bool has_one_user(ValueId id) const {
        const Node& node = fn_[id];
        const Node& user = fn_[info_[id].user];
        return info_[id].uses == 1 && user.width == node.width && user.block == node.block;
    }
    // 0 if it is no value times a small constant.
    [[nodiscard]] std::uint64_t factor_of(ValueId id) const {
        const Node& node = fn_[id];
        if ((node.kind != Kind::Mul && node.kind != Kind::Shl) || !fn_.is_const(node.args[1])) {
            return 0;
        }
        const std::uint64_t by = fn_.value_of(node.args[1]);
        const bool is_small = node.kind == Kind::Mul ? by <= kMaxFactor : by < 16;
        return !is_small ? 0 : node.kind == Kind::Mul ? by : std::uint64_t{1} << by;
    }

    std::uint32_t ready_of(ValueId id) {
        const Node& node = fn_[id];
        std::uint32_t ready = 0;
        if (node.kind == Kind::Phi && fn_.blocks[block_].loop == block_) {
            return is_counter(id) ? 0 : kLate;
        }
        each_arg(fn_, fn_[id], [&](ValueId& arg) { ready = std::max(ready, ready_in(arg)); });
        return node.kind == Kind::Phi ? ready : ready + latency_of(fn_, node);
    }
    // What comes from outside of the loop is there.
    [[nodiscard]] std::uint32_t ready_in(ValueId id) const {
        const BlockId home = fn_[id].block;
        if (fn_[id].kind == Kind::Forward) { // what was improved
            return info_[id].ready;
        }
        return home != kNoBlock && fn_.blocks[home].loop == fn_.blocks[block_].loop
                   ? info_[id].ready
                   : 0;
    }
    // A phi that only steps forward runs ahead.
    [[nodiscard]] bool is_counter(ValueId phi) const {
        return std::ranges::all_of(fn_.list(fn_[phi]), [&](ValueId value) {
            const Node& next = fn_[value];
            return next.kind != Kind::Forward &&
                   (next.block == kNoBlock || !fn_.dominates(block_, next.block) ||
                    (next.kind == Kind::Add && next.args[0] == phi && fn_.is_const(next.args[1])));
        });
    }

    void improve(ValueId root) {
        leaves_.clear();
        parts_.clear();
        if (!collect(root, 1) || leaves_.size() < 3 || has_many_late()) {
            return;
        }
        const bool is_smaller = drop_needless(fn_[root].kind);
        const std::uint32_t ready = ready_when_combined(fn_[root].kind);
        if (is_smaller || ready < info_[root].ready) {
            rebuild(root);
            info_[root].ready = ready;
        }
    }

    bool collect(ValueId id, std::uint64_t factor) {
        for (unsigned i = 0; i < 2; ++i) {
            const ValueId arg = fn_.resolve(fn_[id].args[i]);
            const bool is_inner = is_in_block(arg) && arg < info_.size() && has_one_user(arg);
            if (is_inner && fn_[arg].kind == fn_[id].kind) {
                parts_.push_back(arg);
                if (!collect(arg, factor)) {
                    return false;
                }
            } else if (is_inner && is_sum_times(arg, factor)) {
                parts_.push_back(arg);
                parts_.push_back(fn_[arg].args[0]);
                if (!collect(fn_[arg].args[0], factor * factor_of(arg))) {
                    return false;
                }
            } else if (leaves_.size() == kMaxLeaves) {
                return false;
            } else if (is_inner && factor > 1 && factor_of(arg) != 0 &&
                       factor * factor_of(arg) <= kMaxFactor) {
                parts_.push_back(arg);
                const ValueId value = fn_[arg].args[0];
                leaves_.push_back(
                    {ready_in(value), fn_.resolve(value), 0, factor * factor_of(arg)});
            } else {
                leaves_.push_back({ready_in(fn_[id].args[i]), arg, 0, factor});
            }
        }
        return true;
    }
    // A sum times a constant, as part of a sum.
    [[nodiscard]] bool is_sum_times(ValueId id, std::uint64_t factor) const {
        const std::uint64_t by = factor_of(id);
        const ValueId sum = fn_[id].args[0];
        return by != 0 && by * factor <= kMaxFactor && fn_[info_[id].user].kind == Kind::Add &&
               fn_[sum].kind == Kind::Add && sum < info_.size() && has_one_user(sum) &&
               fn_[sum].width == fn_[id].width;
    }
    // Would it take more multiplications?
    [[nodiscard]] bool has_many_late() const {
        return std::ranges::count_if(leaves_, [](const Leaf& leaf) {
                   return leaf.ready >= kLate && leaf.factor != 1;
               }) > 1;
    }
    [[nodiscard]] bool is_in_block(ValueId id) const { return fn_[id].block == block_; }

    // x ^ x, x & x, x | x. True if there was something like that.
    bool drop_needless(Kind kind) {
        if (kind == Kind::Add || kind == Kind::Mul) {
            return false;
        }
        const std::size_t before = leaves_.size();
        for (std::size_t i = 0; i < leaves_.size(); ++i) {
            for (std::size_t k = i + 1; k < leaves_.size(); ++k) {
                if (leaves_[i].value == leaves_[k].value) {
                    leaves_.erase(leaves_.begin() + std::ptrdiff_t(k));
                    if (kind == Kind::Xor) {
                        leaves_.erase(leaves_.begin() + std::ptrdiff_t(i));
                    }
                    --i;
                    break;
                }
            }
        }
        return leaves_.size() != before;
    }

    // The two that are there first become one, again and again.
    template <class F>
    static void combine(Leaves& leaves, F join) {
        const auto later = [](const Leaf& a, const Leaf& b) { return a.ready > b.ready; };
        std::ranges::stable_sort(leaves, later);
        while (leaves.size() > 1) {
            const Leaf second = leaves[leaves.size() - 2];
            const Leaf joined = join(second, leaves.back());
            leaves.resize(leaves.size() - 2);
            leaves.insert(std::ranges::lower_bound(leaves, joined, later), joined);
        }
    }

    // Makes all factors 1: (a * 3 + b) * 3 + c for what is early, and a product for what is late.
    template <class J, class S>
    static void multiply_out(Leaves& leaves, J join, S scale) {
        if (std::ranges::all_of(leaves, [](const Leaf& leaf) { return leaf.factor == 1; })) {
            return;
        }
        std::ranges::stable_sort(leaves, std::greater{}, &Leaf::factor);
        Leaves terms;
        Leaf sum{.factor = 0};
        for (const Leaf& leaf : leaves) {
            if (leaf.ready >= kLate) {
                terms.push_back(scale(leaf, leaf.factor));
            } else if (sum.factor == 0) {
                sum = leaf;
            } else if (sum.factor % leaf.factor != 0) {
                terms.push_back(scale(sum, sum.factor));
                sum = leaf;
            } else {
                sum = join(scale(sum, sum.factor / leaf.factor), leaf);
                sum.factor = leaf.factor;
            }
        }
        if (sum.factor != 0) {
            terms.push_back(scale(sum, sum.factor));
        }
        leaves = terms;
    }

    [[nodiscard]] std::uint32_t ready_when_combined(Kind kind) const {
        const std::uint32_t latency = kind == Kind::Mul ? 3 : 1;
        Leaves leaves = leaves_;
        const auto join = [&](const Leaf& a, const Leaf& b) {
            return Leaf{.ready = std::max(a.ready, b.ready) + latency};
        };
        multiply_out(leaves, join, [](const Leaf& leaf, std::uint64_t factor) {
            return Leaf{.ready = leaf.ready + latency_of_factor(factor)};
        });
        combine(leaves, join);
        return leaves.empty() ? 0 : leaves.front().ready;
    }

    void rebuild(ValueId root) {
        number_block();
        const Node like = fn_[root];
        const std::uint32_t latency = like.kind == Kind::Mul ? 3 : 1;
        for (Leaf& leaf : leaves_) {
            leaf.place = is_in_block(leaf.value) ? places_[leaf.value] : 0;
        }
        const auto join = [&](const Leaf& a, const Leaf& b) {
            const std::uint32_t place = std::max(a.place, b.place);
            const ValueId value =
                insert_simplified(fn_, behind(place), like.kind, like.width, a.value, b.value);
            return Leaf{std::max(a.ready, b.ready) + latency, value, place};
        };
        multiply_out(leaves_, join, [&](const Leaf& leaf, std::uint64_t factor) {
            const ValueId value = insert_simplified(fn_, behind(leaf.place), Kind::Mul, like.width,
                                                    leaf.value, fn_.constant(factor));
            return Leaf{leaf.ready + latency_of_factor(factor), value, leaf.place};
        });
        combine(leaves_, join);
        ValueId value = fn_.constant(0);
        if (!leaves_.empty()) { // of a single one, what an operation of this width leaves
            const Leaf& last = leaves_.front();
            value = insert_simplified(fn_, root, Kind::Or, like.width, last.value, value);
        }
        for (const ValueId part : parts_) {
            fn_.remove(part);
        }
        fn_.replace(root, value);
        places_.resize(fn_.nodes.size(), places_[root]);
        info_.resize(fn_.nodes.size());
        changed_ = true;
    }

    // The node before which a value goes that is made of others up to there.
    [[nodiscard]] ValueId behind(std::uint32_t place) const {
        ValueId id = behind_[place];
        while (fn_[id].block == kNoBlock) { // not any more
            id = behind_[places_[id]];
        }
        return id;
    }

    // Place 0 is the begin of the block; new values count as if they were where the sum was.
    void number_block() {
        if (is_numbered_) {
            return;
        }
        is_numbered_ = true;
        places_.assign(fn_.nodes.size(), 0);
        behind_.clear();
        ValueId id = fn_.blocks[block_].first;
        while (fn_[id].kind == Kind::Phi) {
            id = fn_[id].next;
        }
        behind_.push_back(id);
        for (; fn_[id].next != 0; id = fn_[id].next) {
            places_[id] = std::uint32_t(behind_.size());
            behind_.push_back(fn_[id].next);
        }
    }

    Function& fn_;
    BlockId block_ = 0;
    Vec<Info> info_{}; // by value
    Leaves leaves_{};
    Vec<ValueId> parts_{};        // of the sum, besides the leaves
    Vec<std::uint32_t> places_{}; // by value, in the block
    Vec<ValueId> behind_{};       // by place: the next node
    bool is_numbered_ = false;
    bool changed_ = false;
};

} // namespace

void reassociate(Function& fn) {
    find_loops(fn);
    Reassociator(fn).run();
}

} // namespace ebpfvm::jit::opt
