// The graph: nodes, blocks, edges.
#include "jit/opt/ir.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace ebpfvm::jit::opt {

Cond negate(Cond cond) {
    switch (cond) {
    case Cond::Eq:
        return Cond::Ne;
    case Cond::Ne:
        return Cond::Eq;
    case Cond::Ult:
        return Cond::Uge;
    case Cond::Ule:
        return Cond::Ugt;
    case Cond::Ugt:
        return Cond::Ule;
    case Cond::Uge:
        return Cond::Ult;
    case Cond::Slt:
        return Cond::Sge;
    case Cond::Sle:
        return Cond::Sgt;
    case Cond::Sgt:
        return Cond::Sle;
    case Cond::Sge:
        return Cond::Slt;
    case Cond::Set:
        return Cond::NotSet;
    case Cond::NotSet:
        return Cond::Set;
    }
    std::unreachable();
}

Cond swap(Cond cond) {
    switch (cond) {
    case Cond::Ult:
        return Cond::Ugt;
    case Cond::Ule:
        return Cond::Uge;
    case Cond::Ugt:
        return Cond::Ult;
    case Cond::Uge:
        return Cond::Ule;
    case Cond::Slt:
        return Cond::Sgt;
    case Cond::Sle:
        return Cond::Sge;
    case Cond::Sgt:
        return Cond::Slt;
    case Cond::Sge:
        return Cond::Sle;
    case Cond::Eq:
    case Cond::Ne:
    case Cond::Set:
    case Cond::NotSet:
        return cond;
    }
    std::unreachable();
}

BlockId Function::add_block() {
    blocks.emplace_back();
    return BlockId(blocks.size() - 1);
}

void Function::add_edge(BlockId from, BlockId to) {
    blocks[from].succs.push_back(to);
    blocks[to].preds.push_back(from);
    has_order = false;
}

ValueId Function::append(BlockId block, const Node& node) {
    const ValueId id = ValueId(nodes.size());
    nodes.push_back(node);
    Node& added = nodes.back();
    Block& owner = blocks[block];
    added.block = block;
    added.prev = owner.last;
    added.next = 0;
    if (owner.last != 0) {
        nodes[owner.last].next = id;
    } else {
        owner.first = id;
    }
    owner.last = id;
    return id;
}

ValueId Function::insert_before(ValueId place, const Node& node) {
    const ValueId id = ValueId(nodes.size());
    nodes.push_back(node);
    Node& added = nodes[id];
    Node& after = nodes[place];
    added.block = after.block;
    added.prev = after.prev;
    added.next = place;
    if (after.prev != 0) {
        nodes[after.prev].next = id;
    } else {
        blocks[after.block].first = id;
    }
    after.prev = id;
    return id;
}

ValueId Function::insert_first(BlockId block, const Node& node) {
    const ValueId first = blocks[block].first;
    return first != 0 ? insert_before(first, node) : append(block, node);
}

void Function::unlink(ValueId id) {
    Node& node = nodes[id];
    if (node.block == kNoBlock) {
        return;
    }
    Block& block = blocks[node.block];
    (node.prev != 0 ? nodes[node.prev].next : block.first) = node.next;
    (node.next != 0 ? nodes[node.next].prev : block.last) = node.prev;
    node.block = kNoBlock;
    node.prev = node.next = 0;
}

void Function::remove(ValueId id) {
    unlink(id);
    nodes[id].kind = Kind::None;
}

void Function::replace(ValueId id, ValueId with) {
    unlink(id);
    nodes[id].kind = Kind::Forward;
    nodes[id].args = {with, 0, 0, 0};
}

ValueId& Function::constant_entry(std::uint64_t value) {
    const std::size_t mask = constants_.size() - 1;
    const std::uint64_t mixed = value * 0x9e37'79b9'7f4a'7c15;
    for (std::size_t i = std::size_t(mixed >> 32) & mask;; i = (i + 1) & mask) {
        if (constants_[i] == 0 || value_of(constants_[i]) == value) {
            return constants_[i];
        }
    }
}

