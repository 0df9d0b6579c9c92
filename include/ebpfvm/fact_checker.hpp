// The observing mode: runs a program and checks that each register and stack slot is what the
// verifier's facts say it can be, and that jumps go where they say.
#pragma once

#include "ebpfvm/facts.hpp"
#include "ebpfvm/vm.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ebpfvm {

/// Collects what runs violate. The facts, module and program must outlive it. Not thread-safe.
class FactChecker {
  public:
    FactChecker(const Facts& facts, const Module& module, const Executable& program);
    FactChecker(const FactChecker&) = delete;
    FactChecker& operator=(const FactChecker&) = delete;

    RunResult run(XdpCtx& ctx);
    RunResult run(SkbCtx& ctx);
    RunResult run(std::span<std::byte> memory);

    [[nodiscard]] std::uint64_t insns() const { return insns_; }   ///< seen in all runs
    [[nodiscard]] std::uint64_t values() const { return values_; } ///< registers and slots compared
    /// "insn 7: r1 is 65536, number in 0..65535", at most 20 of them.
    [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }

  private:
    template <class Ctx>
    RunResult run_watched(Ctx& ctx, const Packet* packet);
    void see(const InsnView& view);
    void check_way(const InsnView& view);
    struct Place {
        unsigned reg = 0;
        std::int32_t off = 0; ///< of a stack slot; 0: a register
    };
    void check(const InsnView& view, Place place, const ValueFact& fact, std::uint64_t value);
    void violate(const InsnView& view, const std::string& what);
    [[nodiscard]] bool holds(const InsnView& view, const ValueFact& fact,
                             std::uint64_t value) const;
    [[nodiscard]] bool is_in_map(const ValueFact& fact, std::uint64_t address) const;

    const Facts& facts_;
    const Module& module_;
    const Executable& program_;
    const Packet* packet_ = nullptr; ///< of the current run
    std::uint64_t ctx_ = 0;          ///< what r1 was at its entry
    bool has_begun_ = false;
    std::size_t last_ = 0; ///< the insn before this one
    std::array<std::uint64_t, 64> frame_pointers_{};
    std::uint64_t insns_ = 0;
    std::uint64_t values_ = 0;
    std::vector<std::string> violations_;
    std::function<void(const InsnView&)> watch_;
};

} // namespace ebpfvm
