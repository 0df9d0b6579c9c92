// One rejection being explained: the state when it happened, and what has been said so far.
#pragma once

#include "verifier/mem.hpp"
#include "verifier/words.hpp"

namespace ebpfvm::verifier {

class Explainer {
  public:
    Explainer(const History& history, Diagnostic& out)
        : history_(history), env_(history.env()), words_(history), out_(out),
          culprit_(env_.rejection.culprit) {}

    void run();

  private:
    // What was known when the program was rejected.
    void explain_values();
    void explain_program();

    // Access to what is known.
    const Step& step() const { return env_.code.steps[out_.insn]; }
    const State& state() const { return history_.last(); }
    bool is_joined() const { return env_.options.strategy == MergeStrategy::Join; }
    const Reg& reg(std::uint32_t number) const;
    Place place(std::uint32_t number) const;
    Origin origin_of(std::uint32_t number) const;
    bool is_call() const;
    std::uint32_t pointer_operand() const;
    MemAccess access() const;
    void note(std::string text) { out_.notes.push_back({.text = std::move(text)}); }
    void note_at(std::size_t at, std::string text);
    void note_origin(const Origin& origin, std::string text);
    static bool has_insn(OriginKind kind);

    // Null.
    std::string why_null(std::size_t at) const;
    void explain_null();

    // Registers that are not what they should be.
    void explain_origin(std::uint32_t number);
    void explain_wrong_type();
    void advise_argument();
    void explain_invalidated(const Origin& origin);

    // Arithmetic.
    void explain_arithmetic();
    void note_type(std::uint32_t number);
    void advise_bound(const std::string& name);
    void note_number(std::size_t before, const Place& where, std::string_view what);

    // Pointers with offsets.
    Origin explain_pointer(std::uint32_t number);
    void explain_packet();
    void note_no_proof(std::string_view end);
    void advise_packet(const Reg& pointer, const Origin& origin, std::string_view end);
    void explain_limit(std::uint64_t size, std::string_view what);
    bool has_size_arg() const;
    void advise_index(const Scalar& offset, std::int64_t last);
    void explain_sized_call(std::int64_t available);
    void explain_size();

    // The stack.
    std::uint32_t stack_pointer() const;
    bool explain_unwritten(std::uint32_t number, const MemAccess& range);
    void explain_stack();
    void explain_uninit_stack();
    static bool is_written(const Frame& frame, std::int64_t off);
    void explain_stack_use();

    // Memory that may not be written, contexts.
    void explain_read_only();
    void explain_ctx();
    std::string writable_fields() const;

    // Ends.
    void explain_return();
    void explain_reference();
    void advise_release(std::size_t at);
    void explain_lock();

    // Loops.
    void explain_loop();
    std::uint32_t back_edge(std::uint32_t head) const;
    void explain_condition(std::uint32_t insn);
    void keep_branches_of(std::uint32_t head, std::uint32_t end);
    void explain_depth();

    // Helpers.
    void explain_helper_types();
    void choose_branches();

    const History& history_;
    const Env& env_;
    Words words_;
    Diagnostic& out_;
    std::uint32_t culprit_;
    std::vector<std::size_t> branches_{};
    Scalar number_ = Scalar::unknown(); // of the last note_number()
    std::string number_name_ = "index";
};

/// "1 byte", "2 bytes".
[[nodiscard]] std::string times(std::uint64_t number, std::string_view what);

} // namespace ebpfvm::verifier
