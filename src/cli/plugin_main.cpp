// ebpfvm-conformance-plugin: runs one program for the runner of bpf_conformance, which gives the
// memory as first argument and the program on stdin, both in hex, and reads r0 in hex from stdout.
#include "cli/conformance_vm.hpp"
#include "cli/files.hpp"
#include "cli/style.hpp"
#include "support/try.hpp"

#include <cstdio>
#include <exception>
#include <optional>
#include <string_view>

namespace ebpfvm::cli {
namespace {

constexpr std::string_view kUsage =
    "Usage: ebpfvm-conformance-plugin [MEMORY] [--program HEX] [--elf] [--interpret|--jit] "
    "[--debug]\n"
    "Runs the program on stdin (hex bytes) with r1 = MEMORY (hex bytes), r2 = its size.\n"
    "Prints r0 in hex.\n"
    "Example: echo 'b7 00 00 00 02 00 00 00 95 00 00 00 00 00 00 00' | "
    "ebpfvm-conformance-plugin\n";

struct PluginOptions {
    std::string memory;
    std::optional<std::string> program; ///< absent: on stdin
    Engine engine = Engine::Interp;
    bool is_elf = false;
    bool is_debug = false;
    bool wants_help = false;
};

Expected<PluginOptions> parse_arguments(std::span<char* const> arguments) {
    PluginOptions options;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (argument == "--elf") {
            options.is_elf = true;
        } else if (argument == "--debug") {
            options.is_debug = true;
        } else if (argument == "--help") {
            options.wants_help = true;
        } else if (argument == "--jit") {
            options.engine = Engine::Baseline;
        } else if (argument == "--program" && i + 1 < arguments.size()) {
            options.program = arguments[++i];
        } else if (i == 0 && !argument.starts_with("-")) {
            options.memory = argument;
        } else if (argument != "--interpret") {
            return fail(Errc::InvalidArgument, "unexpected argument \"{}\"", argument);
        }
    }
    return options;
}

Expected<Object> load_program(const PluginOptions& options) {
    std::string text;
    if (options.program) {
        text = *options.program;
    } else {
        TRY_ASSIGN(const auto input, read_file("-"));
        text = as_text(input);
    }
    TRY_ASSIGN(const auto bytes, parse_hex(text));
    if (options.is_elf) {
        return load_elf(bytes);
    }
    TRY_ASSIGN(auto insns, insns_from_bytes(bytes));
    return Object::from_insns("main", ProgType::Unspec, std::move(insns));
}

// "main", or whatever is in .text.
Expected<const Program*> find_main(const Object& object) {
    for (const char* name : {"main", ".text"}) {
        if (const Program* program = object.find_program(name)) {
            return program;
        }
    }
    if (object.programs().size() == 1) {
        return &object.programs().front();
    }
    return fail(Errc::NotFound, "no program \"main\" in section \".text\"");
}

Expected<void> run_plugin(const PluginOptions& options) {
    TRY_ASSIGN(const Object object, load_program(options));
    TRY_ASSIGN(const Program* program, find_main(object));
    if (options.is_debug) {
        TRY_ASSIGN(const std::string text, disassemble(program->insns));
        fmt::print(stderr, "{}", text);
    }
    TRY_ASSIGN(auto memory, parse_hex(options.memory));
    Vm vm = make_conformance_vm();
    TRY_ASSIGN(const RunResult result,
               run_conformance(vm, object, *program, memory, options.engine));
    if (result.fault) {
        return fail(Errc::InvalidInsn, "{}: {}", name_of(result.fault->kind),
                    result.fault->message);
    }
    fmt::print("{:x}\n", result.r0);
    return flush_stdout();
}

int plugin_main(std::span<char* const> arguments) {
    const auto options = parse_arguments(arguments);
    if (options && options->wants_help) {
        fmt::print("{}", kUsage);
        return 0;
    }
    const auto done =
        options ? run_plugin(*options) : Expected<void>(std::unexpected(options.error()));
    if (!done) {
        print_error(to_string(done.error()));
        return 1;
    }
    return 0;
}

} // namespace
} // namespace ebpfvm::cli

int main(int argc, char** argv) {
    try {
        return ebpfvm::cli::plugin_main(std::span(argv, std::size_t(argc)).subspan(1));
    } catch (const std::exception& exception) { // out of memory
        ebpfvm::cli::print_error(exception.what());
        return 1;
    }
}
