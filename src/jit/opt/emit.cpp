#include "jit/opt/emit.hpp"

#include "jit/abi.hpp"
#include "jit/native_code.hpp"
#include "jit/opt/target.hpp"
#include "jit/stack_writer.hpp"
#include "jit/thunks.hpp"
#include "support/assert.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace ebpfvm::jit::opt {
namespace {

using asmjit::Label;

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

x86::Gp gp(unsigned reg) {
    return x86::gpq(reg);
}

// What all functions of a program share.
struct Shared {
    x86::Assembler& as;
    CodeMap* map = nullptr;
    StackWriter stack{as, map};
    const Cpu& cpu;
    const CodeMemory* memory;
    Vec<Label>& subprogs;
    Label leave{};        // invalid: nobody goes there
    bool guesses = false; // which jumps are short
    bool has_tail_calls = false;
    bool leaves_data = false;
    bool is_emitted = true; // no guess was wrong

    [[nodiscard]] Label leave_run() {
        if (!leave.isValid()) {
            leave = as.newLabel();
        }
        return leave;
    }
};

// What the emitter knows of a block.
struct PlacedBlock {
    Label label{};           // once something jumps to it
    std::size_t offset = 0;  // of its code
    std::uint32_t begin = 0; // guessed, like `end`
    std::uint32_t end = 0;
    bool is_empty = false;
    bool is_aligned = false;
    bool is_emitted = false;
};

class FunctionEmitter {
  public:
    FunctionEmitter(Function& fn, const Allocation& places, Shared& shared,
                    const std::function<void(std::size_t)>& note)
        : fn_(fn), places_(places), shared_(shared), as_(shared.as), map_(shared.map),
          stack_(shared.stack), note_(note) {}

    void run() {
        blocks_.resize(fn_.blocks.size());
        find_empty();
        choose_aligned();
        measure();
        if (note_) { // a listing shows where all blocks begin
            for (const BlockId block : fn_.layout) {
                blocks_[block].label = as_.newLabel();
            }
        }
        const std::size_t described = map_ != nullptr ? map_->functions().size() : 0;
        if (map_ != nullptr) {
            map_->begin(here(), function_name(fn_.code->program, fn_.code->subprogs[fn_.subprog]));
            map_->place(here(), fn_.code->insn_of(fn_.code->subprogs[fn_.subprog]));
        }
        prologue();
        for (std::size_t i = 0; i < fn_.layout.size(); ++i) {
            block_ = placed_ = fn_.layout[i];
            next_place_ = i + 1;
            next_ = next_place_ < fn_.layout.size() ? fn_.layout[next_place_] : kNoBlock;
            if (!is_empty(block_)) {
                emit_block();
            }
        }
        if (map_ != nullptr && !cold_.empty()) {
            map_->begin_cold(here(), described);
        }
        for (const auto& emit_cold : cold_) {
            emit_cold();
        }
    }

  private:
    [[nodiscard]] std::uint32_t here() const { return std::uint32_t(as_.offset()); }

    // Frame.

    // The frame, and where everything will be, more or less.
    void measure() {
        saved_ = places_.used_regs & kSavedByCallee;
        if (fn_.anchor != Anchor::None) {
            saved_ &= ~(1U << kAnchorReg);
        }
        std::uint32_t at = 0;
        for (const BlockId block : fn_.layout) {
            at += blocks_[block].is_aligned ? kLoopAlignment / 2 : 0;
            blocks_[block].begin = at;
            constexpr std::uint32_t kMove = 4;
            at += kMove * std::uint32_t(places_.count_block_moves(block) + moves_in(block));
            for (ValueId id = fn_.blocks[block].first; id != 0; id = fn_[id].next) {
                at += bytes_of(id);
            }
            blocks_[block].end = at;
        }
        room_ = (places_.uses_frame ? fn_.frame_bytes : 0) + 8 * places_.slots;
        frame_top_ = std::int32_t(room_);
        const std::uint32_t pushed = 8 + 8 * std::uint32_t(std::popcount(saved_));
        if (places_.has_calls || room_ != 0) {
            room_ += (16 - (pushed + room_) % 16) % 16;
        }
    }

    void prologue() {
        for (unsigned reg = 0; reg < kMachineRegs; ++reg) {
            if ((saved_ >> reg & 1) != 0) {
                stack_.push(gp(reg));
            }
        }
        if (room_ != 0) {
            stack_.grow(room_);
        }
        if (map_ != nullptr) {
            map_->begin_body(here());
        }
        Vec<Move> moves;
        for (const ValueId id : places_.params) {
            moves.push_back({0, {Place::Kind::Reg, param_reg(fn_, fn_[id])}, places_.made_in(id)});
        }
        move_all(std::move(moves));
        for (const ValueId id : places_.params) {
            store_if_spilled(id);
        }
    }

    void epilogue() {
        if (room_ != 0) {
            stack_.shrink(room_);
        }
        for (unsigned reg = kMachineRegs; reg-- > 0;) {
            if ((saved_ >> reg & 1) != 0) {
                stack_.pop(gp(reg));
            }
        }
    }

    [[nodiscard]] x86::Mem slot_at(std::uint32_t slot) const {
        return x86::qword_ptr(x86::rsp, std::int32_t(8 * slot));
    }

