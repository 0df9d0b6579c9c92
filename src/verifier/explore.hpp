// Exploration of all paths, depth first, dropping those that explored states cover.
#pragma once

#include "verifier/env.hpp"
#include "verifier/jmp.hpp"

#include <deque>
#include <vector>

namespace ebpfvm::verifier {

class Explorer {
  public:
    Explorer(Env& env, VerifierStats& stats)
        : env_(env), stats_(stats), by_insn_(env.code.steps.size()) {}

    /// Explores everything that `state` at slot `at` can lead to. False if a path ends in a
    /// rejection (env.rejection; the path to it is env.path).
    [[nodiscard]] bool run(State state, std::uint32_t at);

  private:
    enum class Progress : std::uint8_t { Continue, PathDone, Rejected };
    enum class Visit : std::uint8_t { Explore, Covered, Rejected };

    struct Pending {
        State state;
        std::uint32_t insn;
        PathMark mark;
    };

    Progress advance(State& state, std::uint32_t& at);
    Progress execute(State& state, std::uint32_t& at);
    Progress execute_jmp(State& state, std::uint32_t& at);
    Progress execute_call(State& state, std::uint32_t& at);
    Progress execute_exit(State& state, std::uint32_t& at);
    Progress follow(std::uint32_t to, std::uint32_t& at);
    bool push(State state, std::uint32_t insn);
    bool take_pending(State& state, std::uint32_t& at);

    Visit visit(State& state, std::uint32_t at);
    void take_over(const Node& node);
    bool is_worth_remembering(const Step& step) const;
    void remember(const State& state, std::uint32_t at);
    void drop_useless(std::vector<Node*>& nodes);
    Node* make_node();
    bool check_budget();
    [[nodiscard]] std::string busiest_place() const;

    Env& env_;
    VerifierStats& stats_;
    std::vector<Pending> pending_;
    std::vector<std::vector<Node*>> by_insn_;
    std::deque<Node> nodes_;
    std::vector<Node*> free_nodes_;
    std::uint64_t jumps_ = 0;
    std::uint64_t remembered_at_insn_ = 0;
    std::uint64_t remembered_at_jump_ = 0;
};

} // namespace ebpfvm::verifier
