// The verifier: is a program safe to run without checks, and if not, why?
#pragma once

#include "ebpfvm/error.hpp"
#include "ebpfvm/facts.hpp"
#include "ebpfvm/numeric_domain.hpp"
#include "ebpfvm/object.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ebpfvm {

class HelperTable;

enum class Verdict : std::uint8_t {
    Accept,
    Reject,      ///< unsafe, or against Linux' rules
    Unsupported, ///< uses something that this verifier does not know; nothing is said about safety
};

/// "accept", "reject", "unsupported".
[[nodiscard]] std::string_view name_of(Verdict verdict);

/// Why a program is not accepted; rows of tables/diagnostics.def.
enum class Slug : std::uint8_t {
#define EBPFVM_REJECT(name, slug, kind, message, help) name,
#include "ebpfvm/tables/diagnostics.def"
};

enum class RejectKind : std::uint8_t {
    Unsafe,      ///< it could do harm, or Linux forbids it
    Unsupported, ///< this verifier does not know the feature
    TooComplex,  ///< a budget ran out
};

struct SlugInfo {
    Slug slug;
    std::string_view name; ///< "packet-oob"
    RejectKind kind;
    std::string_view help;
};
[[nodiscard]] const SlugInfo& info(Slug slug);

/// A branch on the way to the rejected insn, and how it went.
struct Decision {
    std::uint32_t insn = 0;
    bool taken = false;
    std::string text{}; ///< "if r1 > 7 goto +3"
    std::optional<LineInfo> where{};
};

/// What explains a rejection: where a value came from, what would have fitted.
struct Note {
    std::string text{}; ///< complete without `where`
    std::optional<std::uint32_t> insn{};
    std::optional<LineInfo> where{};
};

struct Diagnostic {
    Slug slug = Slug::InvalidInsn;
    std::uint32_t insn = 0;
    std::string message{};  ///< without the insn: "r1 may be null (map_value_or_null)"
    std::string insn_text{}; ///< "r0 = *(u64 *)(r1 +0)"
    std::optional<LineInfo> where{};
    std::vector<Note> notes{};       ///< values that matter, and where they come from
    std::vector<Decision> path{};    ///< in order: those that matter to the value, or the last ones
    std::string help{};
};

/// How paths that meet are treated.
enum class MergeStrategy : std::uint8_t {
    Prune, ///< each path is explored; one that adds nothing to an explored state is dropped
    Join,  ///< states are joined where paths meet, until nothing changes
};

struct VerifierOptions {
    std::uint64_t max_explored = 1'000'000;                  ///< insns
    std::uint64_t max_bytes = std::uint64_t{512} << 20;      ///< of states
    std::uint32_t max_stack = 512;                           ///< bytes per call chain
    MergeStrategy strategy = MergeStrategy::Prune;
    NumericDomain domain = NumericDomain::Product;
    /// Reading stack that was never written gives an unknown number, as for privileged programs
    /// in Linux; false: it is rejected.
    bool allow_uninit_stack = true;
    bool check_license = true; ///< GPL-only helpers, as Linux
    bool summarise_loops = true; ///< look for inductive states at loop heads
    std::uint64_t max_loop_iterations = std::uint64_t{1} << 32; ///< per loop that is summarised
    bool facts = false; ///< collect Report::facts
    /// Host functions that programs may call by name or number; null: the kernel's helpers alone.
    const HelperTable* helpers = nullptr;
    /// Host-defined program types; null: the kernel's alone.
    const ProgTypeTable* prog_types = nullptr;
    /// Receives a log of the paths in the kernel's style, line by line. MergeStrategy::Join has none.
    std::function<void(std::string_view)> log{};
};

struct VerifierStats {
    std::uint64_t explored = 0;    ///< insns on all paths
    std::uint64_t states = 0;      ///< remembered for pruning, in all
    std::uint64_t peak_states = 0; ///< at once
    std::uint64_t peak_bytes = 0;
    std::uint64_t summarised_loops = 0;
    std::uint64_t nanoseconds = 0;
    std::uint32_t stack = 0; ///< bytes of the deepest call chain
};

struct Report {
    Verdict verdict = Verdict::Reject;
    std::optional<Diagnostic> diagnostic{}; ///< unless accepted
    VerifierStats stats{};
    /// With VerifierOptions::facts, of an accepted program; null if they could not be collected.
    std::shared_ptr<const Facts> facts{};
};

/// Judges one program of `object`. Errors: Errc::InvalidArgument if it is none of its programs.
[[nodiscard]] Expected<Report> verify(const Object& object, const Program& program,
                                      const VerifierOptions& options = {});

} // namespace ebpfvm
