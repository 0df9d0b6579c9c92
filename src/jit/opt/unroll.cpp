// Small loops whose number of turns is known do several turns in one: fewer tests and jumps, and
// what two turns have in common is done once.
#include "jit/opt/passes.hpp"
#include "jit/opt/simplify.hpp"
#include "jit/opt/target.hpp"
#include "jit/opt/value_table.hpp"

#include <algorithm>
#include <bit>
#include <optional>

namespace ebpfvm::jit::opt {
namespace {

// value & mask, + step each turn.
struct Counter {
    std::uint64_t first = 0; // what the loop's test sees first
    std::uint64_t step = 0;
    std::uint64_t mask = 0;
    std::uint64_t limit = 0;

    [[nodiscard]] std::uint64_t half() const { return mask / 2; }
    [[nodiscard]] bool is_upward() const { return step <= half(); }
    [[nodiscard]] std::uint64_t down() const { return (0 - step) & mask; }

    // How often it steps before it meets the limit.
    [[nodiscard]] std::optional<std::uint64_t> steps_to_meet() const {
        const std::uint64_t way = is_upward() ? limit - first : first - limit;
        const std::uint64_t by = is_upward() ? step : down();
        const bool is_ahead = is_upward() ? first <= limit : first >= limit;
        return is_ahead && by != 0 && way % by == 0 ? std::optional(way / by) : std::nullopt;
    }
    // How often before it is at the limit or above, without wrapping around at `end`.
    [[nodiscard]] std::optional<std::uint64_t> steps_to_reach(std::uint64_t end) const {
        if (!is_upward() || step == 0 || first > end || limit > end || end - limit < step) {
            return std::nullopt;
        }
        return first >= limit ? 0 : (limit - first + step - 1) / step;
    }
};

class Unroller {
  public:
    explicit Unroller(Function& fn) : fn_(fn) {}

    bool run() {
        for (const BlockId block : fn_.layout) {
            if (added_ < kMaxAdded && is_small_loop(block)) {
                unroll(block);
            }
        }
        if (!last_.empty()) {
            rename_outside();
        }
        return is_done_;
    }

  private:
    static constexpr unsigned kMaxNodes = 48;        // of all turns in one
    static constexpr std::size_t kMaxAdded = 20'000; // to the function

    // One block that leads back to itself, and is not too large to be there twice.
    [[nodiscard]] bool is_small_loop(BlockId id) const {
        const Block& block = fn_.blocks[id];
        if (block.preds.size() != 2 || fn_[block.last].kind != Kind::Branch ||
            std::ranges::none_of(block.preds, [&](BlockId pred) { return is_back(pred, id); })) {
            return false;
        }
        unsigned nodes = 0;
        for (ValueId at = block.last; at != 0 && nodes <= kMaxNodes; at = fn_[at].prev) {
            const Kind kind = fn_[at].kind;
            if (is_call(kind) || (kind >= Kind::Atomic && kind <= Kind::CompareExchange)) {
                return false;
            }
            nodes += kind == Kind::Phi ? 0 : 1;
        }
        return nodes <= kMaxNodes / 2;
    }
    // Is it the block, or one between its end and its begin that does nothing?
    [[nodiscard]] bool is_back(BlockId pred, BlockId block) const {
        const Block& between = fn_.blocks[pred];
        return pred == block || (between.first == between.last && between.preds.size() == 1 &&
                                 between.preds.front() == block);
    }

    void unroll(BlockId id) {
        block_ = id;
        const auto& preds = fn_.blocks[id].preds;
        from_itself_ = is_back(preds[0], id) ? 0 : 1;
        body_.clear();
        phis_.clear();
        for (ValueId at = fn_.blocks[id].first; at != fn_.blocks[id].last; at = fn_[at].next) {
            (fn_[at].kind == Kind::Phi ? phis_ : body_).push_back(at);
        }
        const unsigned copies = copies_wanted();
        if (copies < 2) {
            return;
        }
        added_ += std::size_t(copies - 1) * body_.size();
        last_.resize(fn_.nodes.size() + 1, 0);
        for (const ValueId value : phis_) {
            last_[value] = value;
        }
        for (const ValueId value : body_) {
            last_[value] = value;
        }
        table_.clear(std::size_t(copies) * body_.size());
        for (const ValueId value : body_) {
            (void)known(value);
        }
        for (unsigned i = 1; i < copies; ++i) {
            add_copy();
        }
        const ValueId end = fn_.blocks[id].last;
        each_arg(fn_, fn_[end], [&](ValueId& arg) { arg = last_of(arg); });
        for (const ValueId phi : phis_) {
            ValueId& next = fn_.list(fn_[phi])[from_itself_];
            next = last_of(next);
        }
    }

