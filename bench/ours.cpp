// Native programs and ours, in all modes.
#include "exec/code.hpp"
#include "jit/jit.hpp"
#include "packet.hpp"
#include "subject.hpp"
#include "support/try.hpp"
#include "verifier/verify.hpp"

#include <algorithm>
#include <array>

extern "C" {
#include "programs/native.h"
}

namespace ebpfvm::bench {
namespace {

class NativeSubject final : public Subject {
  public:
    explicit NativeSubject(NativeProgram program) : program_(program) {}

    Expected<Outcome> run_once() override {
        packet_ = make_packet();
        native_ctx ctx = context();
        const int value = program_(&ctx);
        return Outcome{std::uint32_t(value), packet_};
    }
    void run(std::uint64_t count) override {
        native_ctx ctx = context();
        for (std::uint64_t i = 0; i < count; ++i) {
            program_(&ctx);
        }
    }

  private:
    native_ctx context() {
        auto* data = reinterpret_cast<unsigned char*>(packet_.data());
        return {data, data + packet_.size()};
    }

    NativeProgram program_;
    std::vector<std::byte> packet_ = make_packet();
};

class OurSubject final : public Subject {
  public:
    explicit OurSubject(Executable program) : program_(std::move(program)) {}

    Expected<Outcome> run_once() override {
        packet_ = make_packet();
        XdpCtx ctx{.packet = Packet::in(packet_, packet_)};
        const RunResult result = program_.run(ctx, {.cpu = 0});
        if (result.fault) {
            return fail(Errc::InvalidArgument, "{}", result.fault->message);
        }
        return Outcome{std::uint32_t(result.r0), packet_};
    }
    void run(std::uint64_t count) override {
        XdpCtx ctx{.packet = Packet::in(packet_, packet_)};
        for (std::uint64_t i = 0; i < count; ++i) {
            (void)program_.run(ctx, {.cpu = 0});
        }
    }

  private:
    Executable program_;
    std::vector<std::byte> packet_ = make_packet();
};

// One for all programs, as a host has it. Options of the copies per CPU: what a pinned thread
// needs.
Vm& machine() {
    static Vm vm({.cpus = 1});
    return vm;
}

VerifierOptions verifier_options() {
    VerifierOptions options;
    options.helpers = &machine().helpers();
    options.prog_types = &machine().prog_types();
    options.facts = false;
    return options;
}

Expected<std::shared_ptr<exec::Code>> resolve(const Object& object, const Module& module,
                                              ExecMode mode) {
    const Program& program = object.programs().front();
    const auto& helpers = machine().helpers();
    const exec::Bindings bindings{.ctx = machine().prog_types().find(program.type)->ctx,
                                  .maps = module.maps(),
                                  .helpers = &helpers,
                                  .variables = {},
                                  .externs = {},
                                  .builtins = exec::Builtins::all(),
                                  .cpus = machine().options().cpus};
    if (mode == ExecMode::Checked) {
        return exec::resolve(program, bindings);
    }
    std::optional<prog::VerifiedProgram> verified;
    (void)verifier::judge(object, program, verifier_options(), &verified);
    if (!verified) {
        return fail(Errc::Rejected, "{} is rejected", program.name);
    }
    return exec::resolve_verified(*verified, bindings);
}

// The back end alone.
Expected<double> compile_time(const Object& object, const Module& module,
                              const LoadOptions& options) {
    static const auto memory = jit::make_code_memory();
    if (!memory) {
        return std::unexpected(memory.error());
    }
    TRY_ASSIGN(const auto code, resolve(object, module, options.mode));
    TRY_ASSIGN(const auto passes, jit::without_passes(options.without_passes));
    std::array<double, 9> times{}; // the first ones find nothing in the caches
    for (double& time : times) {
        const double before = cpu_time_ns();
        if (options.engine == Engine::Jit) {
            TRY(jit::compile_optimised(*code, *memory, passes));
        } else {
            TRY(jit::compile_baseline(*code, *memory));
        }
        time = cpu_time_ns() - before;
    }
    std::ranges::nth_element(times, times.begin() + times.size() / 2);
    return times[times.size() / 2];
}

} // namespace

std::unique_ptr<Subject> make_native(NativeProgram program) {
    return std::make_unique<NativeSubject>(program);
}

Expected<std::unique_ptr<Subject>> make_ours(const Object& object, const LoadOptions& options) {
    TRY_ASSIGN(const Module module, machine().load(object, options));
    return std::make_unique<OurSubject>(module.programs().front());
}

Expected<LoadCost> load_ours(const Object& object, const LoadOptions& options) {
    std::vector<std::byte> packet = make_packet();
    XdpCtx ctx{.packet = Packet::in(packet, packet)};
    LoadCost cost;
    const double begin = cpu_time_ns();
    TRY_ASSIGN(const Module module, machine().load(object, options));
    const Executable program = module.programs().front();
    (void)program.run(ctx, {.cpu = 0});
    cost.first_run = cpu_time_ns() - begin;
    cost.code_size = double(program.load_cost().code_bytes);
    if (options.mode == ExecMode::Verified) {
        const double before = cpu_time_ns();
        (void)verify(object, object.programs().front(), verifier_options());
        cost.verify = cpu_time_ns() - before;
    }
    if (options.engine != Engine::Interp) {
        TRY_ASSIGN(cost.compile, compile_time(object, module, options));
    }
    return cost;
}

Expected<std::uint64_t> count_insns(const Object& object) {
    TRY_ASSIGN(const Module module, machine().load(object, {.mode = ExecMode::Verified}));
    std::vector<std::byte> packet = make_packet();
    XdpCtx ctx{.packet = Packet::in(packet, packet)};
    (void)module.programs().front().run(ctx, {.cpu = 0}); // the first may fill maps
    return module.programs().front().run(ctx, {.cpu = 0}).insns_executed;
}

} // namespace ebpfvm::bench
