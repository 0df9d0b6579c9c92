// A program in the form the verifier walks over: one flat record per slot.
#pragma once

#include "cfg/cfg.hpp"
#include "ebpfvm/helper.hpp"
#include "ebpfvm/verifier.hpp"
#include "isa/op_kind.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace ebpfvm::verifier {

/// One insn, with everything about its op that does not depend on the state.
struct Step {
    isa::Op op{};
    isa::Shape shape{};
    isa::AluOp alu{};
    isa::JmpOp jmp{};
    isa::Width width = isa::Width::W64;
    std::uint8_t dst = 0;
    std::uint8_t src = 0;
    std::uint8_t size = 0;       ///< bytes of a memory access, or of a narrow move or swap
    bool sign_extends = false;   ///< loads and moves
    bool swaps = false;          ///< Swap: bytes change places (else truncation only)
    bool is_prune_point = false; ///< states are compared here
    bool is_merge = false;       ///< paths meet here
    bool is_loop_head = false;
    bool writes_frame_pointer = false;
    bool ends_by_itself = false; ///< may_goto, calls with callbacks: loops with a limit built in
    bool is_offered = true;      ///< CallHelper: programs of this type may call it
    std::uint16_t live = 0;      ///< registers that may be read from here on
    std::int16_t off = 0;
    std::uint32_t next = 0;        ///< slot behind it
    std::uint32_t target = 0;      ///< slot of a jump or local call
    std::uint32_t prune_index = 0; ///< of a prune point: which one, in order
    std::uint64_t imm = 0;         ///< sign extended to 64 bits; lddw: both halves
    /// Calls of helpers and host functions; nullptr if there is no such function.
    const HelperProto* proto = nullptr;
};

/// Facts about a subprogram that do not depend on the state.
struct SubprogInfo {
    std::uint32_t first = 0;
    std::uint32_t end = 0;
    bool is_global = false;
    bool changes_packet = false;     ///< it, or what it calls, may move the packet
    const Subprog* source = nullptr; ///< if the object tells of it
    /// Of a global function. A pointer to the program's context is known by its type, too.
    std::vector<SubprogParam> params{};
};

struct Code {
    const Object* object = nullptr;
    const Program* program = nullptr;
    std::vector<Step> steps{};           ///< by slot
    std::vector<SubprogInfo> subprogs{}; ///< ascending by first
    std::vector<const MapSpec*> maps{};  ///< the object's, then the inner ones of maps of maps
    std::vector<std::uint32_t> inner{};  ///< by map: index of what it holds, or cfg::kNone
    std::uint32_t prune_points = 0;      ///< number of them
    bool allow_uninit_stack = true;
    cfg::Cfg cfg{};

    [[nodiscard]] std::uint32_t subprog_at(std::uint32_t slot) const {
        return cfg.block(slot).subprog;
    }
    /// Of the function that a `call kfunc` names; empty if there is none.
    [[nodiscard]] std::string_view extern_name(const Step& step) const;
};

/// Errors: Errc::InvalidInsn with the insn in the message.
[[nodiscard]] Expected<Code> prepare(const Object& object, const Program& program,
                                     const VerifierOptions& options);

} // namespace ebpfvm::verifier