    void store_if_spilled(ValueId id) {
        if (places_.is_stored(id) && places_.made_in(id).is_reg()) {
            as_.mov(slot_at(places_.slot_of(id)), gp(places_.made_in(id).number));
        }
    }

    // Moves.

    void load_const(const x86::Gp& reg, std::uint64_t value) {
        if (value == 0) {
            as_.xor_(reg.r32(), reg.r32());
        } else {
            move_const(reg, value);
        }
    }
    // Leaves flags alone.
    void move_const(const x86::Gp& reg, std::uint64_t value) {
        if (value <= 0xffff'ffff) {
            as_.mov(reg.r32(), value);
        } else {
            as_.mov(reg, value); // sign extended if that is enough
        }
    }

    void load_value(const x86::Gp& reg, ValueId value) {
        const Node& node = fn_[value];
        if (node.kind == Kind::Frame) {
            as_.lea(reg, x86::ptr(x86::rsp, frame_top_ + std::int32_t(node.imm)));
        } else {
            load_const(reg, std::uint64_t(node.imm));
        }
    }

    void move(const Place& from, const Place& to) {
        if (to.is_reg()) {
            switch (from.kind) {
            case Place::Kind::Reg:
                as_.mov(gp(to.number), gp(from.number));
                return;
            case Place::Kind::Slot:
                as_.mov(gp(to.number), slot_at(from.number));
                return;
            case Place::Kind::Const:
                load_value(gp(to.number), from.number);
                return;
            case Place::Kind::None:
            case Place::Kind::Split:
                return;
            }
        }
        const x86::Mem slot = slot_at(to.number);
        if (from.is_reg()) {
            as_.mov(slot, gp(from.number));
        } else if (from.kind == Place::Kind::Slot) {
            as_.movq(x86::xmm0, slot_at(from.number));
            as_.movq(slot, x86::xmm0);
        } else if (from.kind == Place::Kind::Const) {
            const Node& node = fn_[from.number];
            if (node.kind == Kind::Const && is_imm32(node.imm)) {
                as_.mov(slot, node.imm);
            } else {
                load_value(gp(kScratch), from.number);
                as_.mov(slot, gp(kScratch));
            }
        }
    }

    // All at once. Constants come last: nothing reads them.
    void move_all(std::span<const Move> moves) {
        if (moves.size() == 1) {
            move(moves.front().from, moves.front().to);
        } else if (!moves.empty()) {
            move_all(Vec<Move>(moves.begin(), moves.end()));
        }
    }
    void move_all(Vec<Move> moves) {
        std::erase_if(moves, [](const Move& m) { return m.from == m.to; });
        while (!moves.empty()) {
            const auto is_read = [&](const Move& done) {
                return std::ranges::any_of(moves, [&](const Move& other) {
                    return &other != &done && other.from == done.to;
                });
            };
            const auto free = std::ranges::find_if_not(moves, is_read);
            if (free != moves.end()) {
                move(free->from, free->to);
                moves.erase(free);
                continue;
            }
            // A cycle: what the first overwrites is read from the scratch register from now on.
            const Place kept{Place::Kind::Reg, kScratch};
            const Place overwritten = moves.front().to;
            move(overwritten, kept);
            for (Move& other : moves) {
                if (other.from == overwritten) {
                    other.from = kept;
                }
            }
        }
    }

    void moves_at(Position at) {
        const std::size_t first = next_move_;
        while (next_move_ < places_.moves.size() && places_.moves[next_move_].at <= at) {
            ++next_move_;
        }
        if (next_move_ != first) {
            move_all(std::span(places_.moves).subspan(first, next_move_ - first));
        }
    }

    // Operands.

    [[nodiscard]] bool is_floating(ValueId id) const { return fn_[id].block == kNoBlock; }
    [[nodiscard]] x86::Gp reg_of(ValueId value) const {
        const Place place = places_.place_of(value, at_);
        EBPFVM_ASSERT(place.is_reg());
        return gp(place.number);
    }
    [[nodiscard]] x86::Gp dst() const { return gp(places_.made_in(id_).number); }
    [[nodiscard]] x86::Gp arg(unsigned i) const { return reg_of(fn_[id_].args[i]); }
    [[nodiscard]] bool is_imm(unsigned i) const { return is_floating(fn_[id_].args[i]); }
    [[nodiscard]] std::int64_t imm(unsigned i) const { return fn_[fn_[id_].args[i]].imm; }

    // dst = args[i], without touching flags.
    void begin_with(unsigned i, Width width = Width::W64) {
        if (is_imm(i)) {
            move_const(dst(), std::uint64_t(imm(i)));
        } else if (dst() != arg(i)) {
            as_.mov(sized(dst(), width), sized(arg(i), width));
        }
    }

    [[nodiscard]] x86::Mem address(const Node& node) const {
        const ValueId base = node.args[0];
        const auto off = std::int32_t(node.imm);
        if (fn_[base].kind == Kind::Frame && is_floating(base)) {
            const std::int32_t at = frame_top_ + std::int32_t(fn_[base].imm) + off;
            if (node.args[1] != 0) {
                return x86::ptr(x86::rsp, reg_of(node.args[1]), node.scale, at, node.size);
            }
            return x86::ptr(x86::rsp, at, node.size);
        }
        if (node.args[1] != 0) {
            return x86::ptr(reg_of(base), reg_of(node.args[1]), node.scale, off, node.size);
        }
        return x86::ptr(reg_of(base), off, node.size);
    }

