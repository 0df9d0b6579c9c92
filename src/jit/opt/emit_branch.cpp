// Comparisons and what depends on them: jumps from block to block, choices of values.
#include "jit/opt/function_emitter.hpp"

#include <utility>

namespace ebpfvm::jit::opt {
namespace {

x86::CondCode condition_of(Cond cond) {
    switch (cond) {
    case Cond::Eq:
    case Cond::NotSet: // test
        return x86::CondCode::kEqual;
    case Cond::Ne:
    case Cond::Set:
        return x86::CondCode::kNotEqual;
    case Cond::Ult:
        return x86::CondCode::kUnsignedLT;
    case Cond::Ule:
        return x86::CondCode::kUnsignedLE;
    case Cond::Ugt:
        return x86::CondCode::kUnsignedGT;
    case Cond::Uge:
        return x86::CondCode::kUnsignedGE;
    case Cond::Slt:
        return x86::CondCode::kSignedLT;
    case Cond::Sle:
        return x86::CondCode::kSignedLE;
    case Cond::Sgt:
        return x86::CondCode::kSignedGT;
    case Cond::Sge:
        return x86::CondCode::kSignedGE;
    }
    std::unreachable();
}

} // namespace

// Sets flags.
void FunctionEmitter::compare(const Node& node) {
    const x86::Gp left = sized(arg(0), node.width);
    const bool tests = node.cond == Cond::Set || node.cond == Cond::NotSet;
    if (!is_imm(1)) {
        if (tests) {
            as_.test(left, sized(arg(1), node.width));
        } else {
            as_.cmp(left, sized(arg(1), node.width));
        }
    } else if (tests) {
        as_.test(left, std::int32_t(imm(1)));
    } else if (imm(1) == 0) {
        as_.test(left, left);
    } else {
        as_.cmp(left, std::int32_t(imm(1)));
    }
}

void FunctionEmitter::select(const Node& node) {
    const x86::CondCode condition = condition_of(node.cond);
    if (is_imm(2)) { // 1 or 0
        as_.xor_(dst().r32(), dst().r32());
        compare(node);
        as_.set(condition, dst().r8());
        return;
    }
    compare(node);
    begin_with(3);
    as_.cmov(condition, dst(), arg(2));
}

// Most blocks need no label: nothing jumps to them.
asmjit::Label FunctionEmitter::label_of(BlockId block) {
    const BlockId target = layout_.destination_of(block);
    Label& label = blocks_[target].label;
    if (!label.isValid()) {
        label = as_.newLabel();
        if (blocks_[target].is_emitted) {
            as_.code()->bindLabel(label, as_.currentSection()->id(), blocks_[target].offset);
        }
    }
    return label;
}

// Jumps forward get one byte for the distance if that will do by the guess, and is rarely not
// enough: then everything is emitted again.
inline bool FunctionEmitter::is_near(BlockId block) const {
    return shared_.guesses && layout_.is_near(placed_, layout_.destination_of(block));
}

inline void FunctionEmitter::jump(BlockId block) {
    if (is_near(block)) {
        as_.short_();
    }
    as_.jmp(label_of(block));
}

void FunctionEmitter::jump_if(x86::CondCode condition, BlockId block) {
    if (is_near(block)) {
        as_.short_();
    }
    as_.j(condition, label_of(block));
}

inline void FunctionEmitter::jump_to(BlockId block) {
    if (!is_next(block)) {
        jump(block);
    }
}

// To what the last of cold_ will emit.
void FunctionEmitter::jump_cold(x86::CondCode condition, const Label& label) {
    constexpr std::uint32_t kCold = 30;
    const std::uint32_t others = kCold * std::uint32_t(cold_.size());
    if (shared_.guesses && layout_.is_end_near(placed_, others)) {
        as_.short_();
    }
    as_.j(condition, label);
}

void FunctionEmitter::branch(const Node& node) {
    const BlockId taken = fn_.blocks[block_].succs[0];
    const BlockId otherwise = fn_.blocks[block_].succs[1];
    compare(node);
    const x86::CondCode condition = condition_of(node.cond);
    if (is_next(taken)) {
        jump_if(x86::negateCond(condition), otherwise);
        return;
    }
    // The way that is taken more often gets by with one jump.
    const bool goes_round = fn_.blocks[otherwise].loop_depth > fn_.blocks[taken].loop_depth;
    if (goes_round && !is_next(otherwise)) {
        jump_if(x86::negateCond(condition), otherwise);
        jump(taken);
        return;
    }
    jump_if(condition, taken);
    jump_to(otherwise);
}

// What ends a turn of a loop, and is nothing but a branch, is done here at once: one jump less.
void FunctionEmitter::jump_or_branch(BlockId block) {
    const ValueId end = fn_.blocks[block].last;
    if (is_next(block) || !is_only_branch(block)) {
        return jump_to(block);
    }
    const BlockId from = std::exchange(block_, block);
    id_ = end;
    at_ = position_of_end(block);
    note_place(fn_[end]);
    branch(fn_[end]);
    block_ = from;
    id_ = fn_.blocks[from].last;
}

bool FunctionEmitter::is_only_branch(BlockId block) const {
    const Block& target = fn_.blocks[block];
    if (target.loop == kNoBlock || fn_[target.last].kind != Kind::Branch) {
        return false;
    }
    for (ValueId id = target.first; id != target.last; id = fn_[id].next) {
        if (fn_[id].kind != Kind::Phi || places_.is_stored(id)) {
            return false;
        }
    }
    const std::size_t move = places_.first_move(places_.block_begin[block]);
    return move == places_.moves.size() || places_.moves[move].at > position_of_end(block);
}

void FunctionEmitter::jump_by_table(const Node& node) {
    const Vec<std::uint32_t>& table = fn_.tables[std::size_t(node.imm)];
    const auto& succs = fn_.blocks[block_].succs;
    const Node& index = fn_[node.args[0]];
    if (index.bits >= 64 || std::uint64_t{1} << index.bits > table.size()) {
        as_.cmp(arg(0), std::uint32_t(table.size()));
        jump_if(x86::CondCode::kUnsignedGE, succs.front());
    }
    const Label begin = as_.newLabel();
    as_.lea(x86::gpq(kScratch), x86::ptr(begin));
    as_.jmp(x86::ptr(x86::gpq(kScratch), arg(0), 3));
    Vec<Label> targets;
    for (const std::uint32_t way : table) {
        targets.push_back(label_of(succs[way]));
    }
    cold_.push_back([this, begin, targets = std::move(targets)] {
        as_.align(asmjit::AlignMode::kData, 8);
        as_.bind(begin);
        for (const Label& target : targets) {
            as_.embedLabel(target);
        }
    });
}

} // namespace ebpfvm::jit::opt
