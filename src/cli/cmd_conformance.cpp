// Finding, running and judging conformance files. Tested by conformance_test.cpp.
#include "cli/cmd_conformance.hpp"

#include "cli/conformance_file.hpp"
#include "cli/conformance_vm.hpp"
#include "cli/exit_code.hpp"
#include "cli/files.hpp"
#include "cli/json.hpp"
#include "cli/load.hpp"
#include "support/try.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace ebpfvm::cli {
namespace {

namespace fs = std::filesystem;

enum class Status : std::uint8_t { Passed, Failed, Skipped };

struct Judgement {
    Status status = Status::Passed;
    std::string reason; ///< why it failed or was skipped
};

Expected<std::vector<std::string>> find_files(const std::vector<std::string>& paths) {
    std::vector<std::string> files;
    for (const std::string& path : paths) {
        std::error_code error;
        if (!fs::is_directory(path, error)) {
            files.push_back(path);
            continue;
        }
        const std::size_t before = files.size();
        for (const auto& entry : fs::recursive_directory_iterator(path, error)) {
            if (entry.path().extension() == ".data") {
                files.push_back(entry.path().string());
            }
        }
        if (error || files.size() == before) {
            return fail(Errc::Io, "{}: {}", path,
                        error ? error.message() : "contains no .data file");
        }
    }
    std::ranges::sort(files);
    return files;
}

// A file with both sections says the same twice, so the assembler is tested as well.
Expected<std::vector<Insn>> insns_of(const ConformanceCase& test) {
    if (test.asm_text.empty()) {
        return test.raw;
    }
    TRY_ASSIGN(auto assembled, assemble(test.asm_text));
    if (test.has_raw && assembled != test.raw) {
        return fail(Errc::MalformedText, "assembled program differs from section \"raw\"");
    }
    return assembled;
}

Expected<RunResult> run_case(ConformanceCase& test, Engine engine) {
    TRY_ASSIGN(auto insns, insns_of(test));
    const Object object = Object::from_insns("main", ProgType::Unspec, std::move(insns));
    Vm vm = make_conformance_vm();
    return run_conformance(vm, object, object.programs().front(), test.mem, engine);
}

Judgement judge(const ConformanceCase& test, const Expected<RunResult>& outcome) {
    if (test.expects_error) {
        const bool is_refused = !outcome || outcome->fault;
        return is_refused ? Judgement{}
                          : Judgement{Status::Failed, fmt::format("must be refused, but ran and "
                                                                  "returned {:#x}",
                                                                  outcome->r0)};
    }
    if (!outcome) {
        return {Status::Failed, to_string(outcome.error())};
    }
    if (outcome->fault) {
        return {Status::Failed, fmt::format("fault: {}", outcome->fault->message)};
    }
    if (!test.result) {
        return {Status::Skipped, "says nothing about the result"};
    }
    if (outcome->r0 != *test.result) {
        return {Status::Failed,
                fmt::format("r0 is {:#x}, must be {:#x}", outcome->r0, *test.result)};
    }
    return {};
}

Expected<Judgement> run_file(const std::string& path, Engine engine) {
    TRY_ASSIGN(const auto bytes, read_file(path));
    auto test = parse_conformance(as_text(bytes));
    if (!test) {
        return Judgement{Status::Failed, to_string(test.error())};
    }
    const auto outcome = run_case(*test, engine);
    return judge(*test, outcome);
}

std::string_view name_of(Status status) {
    switch (status) {
    case Status::Passed:
        return "passed";
    case Status::Failed:
        return "failed";
    case Status::Skipped:
        return "skipped";
    }
    std::unreachable();
}

void print_case(const ConformanceCommand& command, const Style& style, const std::string& path,
                const Judgement& judgement) {
    if (command.json) {
        Json line = Json::object();
        line.add("file", path)
            .add("status", name_of(judgement.status))
            .add("reason", judgement.reason.empty() ? Json() : Json(judgement.reason));
        fmt::print("{}\n", to_json(line));
    } else if (judgement.status == Status::Failed) {
        fmt::print("{} {}: {}\n", style.bad("FAIL"), path, judgement.reason);
    } else if (judgement.status == Status::Skipped) {
        fmt::print("SKIP {}: {}\n", path, judgement.reason);
    }
}

} // namespace

Expected<int> conformance_command(const ConformanceCommand& command, const Style& style) {
    TRY_ASSIGN(const auto files, find_files(command.paths));
    std::uint64_t passed = 0;
    std::uint64_t failed = 0;
    std::uint64_t skipped = 0;
    for (const std::string& path : files) {
        TRY_ASSIGN(const Judgement judgement, run_file(path, command.engine));
        print_case(command, style, path, judgement);
        passed += judgement.status == Status::Passed ? 1 : 0;
        failed += judgement.status == Status::Failed ? 1 : 0;
        skipped += judgement.status == Status::Skipped ? 1 : 0;
    }
    if (command.json) {
        Json line = Json::object();
        line.add("passed", passed).add("failed", failed).add("skipped", skipped);
        fmt::print("{}\n", to_json(line));
    } else {
        fmt::print("{} passed, {} failed, {} skipped\n", passed, failed, skipped);
    }
    return failed == 0 ? kExitOk : kExitFailed;
}

} // namespace ebpfvm::cli
