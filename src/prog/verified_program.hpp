// What engines may run without checks.
#pragma once

#include "ebpfvm/object.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace ebpfvm::verifier {
class Seal;
}

namespace ebpfvm::prog {

/// How control gets on from an insn, in any run of a verified program.
struct Ways {
    bool is_reached = false; ///< else nothing is known of the insn, not even what it calls
    bool falls = false;      ///< conditional jumps
    bool jumps = false;
};

/// What a helper may call.
struct Callback {
    std::uint32_t call = 0;  ///< slot of the helper's call
    std::uint32_t first = 0; ///< slot of the callback's first insn
    bool operator==(const Callback&) const = default;
};

/// A program that the verifier has accepted, for the maps of its object and the functions and types
/// of its options. Only the verifier makes one; engines run nothing else unchecked.
class VerifiedProgram {
  public:
    struct SubprogStack {
        std::uint32_t first = 0; ///< slot of its first insn
        std::uint32_t bytes = 0; ///< below r10 that it uses
    };

    [[nodiscard]] const Program& program() const { return program_; }
    [[nodiscard]] Ways ways(std::size_t slot) const { return ways_[slot]; }
    /// Does the load or store in this slot go to the context? If so, through a pointer to its
    /// start.
    [[nodiscard]] bool accesses_ctx(std::size_t slot) const { return accesses_ctx_[slot]; }
    /// The map, by index, that the helper called in this slot always gets; nothing if it is not one
    /// of the object's, or not always the same.
    [[nodiscard]] std::optional<std::uint32_t> call_map(std::size_t slot) const {
        return call_map_[slot];
    }
    /// The first slot of the callback that the helper called in this slot always gets; nothing if
    /// it gets several.
    [[nodiscard]] std::optional<std::uint32_t> callback(std::size_t slot) const {
        std::optional<std::uint32_t> found;
        for (const Callback& each : callbacks_) {
            if (each.call == slot && std::exchange(found, each.first)) {
                return std::nullopt;
            }
        }
        return found;
    }
    /// Ascending by first slot.
    [[nodiscard]] const std::vector<SubprogStack>& stacks() const { return stacks_; }
    /// May it read stack that it never wrote, and so has to be cleared?
    [[nodiscard]] bool may_read_unwritten_stack() const { return may_read_unwritten_stack_; }

  private:
    friend class verifier::Seal;
    VerifiedProgram(const Program& program, std::vector<Ways> ways, std::vector<bool> accesses_ctx,
                    std::vector<std::optional<std::uint32_t>> call_map,
                    std::vector<Callback> callbacks, std::vector<SubprogStack> stacks,
                    bool may_read_unwritten_stack)
        : program_(program), ways_(std::move(ways)), accesses_ctx_(std::move(accesses_ctx)),
          call_map_(std::move(call_map)), callbacks_(std::move(callbacks)),
          stacks_(std::move(stacks)), may_read_unwritten_stack_(may_read_unwritten_stack) {}

    Program program_;
    std::vector<Ways> ways_;
    std::vector<bool> accesses_ctx_;
    std::vector<std::optional<std::uint32_t>> call_map_;
    std::vector<Callback> callbacks_;
    std::vector<SubprogStack> stacks_;
    bool may_read_unwritten_stack_;
};

} // namespace ebpfvm::prog
