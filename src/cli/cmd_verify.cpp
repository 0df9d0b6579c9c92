// Tested by verify_test.cpp.
#include "cli/cmd_verify.hpp"

#include "cli/exit_code.hpp"
#include "cli/facts_text.hpp"
#include "cli/load.hpp"
#include "cli/observe.hpp"
#include "cli/verify_compare.hpp"
#include "cli/verify_text.hpp"
#include "support/try.hpp"

#include <fmt/format.h>

namespace ebpfvm::cli {
namespace {

// Goes through programs and says what there is to say of each at once; tables come at the end.
class Session {
  public:
    Session(const VerifyCommand& command, const Style& style) : command_(command), style_(style) {}

    Expected<int> run() {
        if (!command_.compare.empty()) {
            TRY_ASSIGN(before_, read_results(command_.compare));
        }
        for (const std::string& path : command_.objects) {
            judge_object(path);
        }
        if (!command_.json) {
            print_end();
        }
        return exit_code();
    }

  private:
    void judge_object(const std::string& path) {
        const ProgTypeTable types;
        const auto object = load_input(path, command_.type, types);
        if (!object) {
            return add_error({.object = path}, object.error());
        }
        if (!command_.program.empty()) {
            const auto program = choose_program(*object, command_.program);
            return program ? judge(path, *object, **program)
                           : add_error({.object = path}, program.error());
        }
        if (object->programs().empty()) {
            return add_error(
                {.object = path},
                {.code = Errc::NotFound, .message = fmt::format("{}: contains no program", path)});
        }
        for (const Program& program : object->programs()) {
            judge(path, *object, program);
        }
    }

    void judge(const std::string& path, const Object& object, const Program& program) {
        Judged judged{.object = path,
                      .section = program.section,
                      .prog = program.name,
                      .prog_type = std::string(name_of(program.type)),
                      .insns = program.insns.size()};
        VerifierOptions options = command_.options;
        options.facts |= command_.observe > 0;
        if (command_.log == LogForm::Kernel) {
            fmt::print("{}\n", style_.heading(fmt::format("-- {}: {} --", path, program.name)));
            options.log = [](std::string_view line) { fmt::print("{}\n", line); };
        }
        for (unsigned i = 0; i < command_.repeat; ++i) {
            auto report = verify(object, program, options);
            if (!report) {
                return add_error(std::move(judged), report.error());
            }
            if (i == 0 || report->stats.nanoseconds < judged.report.stats.nanoseconds) {
                judged.report = *std::move(report);
            }
            options.log = {}; // it says the same every time
        }
        if (judged.report.facts) {
            add_facts(object, program, *judged.report.facts);
        }
        add(std::move(judged));
    }

    void add_facts(const Object& object, const Program& program, const Facts& facts) {
        if (command_.options.facts && !command_.json) {
            fmt::print("{}\n", facts_text(object, program, facts, style_));
        }
        if (command_.observe == 0) {
            return;
        }
        const Observed seen = observe(object, program, facts, command_.observe);
        if (!seen.skipped.empty()) {
            print_note(fmt::format("{}: not observed: {}", program.name, seen.skipped));
            return;
        }
        observed_insns_ += seen.insns;
        observed_values_ += seen.values;
        for (const std::string& violation : seen.violations) {
            print_error(fmt::format("{}: the verifier is wrong: {}", program.name, violation));
            is_violated_ = true;
        }
    }

    void add_error(Judged judged, const Error& error) {
        judged.error = error;
        if (!command_.json) {
            print_error(to_string(error));
        }
        add(std::move(judged));
    }

    void add(Judged judged) {
        if (command_.json) {
            fmt::print("{}\n", to_json(to_json_value(judged)));
        } else if (judged.report.diagnostic && command_.compare.empty()) {
            fmt::print("{}\n", diagnostic_text(judged, style_));
        }
        results_.push_back(std::move(judged));
    }

    void print_end() const {
        if (!command_.compare.empty()) {
            fmt::print("{}", comparison_text(before_, results_, style_));
        } else if (command_.has_table) {
            fmt::print("{}", results_text(results_, style_));
        }
        if (command_.observe > 0) {
            fmt::print("observed {} insns, {} values: {}\n", observed_insns_, observed_values_,
                       is_violated_ ? "violations found" : "all within the facts");
        }
    }

    int exit_code() const {
        int code = is_violated_ ? kExitFailed : kExitOk;
        for (const Judged& judged : results_) {
            if (judged.error) {
                return kExitError;
            }
            if (judged.report.verdict != Verdict::Accept) {
                code = kExitFailed;
            }
        }
        return code;
    }

    const VerifyCommand& command_;
    const Style& style_;
    std::vector<EarlierResult> before_{};
    std::vector<Judged> results_{};
    std::uint64_t observed_insns_ = 0;
    std::uint64_t observed_values_ = 0;
    bool is_violated_ = false;
};

} // namespace

Expected<int> verify_command(const VerifyCommand& command, const Style& style) {
    if (command.log == LogForm::Kernel && command.options.strategy == MergeStrategy::Join) {
        return fail(Errc::InvalidArgument,
                    "--log kernel shows paths; --strategy join follows none, leave it out");
    }
    return Session(command, style).run();
}

} // namespace ebpfvm::cli
