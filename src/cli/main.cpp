// The ebpfvm command: arguments to command structs, results to exit codes.
#include "cli/cmd_asm.hpp"
#include "cli/cmd_bench.hpp"
#include "cli/cmd_conformance.hpp"
#include "cli/cmd_disasm.hpp"
#include "cli/cmd_dump.hpp"
#include "cli/cmd_info.hpp"
#include "cli/cmd_run.hpp"
#include "cli/cmd_verify.hpp"
#include "cli/exit_code.hpp"
#include "support/try.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <functional>
#include <map>

namespace ebpfvm::cli {
namespace {

/// What was chosen on the command line; run by main once the arguments are known to be right.
using Action = std::function<Expected<int>(const Style&)>;

CLI::App* add_command(CLI::App& app, const char* name, const char* summary, const char* example) {
    CLI::App* command = app.add_subcommand(name, summary);
    command->footer(std::string("Example: ") + example);
    command->fallthrough(); // --color is the application's
    return command;
}

std::string at_least_one(const std::string& text) {
    return text.find_first_not_of("0123456789") == std::string::npos &&
                   text.find_first_not_of('0') != std::string::npos
               ? ""
               : "\"" + text + "\" is not a number of at least 1";
}

// The program that a command is about: options has object, prog and type.
template <class Options>
void add_program(CLI::App& command, Options& options) {
    command.add_option("OBJ", options.object, "ELF object, bpft text or bytecode")
        ->required()
        ->type_name("");
    command.add_option("--prog", options.prog, "program by name or section; default: the first")
        ->type_name("NAME");
    command.add_option("--type", options.type, "type of programs whose section says nothing")
        ->type_name("TYPE");
}

void add_run_input(CLI::App& command, RunCommand& options) {
    auto* pcap = command.add_option("--pcap", options.pcap, "run on each packet of this capture")
                     ->type_name("FILE");
    auto* data = command.add_option("--data", options.data, "run once on the bytes of this file")
                     ->type_name("FILE")
                     ->excludes(pcap);
    command.add_option("--hex", options.hex, "run once on these bytes")
        ->type_name("\"AA BB\"")
        ->excludes(pcap)
        ->excludes(data);
    command.add_option("--write", options.write, "write packets that pass to this capture")
        ->type_name("FILE")
        ->needs(pcap);
    command.add_option("--data-out", options.data_out, "write the bytes as the program left them")
        ->type_name("FILE")
        ->excludes(pcap);
    command.add_option("--limit", options.limit, "stop after N packets")
        ->type_name("N")
        ->needs(pcap);
    command.add_option("--repeat", options.repeat, "run N times and tell the time per run")
        ->type_name("N")
        ->check(at_least_one)
        ->excludes(pcap);
    command.add_flag("--progress", options.progress,
                     "show progress on stderr even if that is no terminal");
}

// One of several words. CLI11's own validator shows the numbers behind them when it refuses one.
template <class T>
CLI::Option* add_choice(CLI::App& command, const std::string& name, T& value,
                        const std::map<std::string, T>& choices, const std::string& words,
                        const std::string& description) {
    return command
        .add_option_function<std::string>(
            name,
            [&value, choices, name, words](const std::string& word) {
                const auto found = choices.find(word);
                if (found == choices.end()) {
                    throw CLI::ValidationError(name, "\"" + word + "\" is none of " + words);
                }
                value = found->second;
            },
            description)
        ->type_name(words);
}

void add_engine(CLI::App& command, Engine& engine) {
    std::map<std::string, Engine> engines;
    for (const Engine each : {Engine::Interp, Engine::Baseline, Engine::Jit}) {
        engines.emplace(name_of(each), each);
    }
    add_choice(command, "--engine", engine, engines, "interp|baseline|jit",
               "what runs the program");
}

void add_passes(CLI::App& command, std::vector<std::string>& without) {
    command.add_option("--without", without, "with --engine jit: leave out passes (docs/jit.md)")
        ->delimiter(',')
        ->type_name("PASS,...");
}

// Who else is to see the machine code.
void add_jit_debug(CLI::App& command, JitDebug& debug) {
    command.add_flag("--gdb", debug.gdb, "tell gdb of the machine code and its source lines");
    command.add_flag("--perf-map", debug.perf_map,
                     "tell perf the names of machine code: /tmp/perf-PID.map");
    command
        .add_option("--jitdump", debug.jitdump,
                    "tell `perf inject --jit` names, code and source lines: DIR/jit-PID.dump")
        ->type_name("DIR")
        ->check([](const std::string& text) {
            return std::string(text.empty() ? "a directory is expected" : "");
        });
}

void add_blinding(CLI::App& command, bool& blinds) {
    command.add_flag("--blind-constants", blinds,
                     "machine code without the constants that the program chose");
}

Action add_run(CLI::App& app, CLI::App*& command) {
    command = add_command(app, "run", "Run a program on a capture file or on one input",
                          "ebpfvm run xdp_count.bpf.o --pcap traffic.pcap --write passed.pcap");
    auto options = std::make_shared<RunCommand>();
    constexpr unsigned kMaxCpus = 1024;
    add_program(*command, *options);
    add_run_input(*command, *options);
    command->add_option("--global", options->globals, "set a global variable before loading")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    add_engine(*command, options->engine);
    add_passes(*command, options->without_passes);
    add_jit_debug(*command, options->jit_debug);
    add_blinding(*command, options->blind_constants);
    command->add_flag("--verify", options->verify,
                      "have the verifier judge the program first; run it without checks");
    command->add_option("--budget", options->budget, "stop a run after N insns")
        ->type_name("N")
        ->check(at_least_one);
    command->add_option("--cpus", options->cpus, "virtual CPUs that packets go to in turn")
        ->type_name("N")
        ->check(CLI::Range(1U, kMaxCpus));
    command->add_option("--map-entries", options->map_entries, "show N entries of each map")
        ->type_name("N")
        ->capture_default_str();
    command->add_flag("--stats", options->stats, "show how often the program ran, and how long");
    command->add_flag("--trace", options->trace, "show what bpf_printk prints on stderr");
    command->add_flag("--json", options->json, "print one JSON object");
    return [options](const Style& style) { return run_command(*options, style); };
}

Action add_bench(CLI::App& app, CLI::App*& command) {
    command = add_command(app, "bench", "Tell what a program costs to load and to run",
                          "ebpfvm bench xdp_count.bpf.o --data packet.bin --engine baseline");
    auto options = std::make_shared<BenchCommand>();
    add_program(*command, *options);
    auto* data = command->add_option("--data", options->data, "run on the bytes of this file")
                     ->type_name("FILE");
    command->add_option("--hex", options->hex, "run on these bytes")
        ->type_name("\"AA BB\"")
        ->excludes(data);
    add_engine(*command, options->engine);
    add_passes(*command, options->without_passes);
    add_jit_debug(*command, options->jit_debug);
    add_blinding(*command, options->blind_constants);
    command->add_flag("--checked", options->is_checked,
                      "with run-time checks, instead of verifying it");
    command->add_option("--repeat", options->repeat, "runs; default: as many as fit into 0.2 s")
        ->type_name("N")
        ->check(at_least_one);
    command->add_flag("--json", options->json, "print one JSON object");
    return [options](const Style& style) { return bench_command(*options, style); };
}

Action add_disasm(CLI::App& app, CLI::App*& command) {
    command = add_command(app, "disasm", "Show programs as text",
                          "ebpfvm disasm xdp_count.bpf.o --source");
    auto options = std::make_shared<DisasmCommand>();
    command->add_option("FILE", options->file, "ELF object, bpft text or bytecode")
        ->required()
        ->type_name("");
    command->add_option("--prog", options->prog, "this program alone")->type_name("NAME");
    auto* source = command->add_flag("--source", options->with_source, "show source lines");
    command->add_flag("--plain", options->is_plain, "only what `ebpfvm asm` reads back")
        ->excludes(source);
    return [options](const Style& style) { return disasm_command(*options, style); };
}

Action add_dump(CLI::App& app, CLI::App*& command) {
    command = add_command(app, "dump", "Show what engines make of a program",
                          "ebpfvm dump jited xdp_count.bpf.o --source");
    auto options = std::make_shared<DumpCommand>();
    const std::map<std::string, DumpForm> forms = {
        {"xlated", DumpForm::Xlated}, {"ir", DumpForm::Ir}, {"jited", DumpForm::Jited}};
    add_choice(*command, "FORM", options->form, forms, "xlated|ir|jited",
               "xlated: rewritten insns; ir: intermediate form; jited: machine code")
        ->required();
    add_program(*command, *options);
    add_engine(*command, options->engine);
    add_passes(*command, options->without_passes);
    auto* checked = command->add_flag("--checked", options->is_checked,
                                      "with the checks for programs that nobody has verified");
    add_blinding(*command, options->blind_constants);
    command->add_flag("--source", options->with_source, "show source lines");
    command->add_flag("--facts", options->with_facts, "show what the verifier knows at each insn")
        ->excludes(checked);
    return [options](const Style& style) { return dump_command(*options, style); };
}

Action add_asm(CLI::App& app, CLI::App*& command) {
    command = add_command(app, "asm", "Translate text to bytecode",
                          "ebpfvm asm program.s -o program.bin");
    auto options = std::make_shared<AsmCommand>();
    command->add_option("FILE", options->file, "assembly text, - for standard input")
        ->required()
        ->type_name("");
    command->add_option("-o,--out", options->out, "write here instead of to standard output")
        ->type_name("FILE");
    auto* hex = command->add_flag_callback(
        "--hex", [options] { options->form = AsmForm::Hex; }, "write text: one insn per line");
    auto* bpft = command->add_flag_callback(
        "--bpft", [options] { options->form = AsmForm::Bpft; }, "write a program in text form");
    command->add_option("--type", options->type, "program type to note in it")
        ->type_name("TYPE")
        ->needs(bpft);
    hex->excludes(bpft);
    return [options](const Style&) { return asm_command(*options); };
}

Action add_info(CLI::App& app, CLI::App*& command) {
    command = add_command(app, "info", "Show what an object contains",
                          "ebpfvm info xdp_count.bpf.o --relocs");
    auto options = std::make_shared<InfoCommand>();
    command->add_option("OBJ", options->object, "ELF object, bpft text or bytecode")
        ->required()
        ->type_name("");
    command->add_flag("--relocs", options->with_relocs, "list the relocations applied");
    command->add_flag("--json", options->json, "print one JSON object");
    return [options](const Style& style) { return info_command(*options, style); };
}

void add_verifier_options(CLI::App& command, VerifierOptions& options) {
    const std::map<std::string, MergeStrategy> strategies = {{"prune", MergeStrategy::Prune},
                                                             {"join", MergeStrategy::Join}};
    const std::map<std::string, NumericDomain> domains = {
#define EBPFVM_DOMAIN(name, text) {text, NumericDomain::name},
#include "ebpfvm/tables/domains.def"
    };
    command.add_option("--strategy", options.strategy, "what happens where paths meet")
        ->transform(CLI::CheckedTransformer(strategies).description(""))
        ->type_name("prune|join");
    command.add_option("--domain", options.domain, "what is tracked of numbers")
        ->transform(CLI::CheckedTransformer(domains).description(""))
        ->type_name("product|tnum|intervals|constants");
    command.add_flag_callback(
        "--strict-stack", [&options] { options.allow_uninit_stack = false; },
        "reject reads of stack that was never written");
    command
        .add_option("--max-explored", options.max_explored,
                    "insns to explore at most, on all paths")
        ->type_name("N")
        ->check(at_least_one);
}

Action add_verify(CLI::App& app, CLI::App*& command) {
    command = add_command(app, "verify", "Judge whether programs are safe",
                          "ebpfvm verify xdp_count.bpf.o");
    auto options = std::make_shared<VerifyCommand>();
    command->add_option("OBJ", options->objects, "ELF objects, bpft texts or bytecode")
        ->required()
        ->type_name("");
    command->add_option("--prog", options->program, "only the program of this name")
        ->type_name("NAME");
    command->add_option("--type", options->type, "program type if the section names none")
        ->type_name("TYPE");
    auto* json = command->add_flag("--json", options->json, "print one JSON object per program");
    command->add_option("--compare", options->compare, "show changes since these results of --json")
        ->type_name("FILE")
        ->excludes(json);
    command->add_option("--log", options->log, "show each insn that is explored, and what is known")
        ->transform(
            CLI::CheckedTransformer(std::map<std::string, LogForm>{{"kernel", LogForm::Kernel}})
                .description(""))
        ->type_name("kernel")
        ->excludes(json);
    command->add_flag_callback(
        "--no-table", [options] { options->has_table = false; }, "only tell what is wrong");
    command->add_flag("--facts", options->options.facts, "show what is known at each insn");
    command
        ->add_option("--observe", options->observe,
                     "run accepted programs on random inputs for N insns, and check the facts")
        ->type_name("N");
    command->add_option("--repeat", options->repeat, "verify N times, the fastest counts")
        ->type_name("N")
        ->check(at_least_one);
    add_verifier_options(*command, options->options);
    return [options](const Style& style) { return verify_command(*options, style); };
}

Action add_conformance(CLI::App& app, CLI::App*& command) {
    command = add_command(app, "conformance", "Run tests of the bpf_conformance project",
                          "ebpfvm conformance bpf_conformance/tests");
    auto options = std::make_shared<ConformanceCommand>();
    command->add_option("DIR", options->paths, ".data files or directories of them")
        ->required()
        ->type_name("");
    add_engine(*command, options->engine);
    command->add_flag("--json", options->json, "print one JSON object per file, then the totals");
    return [options](const Style& style) { return conformance_command(*options, style); };
}

ColorMode color_mode(std::string_view name) {
    return name == "always"  ? ColorMode::Always
           : name == "never" ? ColorMode::Never
                             : ColorMode::Auto;
}

// CLI11 only says that a subcommand is missing, even if there is a word where it belongs.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error, std::string_view first) {
    if (!app.get_subcommands().empty() || first.starts_with("-")) {
        return error.what();
    }
    std::string names;
    for (const CLI::App* command : app.get_subcommands(nullptr)) {
        names += (names.empty() ? "" : ", ") + command->get_name();
    }
    return first.empty() ? "no command given, there are: " + names
                         : fmt::format("unknown command \"{}\", there are: {}", first, names);
}

int report(const Expected<int>& result) {
    const auto flushed = flush_stdout();
    if (!result || !flushed) {
        print_error(to_string(result ? flushed.error() : result.error()));
        return kExitError;
    }
    return *result;
}

int cli_main(int argc, char** argv) {
    CLI::App app("Runs eBPF programs in userspace: no kernel, no root, no LLVM.", "ebpfvm");
    app.footer("Example: ebpfvm run xdp_count.bpf.o --pcap traffic.pcap");
    app.set_version_flag("--version", "ebpfvm " EBPFVM_VERSION);
    app.require_subcommand(1);
    std::string color = "auto";
    app.add_option("--color", color, "auto, always or never")
        ->check(CLI::IsMember({"auto", "always", "never"}).description(""))
        ->type_name("WHEN");

    std::map<const CLI::App*, Action> actions;
    for (const auto add : {add_run, add_bench, add_disasm, add_dump, add_asm, add_info, add_verify,
                           add_conformance}) {
        CLI::App* command = nullptr;
        Action action = add(app, command);
        actions.emplace(command, std::move(action));
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) { // --help, --version
        return app.exit(success);
    } catch (const CLI::ParseError& error) {
        print_error(usage_error(app, error, argc > 1 ? argv[1] : ""));
        return kExitError;
    }
    return report(actions.at(app.get_subcommands().front())(Style(color_mode(color))));
}

} // namespace
} // namespace ebpfvm::cli

int main(int argc, char** argv) {
    try {
        return ebpfvm::cli::cli_main(argc, argv);
    } catch (const std::exception& exception) { // out of memory
        ebpfvm::cli::print_error(exception.what());
        return ebpfvm::cli::kExitError;
    }
}
