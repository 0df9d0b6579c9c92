// The functions of a program, and the graph of each: its blocks, those of subprograms that are
// inlined, and the edges.
#include "jit/opt/build.hpp"

#include "jit/opt/builder.hpp"

#include <algorithm>
#include <cstddef>
#include <ranges>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

// Subprograms of at most this many slots are inlined; larger ones if there is one call alone.
constexpr std::uint32_t kSmall = 40;
// A function grows by inlining up to this many slots, and bytes of stack.
constexpr std::uint32_t kMaxSlots = 4000;
constexpr std::uint32_t kMaxFrame = 4096;

} // namespace

std::optional<Vec<Function>> build(const exec::Code& code, const OptOptions& options) {
    const ProgramShape program(code);
    if (!program.is_supported) {
        return std::nullopt;
    }
    Vec<Function> functions;
    Vec<std::uint32_t> wanted{0};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        Function fn;
        fn.code = &code;
        fn.subprog = wanted[i];
        Vec<std::uint32_t> called;
        Builder(code, program, options.has(Pass::Inline), fn).run(called);
        for (const std::uint32_t index : called) {
            if (std::ranges::find(wanted, index) == wanted.end()) {
                wanted.push_back(index);
            }
        }
        functions.push_back(std::move(fn));
    }
    const Anchor anchor = program.needs_state    ? Anchor::State
                          : functions.size() > 1 ? Anchor::HostCtx
                                                 : Anchor::None;
    for (Function& fn : functions) {
        fn.anchor = anchor;
    }
    return functions;
}

void Builder::run(Vec<std::uint32_t>& called) {
    called_ = &called;
    const auto& subprog = program_.subprogs[fn_.subprog];
    const std::size_t slots = subprog.end - subprog.begin;
    fn_.nodes.reserve(2 * slots + 32);
    fn_.blocks.reserve(subprog.shape.blocks.size() * 3 / 2 + 4);
    fn_.pool.reserve(slots);
    placed_ = &fn_.layout;
    at_ = fn_.add_block();
    fn_.layout.push_back(at_);
    slots_ = subprog.end - subprog.begin;
    Regs regs;
    zero_ = fn_.constant(0);
    regs.fill(zero_);
    const unsigned params = fn_.subprog == 0 ? 2 : kMaxArgs;
    slot_ = subprog.begin;
    for (unsigned i = 1; i <= params; ++i) {
        Node param;
        param.kind = Kind::Param;
        param.imm = i;
        regs[i] = append(param);
    }
    Node ctx;
    ctx.kind = Kind::HostCtx;
    host_ctx_ = append(ctx);
    (void)instance(fn_.subprog, regs);
    fn_.layout.insert(fn_.layout.end(), cold_.begin(), cold_.end());
    if (has_replaced_) {
        fn_.resolve_all();
    }
}

// Where control goes on behind it, with r0; registers of the caller are the caller's business.
ValueId Builder::instance(std::uint32_t index, const Regs& regs) {
    Instance in;
    in.subprog = &program_.subprogs[index];
    in.index = index;
    in.is_inlined = !open_.empty();
    open_.push_back(index);
    const SubprogShape& shape = in.subprog->shape;
    const std::size_t count = shape.blocks.size();
    in.first.assign(count, kNoBlock);
    in.last.assign(count, kNoBlock);
    in.ends.resize(count);
    in.chunks.resize(count);
    const Regs initial = initial_regs(in, regs);
    const BlockId before = at_;
    const bool goes_on = shape.blocks.front().preds.empty(); // where its caller is
    for (const std::uint32_t place : shape.order) {
        in.first[place] = place == 0 && goes_on ? before : fn_.add_block();
    }
    Vec<BlockId>& outer = *placed_;
    placed_ = &in.blocks;
    if (!goes_on) {
        jump_to(in.first[0]);
    }

    Vec<Incomplete> incomplete;
    for (const std::uint32_t place : shape.order) {
        in.chunks[place].begin = in.blocks.size();
        if (in.first[place] != before) {
            start_block(in.first[place]);
        }
        regs_ = entry_regs(in, place, place == 0 ? &initial : nullptr, incomplete);
        fill(in, place);
        in.chunks[place].end = in.blocks.size();
    }
    for (const Incomplete& phi : incomplete) {
        complete(in, phi, before, initial);
    }
    for (const Incomplete& phi : std::views::reverse(incomplete)) { // inner loops first
        has_replaced_ |= remove_if_single(phi.phi);
    }
    placed_ = &outer;
    for (const Chunk& chunk : in.chunks) {
        outer.insert(outer.end(), in.blocks.begin() + std::ptrdiff_t(chunk.begin),
                     in.blocks.begin() + std::ptrdiff_t(chunk.end));
    }
    open_.pop_back();
    return in.is_inlined ? join_returns(in) : 0;
}

