// Loading for `ebpfvm run`; run_once.cpp and run_pcap.cpp do the rest. Tested by run_once_test.cpp.
#include "cli/cmd_run.hpp"

#include "cli/globals.hpp"
#include "cli/load.hpp"
#include "cli/run_job.hpp"
#include "cli/verify_text.hpp"
#include "support/try.hpp"

#include <cstdio>
#include <filesystem>

namespace ebpfvm::cli {
namespace {

VmOptions vm_options(const RunCommand& command) {
    VmOptions options;
    options.cpus = command.cpus;
    options.jit_debug = command.jit_debug;
    if (command.budget != 0) {
        options.insn_budget = command.budget;
    }
    if (command.trace) {
        options.environment.trace = [](std::string_view text) {
            fmt::print(stderr, "trace: {}\n", text);
        };
    }
    return options;
}

Expected<void> check_files(const RunCommand& command, const Program& program, Input input) {
    const bool has_input = !command.pcap.empty() || !command.data.empty() || command.hex;
    if (input != Input::Memory && !has_input) {
        return fail(Errc::InvalidArgument,
                    "program \"{}\" ({}) needs a packet: give --pcap, --data or --hex",
                    program.name, name_of(program.type));
    }
    if (command.write == "-" || command.data_out == "-") {
        return fail(Errc::InvalidArgument,
                    "standard output is the report's: give --write and --data-out a file");
    }
    std::error_code error; // of files that do not exist yet
    if (!command.write.empty() && std::filesystem::equivalent(command.write, command.pcap, error)) {
        return fail(Errc::InvalidArgument, "--write would overwrite {}", command.pcap);
    }
    return {};
}

// Shows why the verifier does not accept the program. Nothing if it is another one, reached through
// a prog array: the error names that.
Expected<void> explain_rejection(Vm& vm, const Object& object, const Program& program,
                                 const std::string& path, const Style& style) {
    const VerifierOptions options{.helpers = &vm.helpers(), .prog_types = &vm.prog_types()};
    TRY_ASSIGN(Report report, verify(object, program, options));
    const Judged judged{.object = path,
                        .section = program.section,
                        .prog = program.name,
                        .prog_type = std::string(name_of(program.type)),
                        .insns = program.insns.size(),
                        .report = std::move(report),
                        .error = std::nullopt};
    fmt::print(stderr, "{}", diagnostic_text(judged, style));
    return {};
}

} // namespace

Expected<int> run_command(const RunCommand& command, const Style& style) {
    TRY(check_jit_debug(command.jit_debug, command.engine));
    Vm vm(vm_options(command));
    TRY_ASSIGN(Object object, load_input(command.object, command.type, vm.prog_types()));
    TRY_ASSIGN(const Program* program, choose_program(object, command.prog));
    TRY_ASSIGN(const Input input, input_of(vm.prog_types(), program->type));
    TRY(check_files(command, *program, input));
    if (command.prog.empty() && object.programs().size() > 1) {
        print_note(fmt::format("running \"{}\", the first of {} programs; --prog chooses another",
                               program->name, object.programs().size()));
    }
    for (const std::string& setting : command.globals) {
        TRY(set_global(object, setting));
    }
    LoadOptions options;
    options.programs = {program->name};
    options.mode = command.verify ? ExecMode::Verified : ExecMode::Checked;
    options.engine = command.engine;
    options.without_passes = command.without_passes;
    options.blind_constants = command.blind_constants;
    auto module = vm.load(object, options);
    if (!module && module.error().code == Errc::Rejected) {
        const Style plain(ColorMode::Never);
        TRY(explain_rejection(vm, object, *program, command.object,
                              is_terminal(stderr) ? style : plain));
    }
    TRY(module);
    TRY_ASSIGN(Executable executable, module->program(program->name));
    const RunJob job{command, style, std::move(*module), std::move(executable), input};
    return command.pcap.empty() ? run_once(job) : run_pcap(job);
}

Json describe_job(const RunJob& job) {
    const Program& program = job.program.program();
    return Json::object()
        .add("object", job.command.object)
        .add("prog", program.name)
        .add("type", name_of(program.type))
        .add("engine", name_of(job.program.engine()))
        .add("mode", name_of(job.program.mode()));
}

Json to_json(const Fault& fault) {
    Json result = Json::object();
    result.add("kind", name_of(fault.kind))
        .add("memory", name_of(fault.memory_class))
        .add("prog", fault.prog)
        .add("insn", fault.insn)
        .add("message", fault.message)
        .add("file", fault.where ? Json(fault.where->file) : Json())
        .add("line", fault.where ? Json(fault.where->line) : Json());
    return result;
}

std::string to_text(const Fault& fault) {
    const std::string place =
        fault.where ? fmt::format(" (at {}:{})", fault.where->file, fault.where->line) : "";
    return fmt::format("{}: {}: {}{}", name_of(fault.kind), fault.prog, fault.message, place);
}

Json stats_json(const RunJob& job, const RunCost& cost) {
    return job.command.stats ? Json::object().add("runs", cost.runs).add("ns", cost.ns) : Json();
}

void print_stats(const RunJob& job, const RunCost& cost) {
    if (job.command.stats) {
        fmt::print("  {}: {} runs, {} ns, {:.1f} ns per run\n",
                   job.style.heading("stats of " + job.program.program().name), cost.runs, cost.ns,
                   cost.ns_per_run());
    }
}

void print_maps(const std::vector<MapContent>& contents, const Style& style) {
    for (const MapContent& content : contents) {
        fmt::print("{}", to_text(content, style));
    }
}

} // namespace ebpfvm::cli
