// Runs a program as the kernel's test_loader.c would: in the interpreter, with and without checks,
// and as machine code, also without each pass of the optimising tier. Compares what it returns.
//
//   run_program FILE PROGRAM RETVAL DATA
//
// FILE is an ELF object, or bpft with one program. RETVAL is unsigned. DATA is the packet in hex,
// padded with zeros; - if there is none. Prints a line of JSON: status (same, differs, faults,
// cannot run) and detail.
#include "support/engines.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ebpfvm/object.hpp>
#include <ebpfvm/vm.hpp>
#include <string>
#include <string_view>

namespace {

using namespace ebpfvm;

constexpr std::size_t kPacketSize = 64, kHeadroom = 256, kTailroom = 320, kEthernetHeader = 14;
constexpr std::uint64_t kInsnBudget = 200'000'000;

int answer(const char* status, std::string_view detail) {
    std::string text;
    for (const char c : detail) {
        text += c == '"' || c == '\\' ? std::string{'\\', c} : std::string(1, c < ' ' ? ' ' : c);
    }
    std::printf("{\"status\": \"%s\", \"detail\": \"%s\"}\n", status, text.c_str());
    return 0;
}

struct Buffer {
    std::array<std::byte, kHeadroom + kPacketSize + kTailroom> bytes{};

    explicit Buffer(std::string_view hex) {
        for (std::size_t i = 0; 2 * i + 1 < hex.size() && i < kPacketSize; ++i) {
            const std::string digits(hex.substr(2 * i, 2));
            bytes[kHeadroom + i] = std::byte(std::strtoul(digits.c_str(), nullptr, 16));
        }
    }

    Packet packet(std::size_t skipped) {
        return Packet::in(bytes,
                          std::span(bytes).subspan(kHeadroom + skipped, kPacketSize - skipped));
    }
};

// Types without a packet get no context: tests that look at it fault.
bool runs_without_packet(ProgType type) {
    return type == ProgType::Syscall || type == ProgType::RawTracepoint;
}

RunResult run(const Executable& program, ProgType type, Buffer& buffer) {
    if (type == ProgType::Xdp) {
        XdpCtx ctx{.packet = buffer.packet(0)};
        return program.run(ctx);
    }
    if (runs_without_packet(type)) {
        return program.run(std::span<std::byte>{});
    }
    // Socket filters begin behind the Ethernet header.
    SkbCtx ctx{.packet = buffer.packet(type == ProgType::SocketFilter ? kEthernetHeader : 0)};
    return program.run(ctx);
}

// What the callbacks of prog_tests/verifier.c do before some tests run.
void fill_maps(const Module& module, std::string_view path) {
    struct TestValue {
        std::uint32_t index = 7 * sizeof(std::uint32_t);
        std::array<std::uint32_t, 11> values{0, 0, 0, 0, 0, 0, 0xabcdef12};
    };
    const std::string_view map_name =
        path.ends_with("/verifier_array_access.bpf.o")      ? "map_array_ro"
        : path.ends_with("/verifier_value_ptr_arith.bpf.o") ? "map_array_48b"
                                                            : "";
    if (const auto map = module.map(map_name); map) {
        const std::uint32_t key = 0;
        const TestValue value;
        (*map)->update_elem(&key, &value, 0, {});
    }
}

bool can_run(ProgType type) {
    return type == ProgType::Xdp || type == ProgType::SocketFilter || type == ProgType::SchedCls ||
           type == ProgType::SchedAct || runs_without_packet(type);
}

struct Job {
    const Object& object;
    const Program& program;
    ProgType type; ///< the program's own; its context may be another one's
    std::string path;
    std::string_view data;
    std::uint32_t expected;
};

struct Answer {
    const char* status = "same";
    std::string detail{};
};

Answer run_as(LoadOptions options, const Job& job) {
    Vm vm({.insn_budget = kInsnBudget});
    options.programs = {job.program.name};
    const auto module = vm.load(job.object, options);
    if (!module) {
        return {module.error().code == Errc::Rejected ? "differs" : "cannot run",
                to_string(module.error())};
    }
    const auto executable = module->program(job.program.name);
    if (!executable) {
        return {"cannot run", to_string(executable.error())};
    }
    fill_maps(*module, job.path);
    Buffer buffer(job.data);
    const RunResult result = run(*executable, job.type, buffer);
    if (result.fault) {
        return {"faults", result.fault->message};
    }
    const auto returned = std::uint32_t(result.r0);
    return returned == job.expected
               ? Answer{}
               : Answer{"differs", "returned " + std::to_string(returned) + ", expected " +
                                       std::to_string(job.expected)};
}

// Programs that run as others than they are have no verdict to run by.
Answer run_both(const Job& job) {
    Answer answer = run_as({}, job);
    if (job.program.type != job.type) {
        return answer;
    }
    // Checked mode refuses harmful code even where it is dead.
    const bool only_verified = std::string_view(answer.status) == "cannot run";
    if (std::string_view(answer.status) != "same" && !only_verified) {
        return answer;
    }
    for (const test::EngineChoice& choice : test::all_choices()) {
        const Answer verified = run_as(choice.options(ExecMode::Verified), job);
        if (std::string_view(verified.status) != "same") {
            return only_verified
                       ? answer
                       : Answer{verified.status, "without checks, " + test::text_of(choice) + ": " +
                                                     verified.detail};
        }
    }
    return {};
}

int run_test(const std::string& path, const std::string& name, std::uint32_t expected,
             std::string_view data) {
    auto object = load_object_file(path);
    if (!object) {
        return answer("cannot run", to_string(object.error()));
    }
    Program* program = path.ends_with(".bpft") && object->programs().size() == 1
                           ? object->find_program(object->programs().front().name)
                           : object->find_program(name);
    if (program == nullptr) {
        return answer("cannot run", "the object has no such program");
    }
    const ProgType type = program->type;
    if (!can_run(type)) {
        return answer("cannot run", "programs of type " + std::string(name_of(type)));
    }
    if (runs_without_packet(type)) {
        program->type = ProgType::Unspec;
    }
    const Answer result = run_both({*object, *program, type, path, data, expected});
    return answer(result.status, result.detail);
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: run_program FILE PROGRAM RETVAL DATA\n");
        return 2;
    }
    const std::string_view data = argv[4];
    return run_test(argv[1], argv[2], std::uint32_t(std::strtoul(argv[3], nullptr, 10)),
                    data == "-" ? "" : data);
}
