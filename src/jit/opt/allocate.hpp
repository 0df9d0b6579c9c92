// Registers for values: linear scan over lifetimes with holes, which are split where a register has
// to be given up. Method: Wimmer and Mössenböck, "Optimized interval splitting in a linear scan
// register allocator", VEE 2005; Wimmer and Franz, "Linear scan register allocation on SSA form",
// CGO 2010.
#pragma once

#include "jit/jit.hpp"
#include "jit/opt/ir.hpp"

#include <cstdint>

namespace ebpfvm::jit::opt {

/// Where a value is. Registers are x86's numbers.
struct Place {
    enum class Kind : std::uint8_t { None, Reg, Slot, Const } kind = Kind::None;
    std::uint8_t reg = 0;
    std::uint32_t slot = 0; ///< of 8 bytes, in the frame
    ValueId value = 0;      ///< Const: what to load; also Frame

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
    Vec<Position> positions{};   ///< by node
    Vec<Position> block_begin{}; ///< by block
    Vec<Position> block_end{};
    Vec<Move> moves{};             ///< ascending; those of one position happen at once
    Vec<Vec<Move>> edges{};        ///< by block: at its end if it has one successor
    Vec<Vec<Move>> entries{};      ///< by block: at its begin if it has one predecessor
    Vec<std::uint8_t> is_stored{}; ///< by node: to its slot, right after it is made
    std::uint32_t slots = 0;
    std::uint32_t used_regs = 0; ///< bits

    /// Where `value` is when the insn at `at` reads it.
    [[nodiscard]] Place place_of(ValueId value, Position at) const;
    /// Where it is made.
    [[nodiscard]] Place made_in(ValueId value) const;
    [[nodiscard]] std::uint32_t slot_of(ValueId value) const { return slots_of[value]; }

    struct Piece {
        Position end = 0;
        Place place{};
    };
    Vec<Vec<Piece>> split{};       ///< of values that change their place
    Vec<std::uint32_t> split_of{}; ///< by node: index into `split`, or kWhole
    Vec<Place> whole{};            ///< by node
    Vec<std::uint32_t> slots_of{}; ///< by node
    static constexpr std::uint32_t kWhole = ~std::uint32_t{0};
};

[[nodiscard]] Allocation allocate(Function& fn, const Cpu& cpu);

} // namespace ebpfvm::jit::opt
