// Registers for values: linear scan over lifetimes with holes, which are split where a register has
// to be given up. Method: Wimmer and Mössenböck, "Optimized interval splitting in a linear scan
// register allocator", VEE 2005; Wimmer and Franz, "Linear scan register allocation on SSA form",
// CGO 2010.
#pragma once

#include "jit/jit.hpp"
#include "jit/opt/ir.hpp"

#include <algorithm>
#include <cstdint>
#include <span>

namespace ebpfvm::jit::opt {

/// Where a value is.
struct Place {
    enum class Kind : std::uint32_t {
        None,
        Reg,   ///< `number` is x86's
        Slot,  ///< of 8 bytes, in the frame
        Const, ///< the value to load; also Frame
        Split, ///< at several: Allocation::split
    } kind = Kind::None;
    std::uint32_t number = 0;

    [[nodiscard]] bool is_reg() const { return kind == Kind::Reg; }
    bool operator==(const Place&) const = default;
};

/// Block starts and nodes other than phis are kStep apart, in an order of their own. What an insn
/// reads is read at its position; at the next it clobbers, reads late and makes its value, or at
/// the one behind that if it makes it late. Values move before insns: never while one is made.
using Position = std::uint32_t;
inline constexpr Position kStep = 4;

struct Move {
    Position at = 0; ///< before the node there
    Place from{};
    Place to{};
};

struct Allocation {
    Vec<Position> block_begin{}; ///< by block
    Vec<Position> block_end{};
    Vec<ValueId> params{}; ///< see is_param(); the last first
    Vec<Move> moves{};     ///< ascending; those of one position happen at once
    std::uint32_t slots = 0;
    std::uint32_t used_regs = 0; ///< bits
    bool uses_frame = false;     ///< are there addresses of BPF stack?
    bool has_calls = false;

    /// Where `value` is when the insn at `at` reads it.
    [[nodiscard]] Place place_of(ValueId value, Position at) const {
        const Place place = places[value];
        return place.kind != Place::Kind::Split ? place : place_in(split[place.number], at);
    }
    /// Where it is made.
    [[nodiscard]] Place made_in(ValueId value) const {
        const Place place = places[value];
        return place.kind != Place::Kind::Split ? place : split[place.number].front().place;
    }
    /// Is it put into its slot, right after it is made?
    [[nodiscard]] bool is_stored(ValueId value) const {
        return !slots_of.empty() && slots_of[value] != kNoSlot;
    }
    [[nodiscard]] std::uint32_t slot_of(ValueId value) const { return slots_of[value]; }
    /// Of `moves`: the first at or behind `at`.
    [[nodiscard]] std::size_t first_move(Position at) const {
        return std::size_t(std::ranges::lower_bound(moves, at, {}, &Move::at) - moves.begin());
    }
    /// Moves at the begin of a block that has one predecessor.
    [[nodiscard]] std::span<const Move> entries(BlockId block) const {
        return block_moves_from(2 * block);
    }
    /// Moves at the end of a block that has one successor.
    [[nodiscard]] std::span<const Move> edges(BlockId block) const {
        return block_moves_from(2 * block + 1);
    }
    /// Both.
    [[nodiscard]] std::size_t count_block_moves(BlockId block) const {
        return first_block_move[2 * block + 2] - first_block_move[2 * block];
    }

    struct Piece {
        Position end = 0;
        Place place{};
    };
    Vec<Place> places{};                   ///< by node
    Vec<Vec<Piece>> split{};               ///< of values that change their place
    Vec<std::uint32_t> slots_of{};         ///< by node, or empty: nothing has a slot
    Vec<Move> block_moves{};               ///< each block's entries and edges
    Vec<std::uint32_t> first_block_move{}; ///< two for each block, and where the last ends
    static constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};

  private:
    [[nodiscard]] static Place place_in(const Vec<Piece>& pieces, Position at);
    [[nodiscard]] std::span<const Move> block_moves_from(std::size_t i) const {
        return {block_moves.data() + first_block_move[i],
                block_moves.data() + first_block_move[i + 1]};
    }
};

[[nodiscard]] Allocation allocate(const Function& fn, const Cpu& cpu);

} // namespace ebpfvm::jit::opt
