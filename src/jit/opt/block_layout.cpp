#include "jit/opt/block_layout.hpp"

#include "jit/opt/target.hpp"

namespace ebpfvm::jit::opt {
namespace {

// What a kind of node takes, and what comes on top.
struct Bytes {
    std::uint8_t least = 4;
    bool adds_imms = false;
    bool adds_move = false; // of an argument to the result's register
};

constexpr Bytes bytes_of(Kind kind) {
    switch (kind) {
    case Kind::None:
    case Kind::Forward:
    case Kind::Const:
    case Kind::Param:
    case Kind::Phi:
        return {.least = 0};
    case Kind::Return:
        return {.least = 12};
    case Kind::Branch:
    case Kind::Select:
    case Kind::MulHigh:
        return {.least = 8, .adds_imms = true};
    case Kind::Udiv:
    case Kind::Umod:
    case Kind::Sdiv:
    case Kind::Smod:
    case Kind::Switch:
    case Kind::CompareExchange:
    case Kind::Fetch:
        return {.least = 20};
    case Kind::CallHelper:
    case Kind::CallLocal:
    case Kind::CallThunk:
    case Kind::Find:
    case Kind::TailCall:
        return {.least = 24};
    default:
        return {.adds_imms = true, .adds_move = !is_access(kind)};
    }
}

std::uint32_t bytes_of_const(std::int64_t value) {
    return value == 0 ? 2 : std::uint64_t(value) <= 0xffff'ffff ? 5 : is_imm32(value) ? 7 : 10;
}

std::uint32_t bytes_of_imm(std::int64_t value) {
    return value == std::int8_t(value) ? 1 : 4;
}

std::uint32_t bytes_of_imms(const Function& fn, const Node& node) {
    std::uint32_t bytes = 0;
    for (const ValueId arg : node.args) {
        if (arg != 0 && fn[arg].block == kNoBlock) {
            bytes += bytes_of_imm(fn[arg].imm);
        }
    }
    return bytes;
}

std::uint32_t bytes_of(const Function& fn, const Allocation& places, const StackFrame& frame,
                       ValueId id) {
    static constexpr auto kBytes = by_kind([](Kind kind) { return bytes_of(kind); });
    const Node& node = fn[id];
    const Bytes bytes = kBytes[std::size_t(node.kind)];
    std::uint32_t sum = bytes.least + (places.is_stored(id) ? 5 : 0);
    if (bytes.adds_imms) {
        sum += bytes_of_imms(fn, node);
        if (bytes.adds_move) {
            const ValueId from = node.args[0];
            sum += from != 0 && places.made_in(id) != places.made_in(from) ? 2 : 0;
        } else if (is_access(node.kind)) {
            sum += bytes_of_imm(node.imm);
        }
    } else if (node.kind == Kind::Const) {
        sum += bytes_of_const(node.imm);
    } else if (node.kind == Kind::Return) {
        sum += 2 * frame.saved_count();
    } else if (is_call(node.kind)) {
        sum += 8 * node.args[1];
    }
    return sum;
}

std::size_t moves_in(const Allocation& places, BlockId block) {
    return places.moves.empty() ? 0
                                : places.first_move(places.block_end[block]) -
                                      places.first_move(places.block_begin[block]);
}

} // namespace

BlockLayout::BlockLayout(const Function& fn, const Allocation& places, const StackFrame& frame)
    : fn_(fn), blocks_(fn.blocks.size()) {
    find_destinations(places);
    choose_aligned();
    measure(places, frame);
}

bool BlockLayout::is_end_near(BlockId from, std::uint32_t bytes) const {
    return blocks_[fn_.layout.back()].end + bytes - blocks_[from].end <= kNear;
}

// Of a circle of blocks without code, one is left.
void BlockLayout::find_destinations(const Allocation& places) {
    Vec<BlockId> ways;
    for (BlockId block : fn_.layout) {
        ways.clear();
        while (blocks_[block].destination == kNoBlock) {
            blocks_[block].destination = block; // as far as anyone knows
            if (only_jumps(places, block)) {
                ways.push_back(block);
                block = fn_.blocks[block].succs.front();
            }
        }
        for (const BlockId way : ways) {
            blocks_[way].destination = blocks_[block].destination;
        }
    }
}

bool BlockLayout::only_jumps(const Allocation& places, BlockId block) const {
    return block != 0 && fn_[fn_.blocks[block].first].kind == Kind::Jump &&
           places.count_block_moves(block) == 0;
}

// The first blocks of innermost loops, unless they are all of it: those run as fast anywhere.
void BlockLayout::choose_aligned() {
    if (!fn_.aligns_loops || fn_.headers.empty()) {
        return;
    }
    Vec<std::uint32_t> sizes(fn_.blocks.size(), 0); // in blocks
    for (const BlockId block : fn_.layout) {
        const BlockId loop = fn_.blocks[block].loop;
        if (loop != kNoBlock && !is_empty(block)) {
            ++sizes[loop];
        }
    }
    for (const BlockId header : fn_.headers) {
        if (fn_.outer_loops[header] != kNoBlock) {
            sizes[fn_.outer_loops[header]] = 0;
        }
    }
    BlockId last = kNoBlock;
    for (const BlockId block : fn_.layout) {
        if (is_empty(block)) {
            continue;
        }
        const BlockId loop = fn_.blocks[block].loop;
        blocks_[block].is_aligned = loop != last && loop != kNoBlock && sizes[loop] > 1;
        last = loop;
    }
}

void BlockLayout::measure(const Allocation& places, const StackFrame& frame) {
    std::uint32_t at = 0;
    for (const BlockId block : fn_.layout) {
        at += blocks_[block].is_aligned ? kLoopAlignment / 2 : 0;
        blocks_[block].begin = at;
        constexpr std::uint32_t kMove = 4;
        at += kMove * std::uint32_t(places.count_block_moves(block) + moves_in(places, block));
        for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
            at += bytes_of(fn_, places, frame, id);
        }
        blocks_[block].end = at;
    }
}

} // namespace ebpfvm::jit::opt