// What registers are where the subprogram begins, in a frame of its own.
Builder::Regs Builder::initial_regs(const Instance& in, const Regs& regs) {
    const std::uint32_t bytes = code_.stacks[in.index];
    const std::int64_t frame_top = -std::int64_t(fn_.frame_bytes);
    fn_.frame_bytes += bytes;
    Regs initial = regs;
    Node frame;
    frame.kind = Kind::Frame;
    frame.imm = frame_top;
    initial[kFramePointer] = append(frame);
    initial[kCounter] = in.subprog->shape.has_counter ? constant(exec::kMaxMayGoto) : constant(0);
    if (code_.clears_stack) {
        clear(frame_top, bytes);
    }
    return initial;
}

// Nobody sees what was there.
void Builder::clear(std::int64_t top, std::uint32_t bytes) {
    for (std::uint32_t done = 8; done <= bytes; done += 8) {
        Node store;
        store.kind = Kind::Store;
        store.size = 8;
        Node frame;
        frame.kind = Kind::Frame;
        frame.imm = top;
        const ValueId base = append(frame);
        store.args = {base, 0, fn_.constant(0), 0};
        store.imm = -std::int64_t(done);
        append(store);
    }
}

ValueId Builder::join_returns(const Instance& in) {
    const BlockId behind = fn_.add_block();
    start_block(behind);
    Vec<ValueId> values;
    for (const auto& [block, value] : in.returns) {
        fn_.add_edge(block, behind);
        values.push_back(fn_.resolve(value));
    }
    if (values.empty()) { // it never returns
        return constant(0);
    }
    return phi_of(values);
}

void Builder::fill(Instance& in, std::uint32_t place) {
    const SlotBlock& block = in.subprog->shape.blocks[place];
    bool has_end = false;
    for (std::uint32_t at = block.begin; at < block.end; at += exec::slots_of(code_.slots[at])) {
        slot_ = at;
        const exec::Slot& slot = code_.slots[at];
        if (exec::is_insn(slot)) {
            has_end = insn(in, block, slot);
        } else {
            rewritten(slot);
            has_end = false;
        }
    }
    if (!has_end) {
        if (block.succs.empty()) { // behind the last slot: no program gets there
            regs_[0] = fn_.constant(0);
            leave(in);
        } else {
            jump_to(in.first[block.succs.back()]);
        }
    }
    in.last[place] = at_;
    in.ends[place] = regs_;
    if (places_.size() <= at_) {
        places_.resize(fn_.blocks.size());
    }
    places_[at_] = place;
}

void Builder::leave(Instance& in) {
    if (in.is_inlined) {
        in.returns.emplace_back(at_, regs_[0]);
        Node jump;
        jump.kind = Kind::Jump;
        append(jump);
    } else {
        Node node;
        node.kind = Kind::Return;
        node.args = {regs_[0], 0, 0, 0};
        append(node);
    }
}

bool Builder::inlines(std::uint32_t index) {
    const ProgramShape::Subprog& callee = program_.subprogs[index];
    const std::uint32_t size = callee.end - callee.begin;
    const bool is_worth_it = size <= kSmall || callee.calls == 1;
    if (!may_inline_ || !is_worth_it || !callee.can_inline ||
        std::ranges::find(open_, index) != open_.end() || slots_ + size > kMaxSlots ||
        fn_.frame_bytes + code_.stacks[index] > kMaxFrame) {
        return false;
    }
    slots_ += size;
    return true;
}

} // namespace ebpfvm::jit::opt
