// From what a value is to how x86-64 says it.
#include "jit/opt/passes.hpp"
#include "jit/opt/target.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>

namespace ebpfvm::jit::opt {
namespace {

class Lowering {
  public:
    explicit Lowering(Function& fn) : fn_(fn) {}

    void run() {
        split_edges();
        fold_addresses();
        place_constants();
    }

  private:
    // Moves of phis need a block of their own where an edge has others beside it at both ends.
    void split_edges() {
        Vec<BlockId> layout;
        layout.reserve(2 * fn_.layout.size());
        const auto first_new = BlockId(fn_.blocks.size());
        for (const BlockId id : fn_.layout) {
            layout.push_back(id);
            if (fn_.blocks[id].succs.size() < 2) {
                continue;
            }
            for (std::size_t i = 0; i < fn_.blocks[id].succs.size(); ++i) {
                const BlockId succ = fn_.blocks[id].succs[i];
                if (fn_.blocks[succ].preds.size() > 1) {
                    layout.push_back(split(id, i, succ));
                }
            }
        }
        for (const BlockId id : fn_.layout) {
            if (fn_.blocks[id].preds.size() > 1) {
                enter_by_splits(id, first_new);
            }
        }
        fn_.layout = std::move(layout);
    }

    // Block by block: one may have thousands of predecessors.
    void enter_by_splits(BlockId id, BlockId first_new) {
        for (BlockId& pred : fn_.blocks[id].preds) {
            for (const BlockId middle : fn_.blocks[pred].succs) {
                if (middle >= first_new && fn_.blocks[middle].succs.front() == id) {
                    pred = middle;
                    break;
                }
            }
        }
    }

    BlockId split(BlockId from, std::size_t place, BlockId to) {
        const BlockId middle = fn_.add_block();
        Node jump;
        jump.kind = Kind::Jump;
        jump.slot = fn_[fn_.blocks[from].last].slot;
        fn_.append(middle, jump);
        Block& block = fn_.blocks[middle];
        block.preds.push_back(from);
        block.succs.push_back(to);
        const Block& source = fn_.blocks[from];
        const Block& target = fn_.blocks[to];
        block.idom = from;
        block.loop_depth = std::min(source.loop_depth, target.loop_depth);
        block.loop = source.loop_depth <= target.loop_depth ? source.loop : target.loop;
        fn_.blocks[from].succs[place] = middle;
        return middle;
    }

    // How often values are used.
    struct Uses {
        Vec<std::uint32_t> all{};
        Vec<std::uint32_t> others{}; // other than as addresses
        Vec<std::uint32_t> parts{};  // as part of a sum that is nothing but an address
    };

    // base + (index << scale) + constant, if nobody needs the sum itself. Constant bases share a
    // register.
    void fold_addresses() {
        Uses uses;
        uses.all.assign(fn_.nodes.size(), 0);
        Vec<std::uint32_t> addresses(fn_.nodes.size(), 0);
        Vec<ValueId> accesses;
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                each_arg(fn_, fn_[id], [&](ValueId& arg) { ++uses.all[arg]; });
                if (is_access(fn_[id].kind) && has_parts(fn_[id].args[0])) {
                    ++addresses[fn_[id].args[0]];
                    accesses.push_back(id);
                }
            }
        }
        if (!accesses.empty()) {
            uses.others.resize(fn_.nodes.size());
            std::ranges::transform(uses.all, addresses, uses.others.begin(), std::minus{});
            uses.parts = parts_of_addresses(uses.others);
            for (const ValueId id : accesses) {
                fold_address(fn_[id], uses);
            }
        }
        remove_unused(uses.all);
    }
    [[nodiscard]] bool has_parts(ValueId address) const {
        const Node& node = fn_[address];
        return node.kind == Kind::Const || (node.kind == Kind::Add && node.width == Width::W64);
    }

