// Exploration of all paths, depth first, dropping those that explored states cover.
#pragma once

#include "verifier/env.hpp"
#include "verifier/log.hpp"
#include "verifier/step.hpp"

#include <map>
#include <memory_resource>
#include <optional>
#include <vector>

namespace ebpfvm::verifier {

class Explorer {
  public:
    /// How loops are treated, and how many insns may be explored for it.
    struct Attempt {
        bool summarises = true;
        std::uint64_t max_explored = 0;
        /// The same, once a loop was summarised.
        std::uint64_t max_with_summaries = 0;
    };

    Explorer(Env& env, VerifierStats& stats, const Attempt& attempt)
        : env_(env), stats_(stats), attempt_(attempt), begin_(stats.explored),
          summarised_before_(stats.summarised_loops), log_(env), stepper_(env, Judging::On),
          pending_(&env.memory), nodes_at_(env.code.prune_points, &env.memory), nodes_(&env.memory),
          free_nodes_(&env.memory), next_guess_(env.code.prune_points, 0, &env.memory) {
        pending_.reserve(8);
    }

    /// Explores everything that `state` at slot `at` can lead to. False if a path ends in a
    /// rejection (env.rejection; the path to it is env.path).
    [[nodiscard]] bool run(State state, std::uint32_t at);

  private:
    enum class Progress : std::uint8_t { Continue, PathDone, Rejected };
    enum class Visit : std::uint8_t { Explore, Covered, Rejected };

    /// A loop that is being verified once, for all turns, from a guessed state at its head.
    struct Guess {
        State real; ///< how the head was reached, to go on with if the guess is wrong
        Node* head;
        PathMark mark; ///< of the path when the head was reached
        std::size_t pending;
        std::size_t created;
        std::uint64_t explored; ///< when it began
        unsigned attempt;
    };

    struct Pending {
        State state;
        std::uint32_t insn;
        PathMark mark;
    };

    Progress advance(State& state, std::uint32_t& at);
    bool step_logged(State& state, std::uint32_t at);
    bool push(State state, std::uint32_t insn);
    bool take_pending(State& state, std::uint32_t& at);

    Visit visit(State& state, std::uint32_t at);
    Visit visit_open(Node& node, const State& state, const Step& step);
    [[nodiscard]] bool is_return() const;
    /// Has the path stayed inside the loop whose head this is since it was at `from`?
    [[nodiscard]] bool is_turn(const Node& from, const State& state);
    [[nodiscard]] bool has_limit(const Node& from) const;
    [[nodiscard]] bool counts(const Node& from) const;
    [[nodiscard]] bool is_same_call(const Node& from) const;
    [[nodiscard]] bool stays(const Node& from) const;
    [[nodiscard]] bool ends_by_itself(const Node& from) const;
    [[nodiscard]] bool may_go_back(Node* back, const State& state) const;
    void note_back(Node& to);
    void take_over(const Node& node, Places relied);
    void demand_all(const State& state);

    // Loops.
    [[nodiscard]] bool is_time_to_guess(const Node* last, const State& state,
                                        const Step& step) const;
    bool guess(State& state, const Node& last, std::uint32_t at);
    [[nodiscard]] bool includes(const State& guessed, const State& real, std::uint32_t at,
                                std::uint32_t first_pin);
    void begin_guess(State& state, State guessed, Guess record, std::uint32_t first_pin,
                     std::uint32_t turns);
    [[nodiscard]] bool closes(Node& head, const State& state, const Step& step);
    [[nodiscard]] bool makes_progress(Node& head, const State& state);
    /// After a rejection: drops the innermost guess and goes on without it, or with a wider one.
    /// False if there is none: the rejection stands.
    bool recover(State& state, std::uint32_t& at);
    void undo(const Guess& guess);
    void confirm_guesses();

    [[nodiscard]] std::pmr::vector<Node*>& nodes_at(std::uint32_t slot) {
        return nodes_at_[env_.code.steps[slot].prune_index];
    }
    bool is_worth_remembering(const Step& step) const;
    void remember(const State& state, std::uint32_t at);
    void drop_useless(std::pmr::vector<Node*>& nodes);
    void free_retired();
    void free_node(Node& node);
    Node* make_node();
    bool check_budget();
    [[nodiscard]] std::string busiest_place() const;

    Env& env_;
    VerifierStats& stats_;
    const Attempt attempt_;
    const std::uint64_t begin_; // insns explored before
    const std::uint64_t summarised_before_;
    Log log_;
    Stepper stepper_;
    std::pmr::vector<Pending> pending_;
    std::pmr::vector<std::pmr::vector<Node*>> nodes_at_; // by prune point
    std::pmr::vector<std::pmr::vector<Node>> nodes_;     // in chunks
    std::size_t node_count_ = 0;
    std::pmr::vector<Node*> free_nodes_;
    std::vector<Guess> guesses_;
    std::vector<Node*> created_; // since the outermost guess began
    std::pmr::vector<std::uint32_t>
        next_guess_; // by prune point: turns before another guess is worth it
    std::map<std::uint32_t, std::vector<bool>> bodies_; // of loops, by the block of their head
    std::uint64_t wasted_ = 0;              // insns explored for guesses that were wrong
    std::vector<std::uint64_t> thresholds_; // of widening; computed when first needed
    std::optional<State> escaped_;          // the state that a guess did not cover
    const Node* escaped_head_ = nullptr;    // of that guess
    bool skip_visit_ = false;               // the current insn has been visited already
    std::uint64_t remembered_at_insn_ = 0;
};

} // namespace ebpfvm::verifier