    // Blocks.

    // Blocks without code.
    void find_empty() {
        for (const BlockId block : fn_.layout) {
            blocks_[block].is_empty = block != 0 &&
                                      fn_[fn_.blocks[block].first].kind == Kind::Jump &&
                                      places_.count_block_moves(block) == 0;
        }
    }
    [[nodiscard]] bool is_empty(BlockId block) const { return blocks_[block].is_empty; }
    // Where a jump to the block ends up.
    [[nodiscard]] BlockId end_of(BlockId block) const {
        for (unsigned steps = 0; is_empty(block) && steps < 64; ++steps) {
            block = fn_.blocks[block].succs.front();
        }
        return block;
    }
    // Most blocks need no label: nothing jumps to them.
    [[nodiscard]] Label label_of(BlockId block) {
        const BlockId target = end_of(block);
        Label& label = blocks_[target].label;
        if (!label.isValid()) {
            label = as_.newLabel();
            if (blocks_[target].is_emitted) {
                as_.code()->bindLabel(label, as_.currentSection()->id(), blocks_[target].offset);
            }
        }
        return label;
    }
    // Does control get there by itself?
    [[nodiscard]] bool is_next(BlockId block) const {
        const BlockId target = end_of(block);
        BlockId next = next_;
        std::size_t place = next_place_;
        while (next != kNoBlock && next != target && is_empty(next)) {
            ++place;
            next = place < fn_.layout.size() ? fn_.layout[place] : kNoBlock;
        }
        return next == target;
    }

    void emit_block() {
        if (blocks_[block_].is_aligned) {
            as_.align(asmjit::AlignMode::kCode, kLoopAlignment);
        }
        blocks_[block_].offset = here();
        blocks_[block_].is_emitted = true;
        if (blocks_[block_].label.isValid()) {
            bind(blocks_[block_].label);
        }
        at_ = places_.block_begin[block_];
        next_move_ = std::size_t(std::ranges::lower_bound(places_.moves, at_, {}, &Move::at) -
                                 places_.moves.begin());
        move_all(places_.entries(block_));
        for (id_ = fn_.blocks[block_].first; id_ != 0; id_ = fn_[id_].next) {
            const Node& node = fn_[id_];
            if (node.kind == Kind::Phi) {
                store_if_spilled(id_);
                continue;
            }
            at_ += kStep;
            moves_at(at_);
            note_place(node);
            emit_node(node);
            if (places_.is_stored(id_) && !is_param(fn_, node)) {
                store_if_spilled(id_);
            }
        }
    }

