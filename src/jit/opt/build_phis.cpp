// What registers are where blocks begin: phis where ways meet that bring different values.
#include "jit/opt/builder.hpp"

#include <algorithm>

namespace ebpfvm::jit::opt {

Builder::Regs Builder::entry_regs(const Instance& in, std::uint32_t place, const Regs* initial,
                                  Vec<Incomplete>& incomplete) {
    const SlotBlock& block = in.subprog->shape.blocks[place];
    slot_ = block.begin;
    if (initial == nullptr && block.preds.size() == 1) {
        return in.ends[block.preds.front()];
    }
    const bool is_complete = std::ranges::all_of(
        block.preds, [&](std::uint32_t pred) { return in.last[pred] != kNoBlock; });
    Regs regs;
    regs.fill(zero_);
    Vec<ValueId>& values = values_;
    for (unsigned reg = 0; reg < kVarCount; ++reg) {
        if ((block.live & bit(reg)) == 0 || reg == kFramePointer) {
            continue;
        }
        if (!is_complete) {
            if (const ValueId value = value_in_loop(in, block, reg, initial); value != 0) {
                regs[reg] = value;
                continue;
            }
            regs[reg] = open_phi();
            incomplete.push_back({place, reg, regs[reg]});
            continue;
        }
        values.clear();
        if (initial != nullptr) {
            values.push_back((*initial)[reg]);
        }
        for (const std::uint32_t pred : block.preds) {
            values.push_back(in.ends[pred][reg]);
        }
        regs[reg] = phi_of(values);
    }
    regs[kFramePointer] = initial != nullptr ? (*initial)[kFramePointer]
                                             : in.ends[first_filled(in, block)][kFramePointer];
    return regs;
}

// Of a register that the loop, which begins here, does not change; 0 if it may change.
ValueId Builder::value_in_loop(const Instance& in, const SlotBlock& block, unsigned reg,
                               const Regs* initial) {
    ValueId value = initial != nullptr ? (*initial)[reg] : 0;
    if ((block.changes & bit(reg)) != 0) {
        return 0;
    }
    for (const std::uint32_t pred : block.preds) {
        if (in.last[pred] != kNoBlock) {
            const ValueId other = in.ends[pred][reg];
            if (value != 0 && value != other) {
                return 0;
            }
            value = other;
        }
    }
    return value;
}

std::uint32_t Builder::first_filled(const Instance& in, const SlotBlock& block) {
    return *std::ranges::find_if(block.preds,
                                 [&](std::uint32_t pred) { return in.last[pred] != kNoBlock; });
}

// Edges may have been made in another order than `preds` of the SlotBlock.
void Builder::complete(const Instance& in, const Incomplete& phi, BlockId before,
                       const Regs& initial) {
    Vec<ValueId>& values = values_;
    values.clear();
    for (const BlockId pred : fn_.blocks[in.first[phi.place]].preds) {
        if (pred == before && phi.place == 0) {
            values.push_back(initial[phi.reg]);
            continue;
        }
        values.push_back(in.ends[places_[pred]][phi.reg]);
    }
    fn_.set_list(fn_[phi.phi], values);
}

// The loop leaves most registers as they were. True if this is one of them.
bool Builder::remove_if_single(ValueId phi) {
    const ValueId single = fn_.single_value(phi);
    if (single != phi) {
        fn_.replace(phi, single);
    }
    return single != phi;
}

} // namespace ebpfvm::jit::opt
