// Writes nodes one after the other, block by block.
#pragma once

#include "jit/opt/ir.hpp"
#include "jit/opt/known_bits.hpp"
#include "jit/opt/simplify.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {

/// Nodes go to the end of block `at_` and belong to slot `slot_`. Blocks lie in the order in which
/// they are started; those that hardly ever run lie behind the function.
class Writer {
  public:
    explicit Writer(Function& fn) : fn_(fn) {}

    [[nodiscard]] Function& fn() { return fn_; }
    [[nodiscard]] BlockId at() const { return at_; }

    /// Simplified: what it returns may be another node.
    ValueId append(Node node) {
        node.slot = slot_;
        return append_simplified(fn_, at_, node);
    }
    ValueId emit(Kind kind, Width width, ValueId a, ValueId b = 0, unsigned size = 0) {
        Node node;
        node.kind = kind;
        node.width = width;
        node.args = {a, b, 0, 0};
        node.size = std::uint8_t(size);
        return append(node);
    }
    [[nodiscard]] ValueId constant(std::int64_t value) {
        return fn_.constant(std::uint64_t(value));
    }
    ValueId load_at(ValueId base, std::int64_t off, unsigned size, bool is_ordered = false) {
        Node node;
        node.kind = Kind::Load;
        node.size = std::uint8_t(size);
        node.is_ordered = is_ordered;
        node.args = {base, 0, 0, 0};
        node.imm = off;
        return append(node);
    }
    ValueId state_field(int off, unsigned size) {
        Node field;
        field.kind = Kind::StateField;
        field.imm = off;
        field.size = std::uint8_t(size);
        return append(field);
    }

    void start_block(BlockId block) {
        at_ = block;
        placed_->push_back(block);
    }
    void start_cold_block(BlockId block) {
        at_ = block;
        cold_.push_back(block);
    }
    void jump_to(BlockId target) {
        Node node;
        node.kind = Kind::Jump;
        append(node);
        fn_.add_edge(at_, target);
    }
    void branch(Cond cond, Width width, ValueId a, ValueId b, BlockId taken, BlockId otherwise) {
        if (taken == otherwise) {
            return jump_to(taken);
        }
        Node node;
        node.kind = Kind::Branch;
        node.cond = cond;
        node.width = width;
        node.args = {a, b, 0, 0};
        append(node);
        fn_.add_edge(at_, taken);
        fn_.add_edge(at_, otherwise);
    }

    /// A value for each predecessor, in their order.
    ValueId phi_of(std::span<const ValueId> values) {
        if (std::ranges::all_of(values, [&](ValueId value) { return value == values.front(); })) {
            return values.front();
        }
        Node phi;
        phi.kind = Kind::Phi;
        phi.slot = slot_;
        fn_.set_list(phi, values);
        phi.bits = bits_of(fn_, phi);
        return fn_.append(at_, phi);
    }
    /// A phi whose values are set later, once they are all there.
    ValueId open_phi() {
        Node phi;
        phi.kind = Kind::Phi;
        phi.slot = slot_;
        return fn_.append(at_, phi);
    }

  protected:
    Function& fn_;
    Vec<BlockId>* placed_ = nullptr; // the layout of what is being built
    Vec<BlockId> cold_{};
    BlockId at_ = 0;
    std::uint32_t slot_ = 0;
};

} // namespace ebpfvm::jit::opt
