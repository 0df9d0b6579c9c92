// All engines on the kernels of bench/kernels, with the native code of the same C beside them. The
// kernels take memory of any size, which no verifier accepts: what runs them unchecked trusts them.
// Column per_insn is the time per executed BPF insn, so native rows show how far there is to go.
#include "ebpfvm/ebpfvm.hpp"
#include "interp/interp.hpp"
#include "jit/jit.hpp"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstdlib>
#include <vector>

extern "C" {
#define X(name) std::uint64_t native_##name(std::uint8_t* mem, std::uint64_t size);
#include "kernels/kernel_names.h"
#undef X
}

namespace {

using namespace ebpfvm;

using NativeKernel = std::uint64_t (*)(std::uint8_t*, std::uint64_t);
constexpr std::size_t kBufferSize = 4096 + 8;

std::vector<std::byte> make_buffer() {
    std::vector<std::byte> buffer(kBufferSize);
    std::uint32_t x = 1;
    for (std::byte& b : buffer) {
        x = x * 1664525 + 1013904223;
        b = std::byte(x >> 24);
    }
    return buffer;
}

[[noreturn]] void give_up(const std::string& message) {
    fmt::print(stderr, "engines_bench: {}\n", message);
    std::exit(1);
}

template <class T>
T must(Expected<T> value) {
    return value ? std::move(*value) : (give_up(to_string(value.error())), std::move(*value));
}

struct Kernel {
    std::string name;
    NativeKernel native;
    Executable checked;
    Executable checked_baseline;
    std::shared_ptr<const exec::Code> unchecked;
    std::uint64_t insns = 0;
};

void count_insns(benchmark::State& state, const Kernel& kernel) {
    state.counters["insns"] = double(kernel.insns);
    state.counters["per_insn"] =
        benchmark::Counter(double(kernel.insns), benchmark::Counter::kIsIterationInvariantRate |
                                                     benchmark::Counter::kInvert);
}

void run_native(benchmark::State& state, const Kernel& kernel) {
    auto buffer = make_buffer();
    for (auto _ : state) {
        benchmark::DoNotOptimize(
            kernel.native(reinterpret_cast<std::uint8_t*>(buffer.data()), buffer.size()));
    }
    count_insns(state, kernel);
}

void run_checked(benchmark::State& state, const Kernel& kernel) {
    auto buffer = make_buffer();
    for (auto _ : state) {
        benchmark::DoNotOptimize(kernel.checked.run(std::span(buffer)).r0);
    }
    count_insns(state, kernel);
}

void run_checked_baseline(benchmark::State& state, const Kernel& kernel) {
    auto buffer = make_buffer();
    for (auto _ : state) {
        benchmark::DoNotOptimize(kernel.checked_baseline.run(std::span(buffer)).r0);
    }
    count_insns(state, kernel);
}

template <class Run>
void run_trusted(benchmark::State& state, const Kernel& kernel, const Run& run) {
    auto buffer = make_buffer();
    const Environment environment;
    const exec::RunInput input{.ctx = buffer.data(),
                               .size = buffer.size(),
                               .insn_budget = ~std::uint64_t{0},
                               .environment = &environment};
    for (auto _ : state) {
        benchmark::DoNotOptimize(run(*kernel.unchecked, input).r0);
    }
    count_insns(state, kernel);
}

void run_unchecked(benchmark::State& state, const Kernel& kernel) {
    run_trusted(state, kernel, interp::run);
}

void run_baseline(benchmark::State& state, const Kernel& kernel) {
    run_trusted(state, kernel, jit::run);
}

// Results must agree before anything is timed.
void check(Kernel& kernel) {
    auto native_buffer = make_buffer();
    auto buffer = make_buffer();
    const std::uint64_t native =
        kernel.native(reinterpret_cast<std::uint8_t*>(native_buffer.data()), native_buffer.size());
    for (const Executable* program : {&kernel.checked_baseline, &kernel.checked}) {
        buffer = make_buffer();
        const RunResult result = program->run(std::span(buffer));
        if (result.fault) {
            give_up(kernel.name + ": " + result.fault->message);
        }
        if (result.r0 != native || buffer != native_buffer) {
            give_up(fmt::format("{}: native gives {:#x}, engine {} {:#x}", kernel.name, native,
                                int(program->engine()), result.r0));
        }
        kernel.insns = result.insns_executed;
    }
}

std::shared_ptr<const exec::Code> compile_unchecked(const Program& program) {
    static const ProgTypeTable types;
    static const HelperTable helpers;
    static const auto memory = must(jit::make_code_memory());
    const auto code = must(exec::resolve(program, {.ctx = types.find(ProgType::Unspec)->ctx,
                                                   .maps = {},
                                                   .helpers = &helpers,
                                                   .variables = {},
                                                   .externs = {}}));
    code->is_verified = true; // by whoever wrote it
    if (const auto done = jit::compile_baseline(*code, memory); !done) {
        give_up(to_string(done.error()));
    }
    return code;
}

std::vector<Kernel> load_kernels() {
    Vm vm;
    const Object object = must(load_object_file(EBPFVM_KERNELS_OBJECT, {}));
    const Module module = must(vm.load(object));
    const Module native = must(vm.load(object, {.engine = Engine::Baseline}));
    std::vector<Kernel> kernels;
#define X(name)                                                                                    \
    kernels.push_back({#name, native_##name, must(module.program("bpf_" #name)),                   \
                       must(native.program("bpf_" #name)),                                         \
                       compile_unchecked(*object.find_program(std::string_view("bpf_" #name)))});
#include "kernels/kernel_names.h"
#undef X
    return kernels;
}

} // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    std::vector<Kernel> kernels = load_kernels();
    for (Kernel& kernel : kernels) {
        check(kernel);
        const auto add = [&](const char* engine, auto function) {
            benchmark::RegisterBenchmark(
                (kernel.name + "/" + engine).c_str(),
                [&kernel, function](benchmark::State& state) { function(state, kernel); });
        };
        add("native", run_native);
        add("baseline", run_baseline);
        add("baseline_checked", run_checked_baseline);
        add("interp", run_unchecked);
        add("interp_checked", run_checked);
    }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
