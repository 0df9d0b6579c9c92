// Compare trees back into tables: BPF has no indirect jumps, so clang makes trees of switches.
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"

#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>

namespace ebpfvm::jit::opt {
namespace {

// Unsigned numbers [lo, hi].
struct Range {
    std::uint64_t lo = 0;
    std::uint64_t hi = 0;
};
/// What a comparison holds for: ascending, apart.
using Ranges = boost::container::small_vector<Range, 2>;

class SwitchFinder {
  public:
    explicit SwitchFinder(Function& fn) : fn_(fn) {}

    bool run() {
        bool changed = false;
        effort_left_ = kEffort * fn_.nodes.size();
        const Vec<BlockId> blocks = fn_.order; // roots come before what is below them
        for (const BlockId block : blocks) {
            if (fn_.blocks[block].first != 0 && effort_left_ != 0 && collect(block) &&
                is_worth_it()) {
                replace(block);
                changed = true;
            }
        }
        return changed;
    }

  private:
    static constexpr unsigned kMinCompares = 4;
    static constexpr std::uint64_t kMaxTable = 256;
    static constexpr std::size_t kMaxTree = 2 * kMaxTable; // blocks
    // Ranges, for each node: what is below a root that is not worth a table is looked at again as
    // another root.
    static constexpr std::size_t kEffort = 1;

    // Part of `ranges_`: ascending, apart.
    struct Values {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
    };
    [[nodiscard]] std::span<const Range> of(const Values& values) const {
        return std::span(ranges_).subspan(values.begin, values.end - values.begin);
    }
    Values intersect(const Values& values, const Ranges& with) {
        const auto begin = std::uint32_t(ranges_.size());
        for (const Range& wanted : with) {
            for (std::uint32_t i = values.begin; i < values.end; ++i) {
                const Range both{std::max(ranges_[i].lo, wanted.lo),
                                 std::min(ranges_[i].hi, wanted.hi)};
                if (both.lo <= both.hi) {
                    ranges_.push_back(both);
                }
            }
        }
        return {begin, std::uint32_t(ranges_.size())};
    }

    // Control leaves the tree: from a block to one of its successors, for these values.
    struct Leaf {
        BlockId from;
        BlockId to;
        Values values;
    };

    [[nodiscard]] std::uint64_t max() const {
        return width_ == Width::W64 ? ~std::uint64_t{0} : 0xffff'ffff;
    }

    // The constant that the branch compares `value_` with, and how.
    struct Compare {
        Cond cond;
        std::uint64_t constant;
    };
    [[nodiscard]] std::optional<Compare> compare_of(const Node& end) const {
        if (end.kind != Kind::Branch || !fn_.is_const(end.args[1])) {
            return std::nullopt;
        }
        const std::uint64_t constant = fn_.value_of(end.args[1]);
        if (end.args[0] == value_ && end.width == width_ && end.cond != Cond::Set &&
            end.cond != Cond::NotSet) {
            return Compare{end.cond, constant};
        }
        // (x & mask) == 0, where `value_` is x & mask
        const Node& value = fn_[value_];
        if ((end.cond == Cond::Set || end.cond == Cond::NotSet) && value.kind == Kind::And &&
            value.args[0] == end.args[0] && value.args[1] == end.args[1]) {
            return Compare{end.cond == Cond::Set ? Cond::Ne : Cond::Eq, 0};
        }
        return std::nullopt;
    }