    // How long what begins with a phi takes, in cycles, and what operations it is made of.
    struct Chain {
        std::uint32_t cycles = 0;
        std::uint8_t kinds = 0; // 0: it does not begin there
    };
    enum : std::uint8_t { kSums = 1, kXors = 2, kAnds = 4, kOrs = 8, kOthers = 16 };

    [[nodiscard]] std::uint8_t kind_in_chain(const Node& node) const {
        switch (node.kind) {
        case Kind::Mul:
            return fn_.is_const(node.args[1]) ? kSums : kOthers;
        case Kind::Add:
        case Kind::Sub:
            return kSums;
        case Kind::Xor:
            return kXors;
        case Kind::And:
            return kAnds;
        case Kind::Or:
            return kOrs;
        default:
            return kOthers;
        }
    }

    // Does a turn take as long as what it must know of the one before, whatever else there is to
    // do? Sums, and what is like them, reassociate() does for all turns at once.
    [[nodiscard]] bool waits_for_itself() {
        constexpr std::uint32_t kPerCycle = 3; // operations
        chains_.resize(fn_.nodes.size());
        return std::ranges::any_of(phis_, [this](ValueId phi) {
            const Chain chain = chain_of(phi);
            const bool is_one_kind = std::has_single_bit(chain.kinds) && chain.kinds != kOthers;
            return !is_one_kind && chain.cycles * kPerCycle >= body_.size();
        });
    }
    // From the phi to its value in the next turn.
    Chain chain_of(ValueId begin) {
        for (const ValueId phi : phis_) {
            chains_[phi] = {};
        }
        for (const ValueId value : body_) {
            Chain chain;
            each_arg(fn_, fn_[value], [&](ValueId& arg) {
                if (fn_[arg].block == block_ && (arg == begin || chains_[arg].kinds != 0)) {
                    chain.cycles = std::max(chain.cycles, chains_[arg].cycles);
                    chain.kinds =
                        std::uint8_t(chain.kinds | chains_[arg].kinds | kind_in_chain(fn_[value]));
                }
            });
            chain.cycles += chain.kinds != 0 ? latency_of(fn_, fn_[value]) : 0;
            chains_[value] = chain;
        }
        const ValueId next = fn_.list(fn_[begin])[from_itself_];
        return fn_[next].block == block_ ? chains_[next] : Chain{};
    }

    [[nodiscard]] unsigned copies_wanted() {
        const auto turns = count_turns();
        if (!turns) {
            return 1;
        }
        const std::size_t nodes = body_.size() + 1;
        if (*turns <= kMaxNodes / nodes) {
            is_done_ = true;
            return unsigned(*turns);
        }
        if (waits_for_itself()) {
            return 1;
        }
        for (const unsigned copies : {4U, 3U, 2U}) {
            if (copies * nodes <= kMaxNodes && *turns % copies == 0) {
                return copies;
            }
        }
        return 1;
    }

    // How often the block is run each time the loop is entered.
    [[nodiscard]] std::optional<std::uint64_t> count_turns() const {
        const Node& end = fn_[fn_.blocks[block_].last];
        const Cond stays =
            is_back(fn_.blocks[block_].succs[0], block_) ? end.cond : negate(end.cond);
        if (!fn_.is_const(end.args[1])) {
            return std::nullopt;
        }
        const auto counter = counter_of(end.args[0], end.width, fn_.value_of(end.args[1]));
        const auto steps = counter ? steps_of(*counter, stays) : std::nullopt;
        return steps ? std::optional(*steps + 1) : std::nullopt;
    }