    // The first blocks of innermost loops, unless they are all of it: those run as fast anywhere.
    void choose_aligned() {
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
    [[nodiscard]] std::size_t moves_in(BlockId block) const {
        if (places_.moves.empty()) {
            return 0;
        }
        const auto place_of = [&](Position at) {
            return std::ranges::lower_bound(places_.moves, at, {}, &Move::at);
        };
        return std::size_t(place_of(places_.block_end[block]) -
                           place_of(places_.block_begin[block]));
    }
    // What a kind of node takes, and what comes on top.
    struct Bytes {
        std::uint8_t least = 4;
        bool adds_imms = false;
        bool adds_move = false; // of an argument to the result's register
    };
    [[nodiscard]] static constexpr Bytes bytes_of(Kind kind) {
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
    [[nodiscard]] std::uint32_t bytes_of(ValueId id) const {
        static constexpr auto kBytes = by_kind([](Kind kind) { return bytes_of(kind); });
        const Node& node = fn_[id];
        const Bytes bytes = kBytes[std::size_t(node.kind)];
        std::uint32_t sum = bytes.least + (places_.is_stored(id) ? 5 : 0);
        if (bytes.adds_imms) {
            sum += bytes_of_imms(node);
            if (bytes.adds_move) {
                const ValueId from = node.args[0];
                sum += from != 0 && places_.made_in(id) != places_.made_in(from) ? 2 : 0;
            } else if (is_access(node.kind)) {
                sum += bytes_of_imm(node.imm);
            }
        } else if (node.kind == Kind::Const) {
            sum += bytes_of_const(node.imm);
        } else if (node.kind == Kind::Return) {
            sum += 2 * std::uint32_t(std::popcount(saved_));
        } else if (is_call(node.kind)) {
            sum += 8 * node.args[1];
        }
        return sum;
    }
    [[nodiscard]] static std::uint32_t bytes_of_const(std::int64_t value) {
        return value == 0 ? 2 : std::uint64_t(value) <= 0xffff'ffff ? 5 : is_imm32(value) ? 7 : 10;
    }
    [[nodiscard]] static std::uint32_t bytes_of_imm(std::int64_t value) {
        return value == std::int8_t(value) ? 1 : 4;
    }
    [[nodiscard]] std::uint32_t bytes_of_imms(const Node& node) const {
        std::uint32_t bytes = 0;
        for (const ValueId arg : node.args) {
            if (arg != 0 && is_floating(arg)) {
                bytes += bytes_of_imm(fn_[arg].imm);
            }
        }
        return bytes;
    }

    // A label that a short jump may lead to.
    void bind(const Label& label) { shared_.is_emitted &= as_.bind(label) == asmjit::kErrorOk; }
    // Jumps forward get one byte for the distance if that will do by the guess, and is rarely not
    // enough: then everything is emitted again.
    [[nodiscard]] bool is_near(BlockId block) const {
        const std::uint32_t from = blocks_[placed_].end;
        const std::uint32_t to = blocks_[end_of(block)].begin;
        return shared_.guesses && from <= to && to - from <= kNear;
    }
    void jump(BlockId block) {
        if (is_near(block)) {
            as_.short_();
        }
        as_.jmp(label_of(block));
    }
    void jump_if(x86::CondCode condition, BlockId block) {
        if (is_near(block)) {
            as_.short_();
        }
        as_.j(condition, label_of(block));
    }

    // To what the last of cold_ will emit.
    void jump_cold(x86::CondCode condition, const Label& label) {
        constexpr std::uint32_t kCold = 30;
        const std::uint32_t end =
            blocks_[fn_.layout.back()].end + kCold * std::uint32_t(cold_.size());
        if (shared_.guesses && end - blocks_[placed_].end <= kNear) {
            as_.short_();
        }
        as_.j(condition, label);
    }

    void jump_to(BlockId block) {
        if (!is_next(block)) {
            jump(block);
        }
    }

    // What ends a turn of a loop, and is nothing but a branch, is done here at once: one jump less.
    void jump_or_branch(BlockId block) {
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
    [[nodiscard]] bool is_only_branch(BlockId block) const {
        const Block& target = fn_.blocks[block];
        if (target.loop == kNoBlock || fn_[target.last].kind != Kind::Branch) {
            return false;
        }
        for (ValueId id = target.first; id != target.last; id = fn_[id].next) {
            if (fn_[id].kind != Kind::Phi || places_.is_stored(id)) {
                return false;
            }
        }
        const auto move =
            std::ranges::lower_bound(places_.moves, places_.block_begin[block], {}, &Move::at);
        return move == places_.moves.end() || move->at > position_of_end(block);
    }
    [[nodiscard]] Position position_of_end(BlockId block) const {
        return places_.block_end[block] - kStep;
    }

    void note_place(const Node& node) {
        if (note_) {
            note_(node.slot);
        }
        if (map_ != nullptr) {
            map_->place(here(), fn_.code->insn_of(node.slot));
        }
    }

    void emit_node(const Node& node) {
        switch (node.kind) {
        case Kind::None:
        case Kind::Forward:
        case Kind::Phi:
        case Kind::Param:
            return;
        case Kind::Const:
        case Kind::Frame:
            return load_value(dst(), id_);
        case Kind::HostCtx:
            return host_ctx();
        case Kind::Add:
            return add(node);
        case Kind::Sub:
            begin_with(0, node.width);
            return operate(x86::Inst::kIdSub, node, 1);
        case Kind::Mul:
            return multiply(node);
        case Kind::And:
            return commutative(x86::Inst::kIdAnd, node);
        case Kind::Or:
            return commutative(x86::Inst::kIdOr, node);
        case Kind::Xor:
            return commutative(x86::Inst::kIdXor, node);
        case Kind::Shl:
        case Kind::Shr:
        case Kind::Sar:
        case Kind::Rotl:
            return shift(node);
        case Kind::MulHigh:
            begin_in(x86::rax, 0, Width::W64);
            as_.mul(arg(1));
            return end_in(x86::rdx, Width::W64);
        case Kind::Udiv:
        case Kind::Umod:
        case Kind::Sdiv:
        case Kind::Smod:
            return divide(node);
        case Kind::Neg:
            begin_with(0, node.width);
            as_.neg(sized(dst(), node.width));
            return;
        case Kind::Not:
            begin_with(0, node.width);
            as_.not_(sized(dst(), node.width));
            return;
        case Kind::Zext:
            return zero_extend(node);
        case Kind::Sext:
            return sign_extend(node);
        case Kind::Bswap:
            return swap_bytes(node);
        case Kind::Select:
            return select(node);
        case Kind::Load:
            return load(node);
        case Kind::Store:
            return store(node);
        case Kind::Atomic:
            return atomic(node);
        case Kind::Fetch:
            return fetch(node);
        case Kind::Exchange:
            begin_with(2);
            as_.xchg(address(node), low(dst(), node.size));
            return;
        case Kind::CompareExchange:
            begin_in(x86::rax, 3, Width::W64);
            as_.lock();
            as_.cmpxchg(address(node), low(arg(2), node.size), low(x86::rax, node.size));
            if (node.size == 4) {
                as_.mov(dst().r32(), x86::eax); // if they were equal, nothing was written to it
                return;
            }
            return end_in(x86::rax, Width::W64);
        case Kind::StateField:
            as_.mov(low(dst(), node.size), state_field(int(node.imm), node.size));
            return;
        case Kind::CallHelper:
            return call_helper(node);
        case Kind::CallLocal:
            return call_local(node);
        case Kind::CallThunk:
            move_args(node);
            as_.mov(kFirstArg, kState);
            call_address(std::uint64_t(node.imm));
            return end_in(x86::rax, Width::W64);
        case Kind::Find:
            move_args(node);
            as_.mov(x86::rdi, node.imm);
            as_.call(find_of(*reinterpret_cast<const exec::HashLookup*>(node.imm)));
            return end_in(x86::rax, Width::W64);
        case Kind::Jump:
            move_all(places_.edges(block_));
            return jump_or_branch(end_of(fn_.blocks[block_].succs.front()));
        case Kind::Branch:
            return branch(node);
        case Kind::Switch:
            return jump_by_table(node);
        case Kind::Return:
            return leave(node);
        case Kind::TailCall:
            return tail_call(node);
        }
    }

    void host_ctx() {
        if (fn_.anchor == Anchor::HostCtx) {
            as_.mov(dst(), kState);
        } else if (fn_.anchor == Anchor::State) {
            as_.mov(dst(), state_field(offsets::kCtx));
        }
    }

    // Arithmetic.

    void operate(asmjit::InstId id, const Node& node, unsigned i) {
        const x86::Gp to = sized(dst(), node.width);
        if (is_imm(i)) {
            as_.emit(id, to, asmjit::imm(std::int32_t(imm(i))));
        } else {
            as_.emit(id, to, sized(arg(i), node.width));
        }
    }

    void commutative(asmjit::InstId id, Node node) {
        if (is_imm(1)) {
            if (id == x86::Inst::kIdAnd && std::uint64_t(imm(1)) <= 0xffff'ffff) {
                node.width = Width::W32; // the upper half becomes zero
            }
            begin_with(0, node.width);
            return operate(id, node, 1);
        }
        if (!is_imm(0) && dst() == arg(1)) {
            return operate(id, node, 0);
        }
        begin_with(0, node.width);
        operate(id, node, 1);
    }

    void add(const Node& node) {
        const x86::Gp to = sized(dst(), node.width);
        if (is_imm(1)) {
            if (dst() == arg(0) && imm(1) == 1) {
                as_.inc(to);
            } else if (dst() == arg(0) && std::int32_t(imm(1)) == -1) {
                as_.dec(to);
            } else if (dst() == arg(0)) {
                operate(x86::Inst::kIdAdd, node, 1);
            } else {
                as_.lea(to, x86::ptr(arg(0), std::int32_t(imm(1))));
            }
        } else if (dst() == arg(0)) {
            as_.add(to, sized(arg(1), node.width));
        } else if (dst() == arg(1)) {
            as_.add(to, sized(arg(0), node.width));
        } else {
            as_.lea(to, x86::ptr(arg(0), arg(1)));
        }
    }

    void multiply(const Node& node) {
        const x86::Gp to = sized(dst(), node.width);
        if (is_imm(1)) {
            const std::int64_t factor = imm(1);
            if (factor == 3 || factor == 5 || factor == 9) {
                as_.lea(to, x86::ptr(arg(0), arg(0), factor == 3 ? 1 : factor == 5 ? 2 : 3));
            } else {
                as_.imul(to, sized(arg(0), node.width), std::int32_t(factor));
            }
        } else if (dst() == arg(1)) {
            as_.imul(to, sized(arg(0), node.width));
        } else {
            begin_with(0, node.width);
            as_.imul(to, sized(arg(1), node.width));
        }
    }

    void shift(const Node& node) {
        const x86::Gp to = sized(dst(), node.width);
        if (is_imm(1)) {
            return shift_by(node, to, unsigned(imm(1)));
        }
        if (!shared_.cpu.has_bmi2) {
            as_.mov(x86::rcx, arg(1));
            begin_with(0);
            if (node.kind == Kind::Shl) {
                as_.shl(to, x86::cl);
            } else if (node.kind == Kind::Shr) {
                as_.shr(to, x86::cl);
            } else {
                as_.sar(to, x86::cl);
            }
            if (node.width == Width::W32) {
                as_.mov(to, to); // a shift by 0 leaves the high half alone
            }
            return;
        }
        x86::Gp from = dst();
        if (is_imm(0)) {
            begin_with(0);
        } else {
            from = arg(0);
        }
        from = sized(from, node.width);
        const x86::Gp count = sized(arg(1), node.width);
        if (node.kind == Kind::Shl) {
            as_.shlx(to, from, count);
        } else if (node.kind == Kind::Shr) {
            as_.shrx(to, from, count);
        } else {
            as_.sarx(to, from, count);
        }
    }

    void shift_by(const Node& node, const x86::Gp& to, unsigned count) {
        if (node.kind == Kind::Rotl) {
            const unsigned width = node.width == Width::W64 ? 64 : 32;
            if (shared_.cpu.has_bmi2 && dst() != arg(0)) {
                as_.rorx(to, sized(arg(0), node.width), width - count);
                return;
            }
            begin_with(0, node.width);
            as_.rol(to, count);
            return;
        }
        if (node.kind == Kind::Shl && count == 1 && dst() != arg(0)) {
            as_.lea(to, x86::ptr(arg(0), arg(0)));
            return;
        }
        begin_with(0, node.width);
        if (node.kind == Kind::Shl) {
            as_.shl(to, count);
        } else if (node.kind == Kind::Shr) {
            as_.shr(to, count);
        } else {
            as_.sar(to, count);
        }
    }

    // Operations that work in rax and rdx.
    void begin_in(const x86::Gp& reg, unsigned i, Width width) {
        const Place from = places_.place_of(fn_[id_].args[i], at_);
        if (!from.is_reg()) {
            move(from, {Place::Kind::Reg, reg.id()});
        } else if (width == Width::W32 || gp(from.number) != reg) {
            as_.mov(sized(reg, width), sized(gp(from.number), width));
        }
    }
    void end_in(const x86::Gp& reg, Width width) {
        if (dst() != reg) {
            as_.mov(sized(dst(), width), sized(reg, width));
        }
    }

    void divide(const Node& node) {
        const bool is_signed = node.kind == Kind::Sdiv || node.kind == Kind::Smod;
        const bool wants_quotient = node.kind == Kind::Udiv || node.kind == Kind::Sdiv;
        const Width width = node.width;
        const x86::Gp divisor = arg(1);
        const Label done = as_.newLabel();
        begin_in(x86::rax, 0, width);
        divide_by_zero(width, divisor, wants_quotient, done);
        if (is_signed) {
            divide_by_minus_one(width, divisor, wants_quotient, done);
            if (width == Width::W64) {
                as_.cqo();
            } else {
                as_.cdq();
            }
            as_.idiv(sized(divisor, width));
        } else {
            if (width == Width::W64 && !shared_.cpu.divides_fast) {
                divide_small(divisor, done);
            }
            as_.xor_(x86::edx, x86::edx);
            as_.div(sized(divisor, width));
        }
        as_.bind(done);
        end_in(wants_quotient ? x86::rax : x86::rdx, Width::W64);
    }

    // x / 0 == 0, x % 0 == x.
    void divide_by_zero(Width width, const x86::Gp& divisor, bool wants_quotient,
                        const Label& done) {
        const Label by_zero = as_.newLabel();
        as_.test(sized(divisor, width), sized(divisor, width));
        jump_cold(x86::CondCode::kZero, by_zero);
        cold_.push_back([=, this] {
            bind(by_zero);
            if (wants_quotient) {
                as_.xor_(x86::eax, x86::eax);
            } else {
                as_.mov(sized(x86::rdx, width), sized(x86::rax, width));
            }
            as_.jmp(done);
        });
    }

    // Which idiv does not do to the smallest number.
    void divide_by_minus_one(Width width, const x86::Gp& divisor, bool wants_quotient,
                             const Label& done) {
        const Label by_minus_one = as_.newLabel();
        as_.cmp(sized(divisor, width), -1);
        jump_cold(x86::CondCode::kEqual, by_minus_one);
        cold_.push_back([=, this] {
            bind(by_minus_one);
            if (wants_quotient) {
                as_.neg(sized(x86::rax, width));
            } else {
                as_.xor_(x86::edx, x86::edx);
            }
            as_.jmp(done);
        });
    }

    // Two numbers of 32 bits are divided faster as such.
    void divide_small(const x86::Gp& divisor, const Label& done) {
        const Label small = as_.newLabel();
        as_.mov(gp(kScratch), x86::rax);
        as_.or_(gp(kScratch), divisor);
        as_.shr(gp(kScratch), 32);
        jump_cold(x86::CondCode::kZero, small);
        cold_.push_back([=, this] {
            bind(small);
            as_.xor_(x86::edx, x86::edx);
            as_.div(divisor.r32());
            as_.jmp(done);
        });
    }

    void zero_extend(const Node& node) {
        if (node.size == 1) {
            as_.movzx(dst().r32(), arg(0).r8());
        } else if (node.size == 2) {
            as_.movzx(dst().r32(), arg(0).r16());
        } else {
            as_.mov(dst().r32(), arg(0).r32());
        }
    }

    void sign_extend(const Node& node) {
        const x86::Gp to = sized(dst(), node.width);
        if (node.size == 1) {
            as_.movsx(to, arg(0).r8());
        } else if (node.size == 2) {
            as_.movsx(to, arg(0).r16());
        } else if (node.width == Width::W64) {
            as_.movsxd(to, arg(0).r32());
        } else {
            as_.mov(to, arg(0).r32());
        }
    }

    void swap_bytes(const Node& node) {
        begin_with(0);
        swap_dst(node.size);
    }
    void swap_dst(unsigned size) {
        if (size == 2) {
            as_.rol(dst().r16(), 8);
            as_.movzx(dst().r32(), dst().r16());
        } else if (size == 4) {
            as_.bswap(dst().r32());
        } else {
            as_.bswap(dst());
        }
    }

    void compare(const Node& node) {
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

    void select(const Node& node) {
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

    // Memory.

    void load(const Node& node) {
        const x86::Mem at = address(node);
        if (node.is_signed) {
            if (node.size == 4) {
                as_.movsxd(dst(), at);
            } else {
                as_.movsx(dst(), at);
            }
        } else if (node.size < 4) {
            as_.movzx(dst().r32(), at);
        } else {
            as_.mov(low(dst(), node.size), at);
        }
    }

    void store(const Node& node) {
        const x86::Mem at = address(node);
        if (!is_imm(2)) {
            as_.mov(at, low(arg(2), node.size));
            return;
        }
        const auto value = std::uint64_t(imm(2));
        if (node.size == 8) {
            as_.mov(at, asmjit::imm(imm(2)));
        } else {
            as_.mov(at, asmjit::imm(value & ((std::uint64_t{1} << (8 * node.size)) - 1)));
        }
    }

    void atomic(const Node& node) {
        const x86::Mem at = address(node);
        const x86::Gp value = low(arg(2), node.size);
        as_.lock();
        switch (node.alu) {
        case isa::AluOp::Add:
            as_.add(at, value);
            return;
        case isa::AluOp::Or:
            as_.or_(at, value);
            return;
        case isa::AluOp::And:
            as_.and_(at, value);
            return;
        default: // there is no other
            as_.xor_(at, value);
            return;
        }
    }

    void fetch(const Node& node) {
        const x86::Mem at = address(node);
        if (node.alu == isa::AluOp::Add) {
            begin_with(2);
            as_.lock();
            as_.xadd(at, low(dst(), node.size));
            return;
        }
        const x86::Gp old = low(x86::rax, node.size);
        const x86::Gp result = low(gp(kScratch), node.size);
        const x86::Gp value = low(arg(2), node.size);
        const Label again = as_.newLabel();
        as_.mov(old, at);
        as_.bind(again);
        as_.mov(result, old);
        if (node.alu == isa::AluOp::Or) {
            as_.or_(result, value);
        } else if (node.alu == isa::AluOp::And) {
            as_.and_(result, value);
        } else {
            as_.xor_(result, value);
        }
        as_.lock();
        as_.cmpxchg(at, result, old);
        as_.jne(again);
        end_in(x86::rax, Width::W64);
    }

    // Control.

    void branch(const Node& node) {
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

    void jump_by_table(const Node& node) {
        const Vec<std::uint32_t>& table = fn_.tables[std::size_t(node.imm)];
        const auto& succs = fn_.blocks[block_].succs;
        const Node& index = fn_[node.args[0]];
        if (index.bits >= 64 || std::uint64_t{1} << index.bits > table.size()) {
            as_.cmp(arg(0), std::uint32_t(table.size()));
            jump_if(x86::CondCode::kUnsignedGE, succs.front());
        }
        const Label begin = as_.newLabel();
        as_.lea(gp(kScratch), x86::ptr(begin));
        as_.jmp(x86::ptr(gp(kScratch), arg(0), 3));
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

    void leave(const Node& node) {
        const Place from = places_.place_of(node.args[0], at_);
        const Place rax{Place::Kind::Reg, kRax};
        if (from != rax) {
            move(from, rax);
        }
        if (saved_ == 0 && room_ == 0) {
            as_.ret();
        } else if (exit_.isValid()) {
            as_.jmp(exit_);
        } else {
            exit_ = as_.newLabel();
            as_.bind(exit_);
            const std::uint32_t depth = stack_.depth();
            epilogue();
            as_.ret();
            stack_.resume(depth);
        }
    }

    void call_address(std::uint64_t function) {
        as_.mov(x86::rax, function);
        as_.call(x86::rax);
    }

    // A listing has no memory, and shows no addresses in it.
    [[nodiscard]] std::uint64_t find_of(const exec::HashLookup& lookup) const {
        return shared_.memory != nullptr ? address_of(shared_.memory->find(lookup.view)) : 0;
    }

    void move_args(const Node& node) {
        Vec<Move> moves;
        const auto args = fn_.list(node);
        for (std::size_t i = 0; i < args.size(); ++i) {
            moves.push_back({at_, places_.place_of(args[i], at_), {Place::Kind::Reg, kArgRegs[i]}});
        }
        move_all(std::move(moves));
    }

    // Arguments to where C++ functions find them.
    void store_args(const Node& node) {
        const auto args = fn_.list(node);
        for (std::size_t i = 0; i < args.size(); ++i) {
            Place from = places_.place_of(args[i], at_);
            if (!from.is_reg()) {
                const Place scratch{Place::Kind::Reg, kScratch};
                move(from, scratch);
                from = scratch;
            }
            as_.mov(state_field(offsets::kCallRegs + int(8 * (i + 1))), gp(from.number));
        }
    }

    [[nodiscard]] const exec::Slot& slot_of(const Node& node) const {
        return fn_.code->slots[node.slot];
    }

    void call_thunk(std::uint64_t thunk, const exec::Slot& slot) {
        as_.mov(x86::rdi, kState);
        as_.mov(x86::rsi, address_of(&slot));
        call_address(thunk);
    }

    void call_helper(const Node& node) {
        const auto& helper = *reinterpret_cast<const Helper*>(node.imm);
        if (!fn_.code->maps_of_maps.empty()) {
            store_args(node);
            call_thunk(address_of(jit::call_helper), slot_of(node));
            as_.test(x86::al, x86::al);
            as_.jz(shared_.leave_run());
            as_.mov(dst(), state_field(offsets::kCallRegs));
            return;
        }
        move_args(node);
        if (helper.use != CallUse::None) {
            pass_context(helper);
        }
        call_address(address_of(helper.fn));
        if (helper.use == CallUse::Any) {
            check_abort(slot_of(node));
        }
        end_in(x86::rax, Width::W64);
    }
    void pass_context(const Helper& helper) {
        if (helper.data != nullptr) {
            as_.mov(x86::rax, address_of(helper.data.get()));
            as_.mov(state_field(offsets::kData), x86::rax);
        } else if (shared_.leaves_data) {
            as_.mov(state_field(offsets::kData), 0);
        }
        as_.mov(kFirstArg, kState);
    }
    void check_abort(const exec::Slot& slot) {
        as_.cmp(state_field(offsets::kAbortReason), 0);
        const Label failed = as_.newLabel();
        jump_cold(x86::CondCode::kNotZero, failed);
        cold_.push_back([this, failed, &slot] {
            bind(failed);
            as_.mov(x86::rdi, kState);
            as_.mov(x86::esi, std::uint32_t(&slot - fn_.code->slots.data()));
            as_.mov(x86::edx, std::uint32_t(Stop::Abort));
            call_address(address_of(stop_run));
            as_.jmp(shared_.leave_run());
        });
    }

    void call_local(const Node& node) {
        move_args(node);
        as_.call(shared_.subprogs[std::size_t(node.imm)]);
        if (shared_.has_tail_calls) { // another program may have run in the callee's place
            const Label is_same = as_.newLabel();
            as_.mov(x86::rsi, address_of(fn_.code));
            as_.cmp(state_field(offsets::kCode), x86::rsi);
            as_.short_().je(is_same);
            as_.mov(state_field(offsets::kValue), x86::rax);
            as_.mov(x86::rdi, kState);
            call_address(address_of(return_to));
            as_.mov(x86::rax, state_field(offsets::kValue));
            as_.bind(is_same);
        }
        end_in(x86::rax, Width::W64);
    }

    void tail_call(const Node& node) {
        store_args(node);
        call_thunk(address_of(jit::tail_call), slot_of(node));
        as_.cmp(x86::rax, 1);
        jump_if(x86::CondCode::kEqual, fn_.blocks[block_].succs.front());
        const std::uint32_t depth = stack_.depth();
        epilogue();
        as_.mov(kFirstArg, state_field(offsets::kCtx));
        as_.mov(gp(kArgRegs[0]), state_field(offsets::kCtxAddress));
        as_.jmp(x86::rax);
        stack_.resume(depth);
    }

    static constexpr std::uint32_t kLoopAlignment = 32;
    static constexpr std::uint32_t kNear = 110;

    Function& fn_;
    const Allocation& places_;
    Shared& shared_;
    x86::Assembler& as_;
    CodeMap* map_;
    StackWriter& stack_;
    const std::function<void(std::size_t)>& note_;
    Vec<PlacedBlock> blocks_{};         // by block
    Vec<std::function<void()>> cold_{}; // code that is rarely run, behind the rest
    Label exit_{};
    std::uint32_t saved_ = 0; // registers, as bits
    std::uint32_t room_ = 0;  // bytes below the saved registers
    std::int32_t frame_top_ = 0;
    std::size_t next_move_ = 0;
    std::size_t next_place_ = 0;
    BlockId block_ = 0;
    BlockId placed_ = 0; // where code is emitted; differs from block_ in a copy of another's end
    BlockId next_ = kNoBlock;
    ValueId id_ = 0;
    Position at_ = 0;
};

// How the host gets into the program.
void emit_run_entries(Shared& shared, Anchor anchor, Entries& entries) {
    x86::Assembler& as = shared.as;
    const Label entry = entries.subprogs.front();
    entries.run = entry;
    switch (anchor) {
    case Anchor::State:
        if (shared.leave.isValid()) {
            if (shared.map != nullptr) {
                shared.map->begin_leaving(std::uint32_t(as.offset()), "ebpfvm_leave");
            }
            as.bind(shared.leave);
            as.mov(x86::rsp, state_field(offsets::kStackPointer));
            shared.stack.resume(CodeMap::kReturnAddress);
            as.ret();
        }
        return;
    case Anchor::None:
        entries.leaf = entry;
        return;
    case Anchor::HostCtx:
        entries.leaf = entries.run = as.newLabel();
        if (shared.map != nullptr) {
            shared.map->begin(std::uint32_t(as.offset()), "ebpfvm_enter_leaf");
        }
        as.bind(entries.leaf);
        shared.stack.push(kState);
        as.mov(kState, kFirstArg);
        as.mov(gp(kArgRegs[0]), kFirstArg);
        as.call(entry);
        shared.stack.pop(kState);
        as.ret();
        return;
    }
}

} // namespace

Entries emit(std::span<Function> functions, std::span<const Allocation> allocations,
             asmjit::CodeHolder& holder, const Cpu& cpu, const CodeMemory* memory,
             const std::function<void(std::size_t)>& note, CodeMap* map, Jumps jumps) {
    x86::Assembler as(&holder);
    as.addEncodingOptions(asmjit::EncodingOptions::kOptimizedAlign);
    const exec::Code& code = *functions.front().code;
    Entries entries;
    entries.subprogs.resize(code.subprogs.size());
    for (const Function& fn : functions) {
        entries.subprogs[fn.subprog] = as.newLabel();
    }
    Shared shared{.as = as,
                  .map = map,
                  .cpu = cpu,
                  .memory = memory,
                  .subprogs = entries.subprogs,
                  .guesses = jumps == Jumps::Guessed};
    shared.has_tail_calls = std::ranges::any_of(
        code.slots, [](const exec::Slot& slot) { return slot.op == exec::kOpTailCall; });
    shared.leaves_data = shared.has_tail_calls || has_data(code); // another program's, too
    for (std::size_t i = 0; i < functions.size(); ++i) {
        if (note) {
            note(code.slots.size());
        }
        as.bind(entries.subprogs[functions[i].subprog]);
        FunctionEmitter(functions[i], allocations[i], shared, note).run();
        if (note) {
            note(code.slots.size());
        }
    }
    emit_run_entries(shared, functions.front().anchor, entries);
    if (map != nullptr) {
        map->end(std::uint32_t(as.offset()));
    }
    entries.is_complete = shared.is_emitted;
    return entries;
}

} // namespace ebpfvm::jit::opt
