// What is known of all subprograms of a program before any is built.
#pragma once

#include "exec/code.hpp"
#include "jit/opt/regs.hpp"
#include "jit/opt/scratch.hpp"

#include <cstddef>
#include <cstdint>

namespace ebpfvm::jit::opt {

struct ProgramShape {
    struct Subprog {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;
        std::uint32_t calls = 0; ///< of it, in the whole program
        bool can_inline = true;
        SubprogShape shape{};
    };
    Vec<Subprog> subprogs{};
    bool is_supported = true; ///< build() compiles all that is in it
    bool needs_state = false; ///< Anchor::State

    explicit ProgramShape(const exec::Code& code);

    /// Of the subprogram that begins at slot `first`.
    [[nodiscard]] static std::size_t index_of(const exec::Code& code, std::uint32_t first);

  private:
    void look_at(const exec::Code& code, std::uint32_t at, Subprog& subprog);
};

} // namespace ebpfvm::jit::opt
