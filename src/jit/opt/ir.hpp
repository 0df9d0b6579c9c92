// The optimising tier's intermediate form: SSA values in a graph of blocks, one Function per
// subprogram that is not inlined.
#pragma once

#include "exec/code.hpp"
#include "isa/op_kind.hpp"
#include "jit/opt/scratch.hpp"
#include "jit/opt/short_list.hpp"

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>

namespace ebpfvm::jit::opt {

using isa::Width;

/// Index into Function::nodes; 0 is no value.
using ValueId = std::uint32_t;
/// Index into Function::blocks; 0 is the entry.
using BlockId = std::uint32_t;
inline constexpr BlockId kNoBlock = ~BlockId{0};
using BlockList = ShortList;

/// All values are 64 bits wide. An operation of Width::W32 looks at the low halves of its arguments
/// and zeroes the high half of its result.
enum class Kind : std::uint8_t {
    None,    ///< removed
    Forward, ///< replaced by args[0]
    // Leaves.
    Const,   ///< imm; in no block until constants are placed
    Param,   ///< BPF register `imm` (1..5) at entry
    Frame,   ///< address of the frame's upper end + imm
    HostCtx, ///< address of the host's context object
    Phi,     ///< a value of list() for each predecessor
    // args[0] op args[1].
    Add,
    Sub,
    Mul,
    MulHigh, ///< upper half of the unsigned 128-bit product
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Sar,
    Rotl, ///< by a constant
    Udiv, ///< BPF's: x / 0 == 0, x % 0 == x
    Umod,
    Sdiv,
    Smod,
    // One argument.
    Neg,
    Not,
    Zext,  ///< of the low `size` bytes
    Sext,  ///< of the low `size` bytes, to `width`
    Bswap, ///< of the low `size` bytes, zero extended
    /// args[2] if args[0] cond args[1], else args[3].
    Select,
    // Memory: address is args[0] + (args[1] << scale) + imm.
    Load,   ///< `size` bytes; is_signed: sign extended to 64 bits
    Store,  ///< the low `size` bytes of args[2]
    Atomic, ///< memory op= args[2]; `alu` says which
    Fetch,  ///< the same; the old value
    Exchange,
    CompareExchange, ///< args[3] is the value compared with
    StateField,      ///< `size` bytes of the RunState at imm
    // Calls: arguments are list().
    CallHelper, ///< imm: address of the Helper
    CallLocal,  ///< imm: index of the subprogram
    CallThunk,  ///< imm: address of a function of (RunState&, list()...)
    Find,       ///< imm: address of the HashLookup; see emit_finds()
    // Ends of blocks.
    Jump,
    Branch,   ///< to succs[0] if args[0] cond args[1], else to succs[1]
    Switch,   ///< to succs[tables[imm][args[0]]], or to succs[0] if that is outside the table
    Return,   ///< args[0]
    TailCall, ///< list(): r1..r3; leaves if there is a program, else to succs[0]
};

enum class Cond : std::uint8_t { Eq, Ne, Ult, Ule, Ugt, Uge, Slt, Sle, Sgt, Sge, Set, NotSet };

[[nodiscard]] Cond negate(Cond cond);
/// The condition with its arguments swapped.
[[nodiscard]] Cond swap(Cond cond);

// Of 64 bytes: to find one by its number takes a shift.
struct alignas(16) Node {
    Kind kind = Kind::None;
    Width width = Width::W64;
    Cond cond = Cond::Eq;
    std::uint8_t size = 0;
    std::uint8_t bits = 64; ///< the value is below 2^bits
    std::uint8_t scale = 0;
    bool is_signed = false;
    bool is_ordered = false; ///< memory: nothing moves across it
    isa::AluOp alu = isa::AluOp::Add;
    std::array<ValueId, 4> args{};
    std::uint32_t settled = 0;    ///< hash_of() it when simplify() had nothing more to say
    std::uint32_t changed_in = 0; ///< the last of Function::rounds that found it to be another
    std::int64_t imm = 0;
    BlockId block = kNoBlock;
    ValueId prev = 0;
    ValueId next = 0;
    std::uint32_t slot = 0; ///< of the program, for listings and faults
};

struct Block {
    ValueId first = 0;
    ValueId last = 0; ///< its end, once it has one
    BlockList preds{};
    BlockList succs{};
    // Set by find_loops().
    BlockId idom = kNoBlock;
    std::uint32_t rpo = 0;       ///< position in reverse postorder
    std::uint32_t dom_begin = 0; ///< of the subtree in the dominator tree, in preorder
    std::uint32_t dom_end = 0;
    BlockId loop = kNoBlock;      ///< header of the innermost loop around it
    std::uint16_t loop_depth = 0; ///< 0: in no loop
};

/// What the functions of a program keep in the register that survives all calls.
enum class Anchor : std::uint8_t {
    None,    ///< nothing: one function, which gets the context as a C function does
    HostCtx, ///< the host's context object
    State,   ///< the RunState
};

struct Function {
    const exec::Code* code = nullptr;
    std::uint32_t subprog = 0;
    Anchor anchor = Anchor::None;
    bool aligns_loops = false;
    std::uint32_t frame_bytes = 0; ///< of BPF stack, its own and of what is inlined
    ValueId known_bits = 0;        ///< clean() knows Node::bits of all phis below
    std::uint32_t rounds = 0;      ///< of clean() and tidy(), so far
    Vec<Node> nodes{1};
    Vec<Block> blocks{};
    Vec<BlockId> layout{}; ///< blocks in the order of machine code; only what is reachable
    Vec<ValueId> pool{};   ///< of lists
    Vec<Vec<std::uint32_t>> tables{}; ///< of Switches
    // Set by find_loops().
    bool has_order = false;     ///< it saw all edges that there are
    bool has_cycles = false;    ///< loops, or what has several headers
    Vec<BlockId> order{};       ///< reverse postorder
    Vec<BlockId> headers{};     ///< of loops, outer ones before inner ones
    Vec<BlockId> outer_loops{}; ///< by header: header of the loop around it