    [[nodiscard]] std::optional<Counter> counter_of(ValueId tested, Width width,
                                                    std::uint64_t limit) const {
        const bool tests_next = fn_[tested].kind != Kind::Phi;
        const ValueId phi = tests_next ? fn_[tested].args[0] : tested;
        if (fn_[phi].kind != Kind::Phi || fn_[phi].block != block_) {
            return std::nullopt;
        }
        const auto values = fn_.list(fn_[phi]);
        const ValueId begin = values[1 - from_itself_];
        const ValueId next = values[from_itself_];
        const Node& add = fn_[next];
        if ((tests_next && tested != next) || add.kind != Kind::Add || add.args[0] != phi ||
            !fn_.is_const(add.args[1]) || !fn_.is_const(begin)) {
            return std::nullopt;
        }
        const bool is_32 = width == Width::W32 || add.width == Width::W32;
        Counter counter;
        counter.mask = is_32 ? 0xffff'ffff : ~std::uint64_t{0};
        counter.step = fn_.value_of(add.args[1]) & counter.mask;
        counter.limit = limit;
        counter.first = fn_.value_of(begin) + (tests_next ? counter.step : 0);
        if (tests_next || width == Width::W32) {
            counter.first &= counter.mask;
        }
        if (counter.first > counter.mask || counter.limit > counter.mask) {
            return std::nullopt;
        }
        return counter;
    }

    [[nodiscard]] static std::optional<std::uint64_t> steps_of(const Counter& counter, Cond stays) {
        switch (stays) {
        case Cond::Ne:
            return counter.steps_to_meet();
        case Cond::Ult:
            return counter.steps_to_reach(counter.mask);
        case Cond::Slt:
            return counter.steps_to_reach(counter.half());
        default:
            return std::nullopt;
        }
    }

    [[nodiscard]] ValueId last_of(ValueId id) const {
        return id < last_.size() && last_[id] != 0 && fn_[id].block == block_ ? last_[id] : id;
    }

    // One more turn behind those that are there.
    void add_copy() {
        next_.clear();
        for (const ValueId phi : phis_) {
            next_.push_back(last_of(fn_.list(fn_[phi])[from_itself_]));
        }
        for (std::size_t i = 0; i < phis_.size(); ++i) {
            last_[phis_[i]] = next_[i];
        }
        const ValueId end = fn_.blocks[block_].last;
        for (const ValueId value : body_) {
            Node copy = fn_[value];
            each_arg(fn_, copy, [&](ValueId& arg) { arg = last_of(arg); });
            const ValueId made = fn_.insert_before(end, copy);
            last_[value] = known(simplify(fn_, made));
            if (last_[value] != made) {
                fn_.remove(made);
            }
        }
    }

    // One like it that is in the loop already, or itself.
    ValueId known(ValueId value) {
        if (fn_[value].block != block_ || !is_pure(fn_[value].kind)) {
            return value;
        }
        ValueId& entry = table_.find(fn_, fn_[value], hash_of(fn_[value]));
        entry = entry != 0 ? entry : value;
        return entry;
    }

    // Behind the loop, values are those of the last turn.
    void rename_outside() {
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                each_arg(fn_, fn_[id], [&](ValueId& arg) {
                    if (arg < last_.size() && last_[arg] != 0 && fn_[arg].block != block) {
                        arg = last_[arg];
                    }
                });
            }
        }
    }

    Function& fn_;
    BlockId block_ = 0;
    std::size_t from_itself_ = 0; // predecessor
    Vec<ValueId> phis_{};
    Vec<ValueId> body_{};
    Vec<ValueId> next_{};
    Vec<Chain> chains_{}; // by value
    ValueTable table_{};
    std::size_t added_ = 0; // nodes
    bool is_done_ = false;  // is a loop none any more?
    Vec<ValueId> last_{};   // by value of a loop: what it is in the last turn
};

} // namespace

bool unroll(Function& fn) {
    return Unroller(fn).run();
}

} // namespace ebpfvm::jit::opt