    // Values for which the condition holds, as unsigned numbers.
    [[nodiscard]] Ranges holding(const Compare& compare) const {
        const std::uint64_t c = compare.constant;
        const std::uint64_t half = max() / 2; // the largest positive number
        const auto below = [&](std::uint64_t end) {
            return end == 0 ? Ranges{} : Ranges{{0, end - 1}};
        };
        const auto from = [&](std::uint64_t begin) { return Ranges{{begin, max()}}; };
        const auto above = [&](std::uint64_t begin) {
            return begin == max() ? Ranges{} : from(begin + 1);
        };
        const auto signed_below = [&](std::uint64_t end) { // negative numbers come first
            if (end > half) {
                return end == half + 1 ? Ranges{} : Ranges{{half + 1, end - 1}};
            }
            Ranges values = below(end);
            values.push_back({half + 1, max()});
            return values;
        };
        const auto signed_from = [&](std::uint64_t begin) {
            if (begin <= half) {
                return Ranges{{begin, half}};
            }
            return Ranges{{0, half}, {begin, max()}};
        };
        switch (compare.cond) {
        case Cond::Eq:
            return {{c, c}};
        case Cond::Ne: {
            Ranges values = below(c);
            std::ranges::copy(above(c), std::back_inserter(values));
            return values;
        }
        case Cond::Ult:
            return below(c);
        case Cond::Ule:
            return c == max() ? from(0) : below(c + 1);
        case Cond::Ugt:
            return above(c);
        case Cond::Uge:
            return from(c);
        case Cond::Slt:
            return signed_below(c);
        case Cond::Sle:
            return c == half ? from(0) : signed_below((c + 1) & max());
        case Cond::Sgt:
            return c == half ? Ranges{} : signed_from((c + 1) & max());
        case Cond::Sge:
            return signed_from(c);
        case Cond::Set:
        case Cond::NotSet:
            break;
        }
        return {};
    }

    // The tree below the block, whose branch compares the value that the table is for.
    bool collect(BlockId root) {
        const Node& end = fn_[fn_.blocks[root].last];
        if (end.kind != Kind::Branch || !fn_.is_const(end.args[1]) || end.cond == Cond::Set ||
            end.cond == Cond::NotSet) {
            return false;
        }
        value_ = end.args[0];
        width_ = end.width;
        if (std::ranges::none_of(fn_.blocks[root].succs,
                                 [this](BlockId succ) { return is_inside(succ); })) {
            return false;
        }
        leaves_.clear();
        tree_.clear();
        struct Visit {
            BlockId block;
            Values values;
        };
        const unsigned bits = fn_[value_].bits;
        const std::uint64_t most =
            bits >= 64 ? max() : std::min(max(), (std::uint64_t{1} << bits) - 1);
        ranges_.assign(1, {0, most});
        Vec<Visit> work{{root, {0, 1}}};
        while (!work.empty()) {
            const Visit visit = work.back();
            work.pop_back();
            tree_.push_back(visit.block);
            const Block& block = fn_.blocks[visit.block];
            Compare compare = *compare_of(fn_[block.last]);
            for (const BlockId succ : block.succs) {
                const Values values = intersect(visit.values, holding(compare));
                if (tree_.size() + work.size() < kMaxTree && is_inside(succ)) {
                    work.push_back({succ, values});
                } else {
                    leaves_.push_back({visit.block, succ, values});
                }
                compare.cond = negate(compare.cond);
            }
        }
        effort_left_ -= std::min(effort_left_, ranges_.size());
        return tree_.size() >= kMinCompares;
    }
    [[nodiscard]] bool is_inside(BlockId id) const {
        const Block& block = fn_.blocks[id];
        return block.preds.size() == 1 && block.first == block.last &&
               compare_of(fn_[block.last]).has_value();
    }

    [[nodiscard]] std::uint64_t widest_of(const Leaf& leaf) const {
        std::uint64_t widest = 0;
        for (const Range& range : of(leaf.values)) {
            widest = std::max(widest, range.hi - range.lo);
        }
        return widest;
    }

    // All but one way out are taken for few values that lie close together.
    bool is_worth_it() {
        const auto widest = std::ranges::max_element(
            leaves_, {}, [this](const Leaf& leaf) { return widest_of(leaf); });
        otherwise_ = widest->to;
        lo_ = ~std::uint64_t{0};
        hi_ = 0;
        for (const Leaf& leaf : leaves_) {
            if (leaf.to == otherwise_) {
                continue;
            }
            for (const Range& range : of(leaf.values)) {
                lo_ = std::min(lo_, range.lo);
                hi_ = std::max(hi_, range.hi);
            }
        }
        if (lo_ <= kMinCompares) {
            lo_ = 0; // saves a subtraction
        }
        return lo_ <= hi_ && hi_ - lo_ < kMaxTable && hi_ - lo_ < 4 * leaves_.size() + 8;
    }

