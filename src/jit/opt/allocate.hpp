// Registers for values: linear scan over lifetimes with holes, which are split where a register has
// to be given up. Method: Wimmer and Mössenböck, "Optimized interval splitting in a linear scan
// register allocator", VEE 2005; Wimmer and Franz, "Linear scan register allocation on SSA form",
// CGO 2010.
#pragma once

#include "jit/jit.hpp"
#include "jit/opt/ir.hpp"

#include <cstdint>
#include <vector>

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
    std::vector<Position> positions{};   ///< by node
    std::vector<Position> block_begin{}; ///< by block
    std::vector<Position> block_end{};
    std::vector<Move> moves{};                ///< ascending; those of one position happen at once
    std::vector<std::vector<Move>> edges{};   ///< by block: at its end if it has one successor
    std::vector<std::vector<Move>> entries{}; ///< by block: at its begin if it has one predecessor
    std::vector<bool> is_stored{};            ///< by node: to its slot, right after it is made
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
    std::vector<std::vector<Piece>> split{}; ///< of values that change their place
    std::vector<std::uint32_t> split_of{};   ///< by node: index into `split`, or kWhole
    std::vector<Place> whole{};              ///< by node
    std::vector<std::uint32_t> slots_of{};   ///< by node
    static constexpr std::uint32_t kWhole = ~std::uint32_t{0};
};

[[nodiscard]] Allocation allocate(Function& fn, const Cpu& cpu);

} // namespace ebpfvm::jit::opt
