// What lies where in machine code: functions, their stack frames, the insns they were made of.
#pragma once

#include "ebpfvm/object.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ebpfvm::jit {

/// Describes the machine code of a program to debuggers, profilers and unwinders. Compilers fill it
/// while they emit, in the order of the code, if they are asked for it. Offsets count from the
/// first byte of the code.
class CodeMap {
  public:
    static constexpr std::uint8_t kNoReg = 0xff;
    static constexpr std::uint32_t kReturnAddress = 8; ///< bytes of it: the least depth

    /// A rule for the stack that holds from `off` on. The frame's end (DWARF: the CFA) is the
    /// address behind the return address.
    struct Step {
        std::uint32_t off = 0;
        std::uint32_t depth = 0; ///< bytes from rsp to the frame's end
        /// Register (x86's number) that a push has just saved: it is `depth` bytes below the end.
        std::uint8_t saved = kNoReg;
        bool leaves_run = false; ///< rsp says nothing: RunState::native.stack_pointer does
    };
    struct Function {
        std::string name;
        std::uint32_t begin = 0;
        std::uint32_t body = 0; ///< behind the prologue
        std::uint32_t end = 0;
        std::vector<Step> steps{}; ///< ascending; the first is at `begin`
    };
    /// The code from `off` on, up to the next place or the end of the function, belongs to an insn.
    struct Place {
        std::uint32_t off = 0;
        std::uint32_t slot = 0;
    };

    [[nodiscard]] const std::vector<Function>& functions() const { return functions_; }
    [[nodiscard]] const std::vector<Place>& places() const { return places_; }

    /// A function begins; the one before ends. Only its return address is on the stack.
    void begin(std::uint32_t off, std::string name) {
        open(off, std::move(name)).steps.push_back({.off = off, .depth = kReturnAddress});
    }
    /// Code begins that the body of function `of` jumps to, and that uses its frame.
    void begin_cold(std::uint32_t off, std::size_t of) {
        const std::vector<Step> steps = functions_[of].steps;
        Function& cold = open(off, functions_[of].name + ".cold");
        std::uint32_t depth = 0;
        for (const Step& step : steps) {
            depth = std::max(depth, step.depth);
            if (step.saved != kNoReg) {
                cold.steps.push_back({.off = off, .depth = step.depth, .saved = step.saved});
            }
        }
        cold.steps.push_back({.off = off, .depth = depth});
    }
    /// Code begins that gives up all frames of the run, wherever it is.
    void begin_leaving(std::uint32_t off, std::string name) {
        open(off, std::move(name))
            .steps.push_back({.off = off, .depth = kReturnAddress, .leaves_run = true});
    }
    /// The function ends that began last.
    void end(std::uint32_t off) {
        if (!functions_.empty() && functions_.back().end == 0) {
            functions_.back().end = off;
        }
    }

    /// The prologue ends.
    void begin_body(std::uint32_t off) { functions_.back().body = off; }
    /// `off` is behind the push.
    void pushed(std::uint32_t off, std::uint32_t reg) {
        steps().push_back({.off = off, .depth = depth() + 8, .saved = std::uint8_t(reg)});
    }
    /// From `off` on, rsp is `depth` bytes below the frame's end.
    void set_depth(std::uint32_t off, std::uint32_t depth) {
        steps().push_back({.off = off, .depth = depth});
    }
    [[nodiscard]] std::uint32_t depth() const { return functions_.back().steps.back().depth; }

    /// The code of a slot begins.
    void place(std::uint32_t off, std::size_t slot) {
        places_.push_back({off, std::uint32_t(slot)});
    }

  private:
    Function& open(std::uint32_t off, std::string name) {
        end(off);
        functions_.push_back({.name = std::move(name), .begin = off, .body = off});
        return functions_.back();
    }
    std::vector<Step>& steps() { return functions_.back().steps; }

    std::vector<Function> functions_;
    std::vector<Place> places_;
};

/// What to call the function at `slot`: the name of the program or subprogram, or, where it has
/// none, "PROGRAM_insn_SLOT".
[[nodiscard]] std::string function_name(const Program& program, std::uint32_t slot);

} // namespace ebpfvm::jit