    [[nodiscard]] Node& operator[](ValueId id) { return nodes[id]; }
    [[nodiscard]] const Node& operator[](ValueId id) const { return nodes[id]; }

    BlockId add_block();
    void add_edge(BlockId from, BlockId to);
    /// At the end of the block.
    ValueId append(BlockId block, const Node& node);
    ValueId insert_before(ValueId place, const Node& node);
    ValueId insert_first(BlockId block, const Node& node);
    /// Takes it out of its block.
    void unlink(ValueId id);
    void remove(ValueId id);
    /// All uses of `id` mean `with` from now on; see resolve().
    void replace(ValueId id, ValueId with);

    [[nodiscard]] ValueId constant(std::uint64_t value);
    [[nodiscard]] bool is_const(ValueId id) const { return nodes[id].kind == Kind::Const; }
    [[nodiscard]] bool is_const(ValueId id, std::uint64_t value) const {
        return is_const(id) && std::uint64_t(nodes[id].imm) == value;
    }
    [[nodiscard]] std::uint64_t value_of(ValueId constant) const {
        return std::uint64_t(nodes[constant].imm);
    }

    /// Follows replacements.
    [[nodiscard]] ValueId resolve(ValueId id) {
        return nodes[id].kind == Kind::Forward ? follow(id) : id;
    }
    /// The one value that a phi always is, or itself. Resolves its values.
    [[nodiscard]] ValueId single_value(ValueId phi);
    /// Makes all arguments their replacements.
    void resolve_all();

    /// Phi and calls.
    [[nodiscard]] std::span<ValueId> list(const Node& node) {
        return {pool.data() + node.args[0], node.args[1]};
    }
    [[nodiscard]] std::span<const ValueId> list(const Node& node) const {
        return {pool.data() + node.args[0], node.args[1]};
    }
    void set_list(Node& node, std::span<const ValueId> values);

    /// The i-th predecessor of `block`, and what phis get from it; not the predecessor's side.
    void remove_pred(BlockId block, std::size_t i);
    void remove_edge(BlockId from, BlockId to);
    /// The same for many, (from, to) each, without going through all predecessors for each of them.
    /// Sorts them.
    void remove_edges(Vec<std::pair<BlockId, BlockId>>& edges);

    [[nodiscard]] bool dominates(BlockId above, BlockId below) const {
        return blocks[above].dom_begin <= blocks[below].dom_begin &&
               blocks[below].dom_end <= blocks[above].dom_end;
    }

  private:
    [[nodiscard]] ValueId& constant_entry(std::uint64_t value);
    [[nodiscard]] ValueId follow(ValueId id);