    [[nodiscard]] Vec<std::uint32_t> parts_of_addresses(const Vec<std::uint32_t>& others) {
        Vec<std::uint32_t> parts(fn_.nodes.size(), 0);
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                const Node& sum = fn_[id];
                if (sum.kind == Kind::Add && sum.width == Width::W64 && others[id] == 0) {
                    ++parts[sum.args[0]];
                    ++parts[sum.args[1]];
                }
            }
        }
        return parts;
    }

    // a + constant, as part of an address.
    ValueId without_constant(ValueId part, std::int64_t& imm, const Uses& uses) const {
        const Node& sum = fn_[part];
        if (sum.kind != Kind::Add || sum.width != Width::W64 || !fn_.is_const(sum.args[1]) ||
            uses.others[part] != uses.parts[part]) {
            return part;
        }
        const std::int64_t with = imm + std::int64_t(fn_.value_of(sum.args[1]));
        if (with != std::int32_t(with)) {
            return part;
        }
        imm = with;
        return sum.args[0];
    }

    void fold_address(Node& access, Uses& uses) {
        ValueId base = access.args[0];
        const Node& sum = fn_[base];
        if (sum.kind == Kind::Add && sum.width == Width::W64 && uses.others[base] == 0 &&
            !(fn_.is_const(sum.args[1]) && is_imm32(fn_[sum.args[1]].imm))) {
            ValueId first = without_constant(sum.args[0], access.imm, uses);
            ValueId second = without_constant(sum.args[1], access.imm, uses);
            if (is_scaled(first)) {
                std::swap(first, second);
            }
            access.args[0] = first;
            access.args[1] = second;
            if (is_scaled(second)) {
                access.args[1] = fn_[second].args[0];
                access.scale = std::uint8_t(fn_.value_of(fn_[second].args[1]));
            }
            --uses.all[base];
            ++uses.all[access.args[0]];
            ++uses.all[access.args[1]];
            base = first;
        }
        if (fn_.is_const(base)) {
            share_base(access, base);
        }
    }

    [[nodiscard]] bool is_scaled(ValueId id) const {
        const Node& node = fn_[id];
        return node.kind == Kind::Shl && node.width == Width::W64 && fn_.is_const(node.args[1]) &&
               fn_.value_of(node.args[1]) <= 3;
    }

    void share_base(Node& access, ValueId base) {
        const auto value = std::int64_t(fn_.value_of(base));
        auto near = bases_.lower_bound(value - kReach);
        if (near == bases_.end() || near->first > value + kReach) {
            near = bases_.emplace(value, base).first;
        }
        const std::int64_t imm = access.imm + (value - near->first);
        if (imm == std::int32_t(imm)) {
            access.args[0] = near->second;
            access.imm = imm;
        }
    }

    void remove_unused(Vec<std::uint32_t>& uses) {
        Vec<ValueId> work;
        const auto is_dead = [&](ValueId id) {
            return uses[id] == 0 && fn_[id].block != kNoBlock && is_pure(fn_[id].kind);
        };
        for (ValueId id = 1; id < fn_.nodes.size(); ++id) {
            if (is_dead(id)) {
                work.push_back(id);
            }
        }
        while (!work.empty()) {
            const ValueId id = work.back();
            work.pop_back();
            each_arg(fn_, fn_[id], [&](ValueId& arg) {
                --uses[arg];
                if (is_dead(arg)) {
                    work.push_back(arg);
                }
            });
            fn_.remove(id);
        }
    }

    // Constants that no insn takes as an immediate, outside loops where that costs little.
    void place_constants() {
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0;) {
                const ValueId next = fn_[id].next;
                if (fn_[id].kind == Kind::Frame) {
                    fn_.unlink(id); // like a constant
                }
                id = next;
            }
        }
        for (const BlockId block : fn_.layout) {
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                if (has_list(fn_[id].kind)) {
                    continue; // moved to where they belong by parallel moves
                }
                if (is_commutative(fn_[id].kind) && fn_.is_const(fn_[id].args[0])) {
                    std::swap(fn_[id].args[0], fn_[id].args[1]);
                }
                if (fn_[id].kind == Kind::Select && fn_.is_const(fn_[id].args[2]) &&
                    !fn_.is_const(fn_[id].args[3])) {
                    std::swap(fn_[id].args[2], fn_[id].args[3]);
                    fn_[id].cond = negate(fn_[id].cond);
                }
                for (unsigned arg = 0; arg < fn_[id].args.size(); ++arg) {
                    const ValueId value = fn_[id].args[arg];
                    if (value != 0 && is_floating(value) && !takes_imm(fn_, fn_[id], arg)) {
                        fn_[id].args[arg] = place(value, id);
                    }
                }
            }
        }
    }

    [[nodiscard]] bool is_floating(ValueId id) const {
        return (fn_[id].kind == Kind::Const || fn_[id].kind == Kind::Frame) &&
               fn_[id].block == kNoBlock;
    }

    ValueId place(ValueId constant, ValueId user) {
        BlockId block = fn_[user].block;
        BlockId header = kNoBlock;
        for (BlockId loop = fn_.blocks[block].loop; loop != kNoBlock;
             loop = fn_.outer_loops[loop]) {
            header = loop;
        }
        if (header != kNoBlock && fn_.blocks[header].idom != kNoBlock &&
            hoisted_[header] < kMaxHoisted) {
            block = fn_.blocks[header].idom;
        }
        const bool is_hoisted = block != fn_[user].block;
        const std::uint64_t key =
            std::uint64_t(block) << 33 | std::uint64_t(constant) << 1 | std::uint64_t(is_hoisted);
        const auto [entry, is_new] = placed_.try_emplace(key, 0);
        if (is_new) {
            Node node = fn_[constant];
            node.slot = fn_[user].slot;
            if (!is_hoisted) {
                entry->second = fn_.insert_before(user, node);
            } else {
                ++hoisted_[header];
                entry->second = fn_.insert_before(fn_.blocks[block].last, node);
            }
        }
        return entry->second;
    }

    static constexpr std::int64_t kReach = 1 << 30;
    static constexpr unsigned kMaxHoisted = 4;

    Function& fn_;
    std::map<std::int64_t, ValueId> bases_{};
    std::unordered_map<std::uint64_t, ValueId> placed_{};
    std::unordered_map<BlockId, unsigned> hoisted_{};
};

} // namespace

void lower(Function& fn) {
    find_loops(fn);
    Lowering(fn).run();
}

} // namespace ebpfvm::jit::opt