    void replace(BlockId root) {
        // Ways to the same place with the same values for its phis are one.
        std::map<std::pair<BlockId, Vec<ValueId>>, std::uint32_t> ways;
        Vec<BlockId> targets;
        Vec<std::uint32_t> table(hi_ - lo_ + 1, 0);
        // The way of values outside the table is the first.
        std::ranges::stable_partition(leaves_, [&](const Leaf& leaf) { return is_default(leaf); });
        for (const Leaf& leaf : leaves_) {
            const auto [way, is_new] =
                ways.try_emplace({leaf.to, phi_values(leaf)}, std::uint32_t(targets.size()));
            if (is_new) {
                targets.push_back(make_way(leaf));
            } else {
                fn_.remove_edge(leaf.from, leaf.to);
            }
            for (const Range& range : of(leaf.values)) {
                const std::uint64_t begin = std::max(range.lo, lo_);
                const std::uint64_t end = std::min(range.hi, hi_);
                if (begin <= end) {
                    std::fill_n(table.begin() + std::ptrdiff_t(begin - lo_), end - begin + 1,
                                way->second);
                }
            }
        }
        remove_tree(root);
        const ValueId last = fn_.blocks[root].last;
        Node jump = fn_[last];
        fn_.remove(last);
        jump.kind = Kind::Switch;
        jump.args = {index(root, jump.slot), 0, 0, 0};
        jump.imm = std::int64_t(fn_.tables.size());
        fn_.tables.push_back(std::move(table));
        fn_.append(root, jump);
        for (const BlockId target : targets) {
            fn_.add_edge(root, target);
        }
    }

    // Does it take what lies outside the table?
    [[nodiscard]] bool is_default(const Leaf& leaf) const {
        return leaf.to == otherwise_ &&
               std::ranges::any_of(of(leaf.values), [&](const Range& range) {
                   return range.lo < lo_ || range.hi > hi_;
               });
    }

    [[nodiscard]] std::size_t place_of(const Leaf& leaf) const {
        const auto& preds = fn_.blocks[leaf.to].preds;
        return std::size_t(std::ranges::find(preds, leaf.from) - preds.begin());
    }
    Vec<ValueId> phi_values(const Leaf& leaf) {
        Vec<ValueId> values;
        const std::size_t place = place_of(leaf);
        for (ValueId id = fn_.blocks[leaf.to].first; fn_[id].kind == Kind::Phi; id = fn_[id].next) {
            values.push_back(fn_.list(fn_[id])[place]);
        }
        return values;
    }

    // A block of its own on the way to the leaf's target.
    BlockId make_way(const Leaf& leaf) {
        const BlockId way = fn_.add_block();
        Node jump;
        jump.kind = Kind::Jump;
        jump.slot = fn_[fn_.blocks[leaf.from].last].slot;
        fn_.append(way, jump);
        fn_.blocks[way].succs.push_back(leaf.to);
        fn_.blocks[leaf.to].preds[place_of(leaf)] = way;
        auto& succs = fn_.blocks[leaf.from].succs;
        succs.erase(std::ranges::find(succs, leaf.to));
        fn_.layout.insert(std::ranges::find(fn_.layout, leaf.from) + 1, way);
        return way;
    }

    void remove_tree(BlockId root) {
        for (const BlockId block : tree_) {
            fn_.blocks[block].succs.clear();
            if (block != root) {
                fn_.blocks[block].preds.clear();
                fn_.remove(fn_.blocks[block].last);
            }
        }
        std::erase_if(fn_.layout, [&](BlockId id) { return fn_.blocks[id].first == 0; });
    }

    ValueId index(BlockId root, std::uint32_t slot) {
        Node node;
        node.kind = lo_ == 0 ? Kind::Zext : Kind::Sub;
        node.width = width_;
        node.size = lo_ != 0 ? 0 : width_ == Width::W64 ? 8 : 4;
        node.args = {value_, lo_ == 0 ? 0 : fn_.constant(lo_), 0, 0};
        node.slot = slot;
        return append_simplified(fn_, root, node);
    }

    Function& fn_;
    ValueId value_ = 0;
    Width width_ = Width::W64;
    std::size_t effort_left_ = 0;
    Vec<Range> ranges_{}; // of the tree
    Vec<Leaf> leaves_{};
    Vec<BlockId> tree_{}; // blocks; the root is the first
    BlockId otherwise_ = kNoBlock;
    std::uint64_t lo_ = 0; // of the table
    std::uint64_t hi_ = 0;
};

} // namespace

bool find_switches(Function& fn) {
    find_loops(fn);
    return SwitchFinder(fn).run();
}

} // namespace ebpfvm::jit::opt