ValueId Function::constant(std::uint64_t value) {
    if (2 * constant_count_ >= constants_.size()) {
        Vec<ValueId> before(std::max<std::size_t>(64, 2 * constants_.size()), 0);
        before.swap(constants_);
        for (const ValueId id : before) {
            if (id != 0) {
                constant_entry(value_of(id)) = id;
            }
        }
    }
    ValueId& entry = constant_entry(value);
    if (entry == 0) {
        entry = ValueId(nodes.size());
        ++constant_count_;
        Node node;
        node.kind = Kind::Const;
        node.imm = std::int64_t(value);
        node.bits = std::uint8_t(64 - std::countl_zero(value));
        nodes.push_back(node);
    }
    return entry;
}

ValueId Function::follow(ValueId id) {
    ValueId end = id;
    while (nodes[end].kind == Kind::Forward) {
        end = nodes[end].args[0];
    }
    while (nodes[id].kind == Kind::Forward) { // the next search is shorter
        id = std::exchange(nodes[id].args[0], end);
    }
    return end;
}

ValueId Function::single_value(ValueId phi) {
    ValueId same = 0;
    bool is_single = true;
    for (ValueId& value : list(nodes[phi])) {
        value = resolve(value);
        if (value != phi && value != same) {
            is_single &= same == 0;
            same = value;
        }
    }
    return !is_single ? phi : same != 0 ? same : constant(0);
}

void Function::resolve_all() {
    for (const BlockId block : layout) {
        for (ValueId id = blocks[block].first; id != 0; id = nodes[id].next) {
            each_arg(*this, nodes[id], [&](ValueId& arg) { arg = resolve(arg); });
        }
    }
}

void Function::set_list(Node& node, std::span<const ValueId> values) {
    node.args = {ValueId(pool.size()), ValueId(values.size()), 0, 0};
    pool.insert(pool.end(), values.begin(), values.end());
}

void Function::remove_pred(BlockId block, std::size_t i) {
    has_order = false;
    const auto at = std::ptrdiff_t(i);
    Block& target = blocks[block];
    target.preds.erase(target.preds.begin() + at);
    for (ValueId id = target.first; id != 0 && nodes[id].kind == Kind::Phi; id = nodes[id].next) {
        const std::span<ValueId> values = list(nodes[id]);
        std::copy(values.begin() + at + 1, values.end(), values.begin() + at);
        --nodes[id].args[1];
    }
}

void Function::remove_edge(BlockId from, BlockId to) {
    const BlockList& preds = blocks[to].preds;
    remove_pred(to, std::size_t(std::ranges::find(preds, from) - preds.begin()));
    auto& succs = blocks[from].succs;
    succs.erase(std::ranges::remove(succs, to).begin(), succs.end());
}

void Function::remove_edges(Vec<std::pair<BlockId, BlockId>>& edges) {
    has_order &= edges.empty();
    std::ranges::sort(edges, {},
                      [](const auto& edge) { return std::pair(edge.second, edge.first); });
    for (auto edge = edges.begin(); edge != edges.end();) {
        const BlockId to = edge->second;
        const auto end =
            std::find_if(edge, edges.end(), [&](const auto& e) { return e.second != to; });
        Block& target = blocks[to];
        Vec<std::uint32_t> kept;
        for (std::uint32_t i = 0; i < target.preds.size(); ++i) {
            if (!std::binary_search(edge, end, std::pair(target.preds[i], to))) {
                kept.push_back(i);
            }
        }
        const auto keep = [&](auto&& items) {
            for (std::size_t i = 0; i < kept.size(); ++i) {
                items[i] = items[kept[i]];
            }
        };
        keep(target.preds);
        target.preds.shrink(kept.size());
        for (ValueId id = target.first; id != 0 && nodes[id].kind == Kind::Phi;
             id = nodes[id].next) {
            keep(list(nodes[id]));
            nodes[id].args[1] = ValueId(kept.size());
        }
        for (; edge != end; ++edge) {
            auto& succs = blocks[edge->first].succs;
            succs.erase(std::ranges::remove(succs, to).begin(), succs.end());
        }
    }
}

} // namespace ebpfvm::jit::opt