    Vec<ValueId> constants_{}; // a hash table; 0: free
    std::size_t constant_count_ = 0;
};

[[nodiscard]] constexpr unsigned bits_in(Width width) {
    return width == Width::W64 ? 64 : 32;
}

[[nodiscard]] constexpr bool is_binary(Kind kind) {
    return kind >= Kind::Add && kind <= Kind::Smod;
}
[[nodiscard]] constexpr bool is_unary(Kind kind) {
    return kind >= Kind::Neg && kind <= Kind::Bswap;
}
[[nodiscard]] constexpr bool has_list(Kind kind) {
    return kind == Kind::Phi || kind == Kind::CallHelper || kind == Kind::CallLocal ||
           kind == Kind::CallThunk || kind == Kind::Find || kind == Kind::TailCall;
}
[[nodiscard]] constexpr bool is_end(Kind kind) {
    return kind >= Kind::Jump;
}
[[nodiscard]] constexpr bool is_call(Kind kind) {
    return kind == Kind::CallHelper || kind == Kind::CallLocal || kind == Kind::CallThunk ||
           kind == Kind::Find || kind == Kind::TailCall;
}
/// Does it access memory at an address of args[0], args[1] and imm?
[[nodiscard]] constexpr bool is_access(Kind kind) {
    return kind >= Kind::Load && kind <= Kind::CompareExchange;
}
/// May it be left out if nobody uses its value?
[[nodiscard]] constexpr bool is_removable(Kind kind) {
    return kind <= Kind::Load || kind == Kind::StateField;
}
/// Is it the same wherever its arguments are the same?
[[nodiscard]] constexpr bool is_pure(Kind kind) {
    return kind >= Kind::Const && kind <= Kind::Select && kind != Kind::Phi;
}
[[nodiscard]] constexpr bool is_commutative(Kind kind) {
    return kind == Kind::Add || kind == Kind::Mul || kind == Kind::MulHigh || kind == Kind::And ||
           kind == Kind::Or || kind == Kind::Xor;
}
/// Does its result mean anything?
[[nodiscard]] constexpr bool has_value(Kind kind) {
    return kind >= Kind::Const && !is_end(kind) && kind != Kind::Store && kind != Kind::Atomic;
}

/// What f says of each kind, to look up: asking it may take jumps, and few of them are foreseen.
template <class F>
[[nodiscard]] constexpr auto by_kind(F f) {
    std::array<decltype(f(Kind::None)), std::size_t(Kind::TailCall) + 1> table{};
    for (std::size_t kind = 0; kind < table.size(); ++kind) {
        table[kind] = f(Kind(kind));
    }
    return table;
}

/// How many of a node's `args` may be values, if it has no list(); those that are not are 0.
[[nodiscard]] constexpr unsigned max_args(Kind kind) {
    switch (kind) {
    case Kind::Select:
    case Kind::CompareExchange:
        return 4;
    case Kind::Store:
    case Kind::Atomic:
    case Kind::Fetch:
    case Kind::Exchange:
        return 3;
    case Kind::Load:
    case Kind::Branch:
        return 2;
    case Kind::Forward:
    case Kind::Switch:
    case Kind::Return:
        return 1;
    default:
        return is_binary(kind) ? 2 : is_unary(kind) ? 1 : 0;
    }
}

/// max_args(), or kList if the node has a list().
inline constexpr std::uint8_t kList = 5;
inline constexpr auto kArgCounts =
    by_kind([](Kind kind) { return has_list(kind) ? kList : std::uint8_t(max_args(kind)); });

/// Two numbers each: compilers call memcmp() for an array.
[[nodiscard]] inline bool has_same_args(const Node& a, const Node& b) {
    using Halves = std::array<std::uint64_t, 2>;
    const auto left = std::bit_cast<Halves>(a.args);
    const auto right = std::bit_cast<Halves>(b.args);
    return left[0] == right[0] && left[1] == right[1];
}

/// Calls f(ValueId&) for each argument.
template <class F>
void each_arg(Function& fn, Node& node, F f) {
    const unsigned count = kArgCounts[std::size_t(node.kind)];
    if (count == kList) {
        for (ValueId& arg : fn.list(node)) {
            f(arg);
        }
        return;
    }
    for (unsigned i = 0; i < count; ++i) {
        if (node.args[i] != 0) {
            f(node.args[i]);
        }
    }
}

/// Of what it computes.
[[nodiscard]] inline std::uint32_t hash_of(const Node& node) {
    std::uint64_t sum = std::uint64_t(node.kind) | std::uint64_t(node.size) << 8 |
                        std::uint64_t(node.width) << 16 | std::uint64_t(node.cond) << 24;
    const std::uint64_t low = std::uint64_t(node.args[0]) << 32 | node.args[1];
    const std::uint64_t high = std::uint64_t(node.args[2]) << 32 | node.args[3];
    sum += low * 0x9e37'79b9'7f4a'7c15 + std::uint64_t(node.imm) * 0xc2b2'ae3d'27d4'eb4f;
    sum += (high ^ sum >> 32) * 0x1656'67b1'9e37'79f9;
    return std::uint32_t(sum ^ sum >> 32);
}

/// Immediate dominators, reverse postorder, loops; takes what cannot be reached out of `layout`.
/// Nothing to do if no edge has changed since.
void find_loops(Function& fn);
/// That alone, and reverse postorder.
void drop_unreachable(Function& fn);

} // namespace ebpfvm::jit::opt
